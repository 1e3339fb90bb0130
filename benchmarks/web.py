"""The web listener: requests a second, and what connections that say nothing or little do to it.  Peers: the WSGI servers that could have carried it.

A peer answers from a bare WSGI function; ours routes, checks a token and (for the status) asks the supervisor.  So the peers' figures are what a
server alone may reach, and those about hostile clients are what the choice was made by.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.peers import cache, quietly
from benchmarks.processes import descendants, nothing_left, pss_kib
from benchmarks.starting import FEW, sleepers
from efsupervisor.states import State

IDLE, HALF = 2000, 500
CLIENTS = 8
POLITE_S = 2.0
PATIENCE_S = 10.0
CONNECTING_S = 30.0
"""For all connections together.  A server whose queue of new connections is short and full costs each of them a second: the kernel asks again."""
GROWTH_MIB = 32

APPLICATION = """
import json
ROWS = [dict(name=f"sleep-{n:04}", state="RUNNING", goal="act", pid=n, uptime_s=1.5, reason="", restarts=0, lag_bytes=0) for n in range(200)]
def app(environ, start_response):
    body = b'{"status":"ok"}' if environ["PATH_INFO"].endswith("health") else json.dumps(ROWS).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
# By the name of the package; 2,048 connections may wait to be taken, as ours lets them
START = {
    "waitress": (
        "import logging, peer, waitress; logging.disable(50);"
        "waitress.serve(peer.app, host='127.0.0.1', port={port}, threads=8, connection_limit=4096, asyncore_use_poll=True)"
    ),
    "cheroot": (
        "import peer; from cheroot.wsgi import Server;"
        "Server(('127.0.0.1', {port}), peer.app, numthreads=8, max=8, timeout=5, request_queue_size=2048).start()"
    ),
    "gunicorn": (
        "import sys; sys.argv = ['gunicorn', '-k', 'gthread', '-w', '1', '--threads', '8', '--worker-connections', '4096', '--log-level', 'error',"
        "'-b', '127.0.0.1:{port}', 'peer:app']; from gunicorn.app.wsgiapp import run; run()"
    ),
}


class Served(NamedTuple):
    """A server that runs.  pids: of its processes.  health, status: a small and a large page."""

    port: int
    pids: list[int]
    health: str
    status: str
    token: str = ""

    def request(self, path: str) -> bytes:
        """The bytes of one."""
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Authorization: Bearer {self.token}", "", ""]
        return "\r\n".join(lines).encode()

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)

    @property
    def mib(self) -> float:
        """Proportional memory of all its processes."""
        return sum(map(pss_kib, self.pids)) / 1024


class Numbers(NamedTuple):
    """What is measured of a server; a time is PATIENCE_S when no answer came."""

    small: float
    large: float
    memory: float
    idle_s: float
    growth: float
    half_s: float


def measure(bench: Bench) -> Iterator[Figure]:
    """Requests a second, seconds, MiB."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 200:
        raise RuntimeError(f"a process may have {hard} descriptors here; {IDLE + 200} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peers = _peers(bench)
    mine = _ours(bench)

    def figure(name: str, unit: str, of: Callable[[Numbers], float], target: Target | None = None) -> Figure:
        theirs: dict[str, float | str] = {peer: of(each) if of(each) < PATIENCE_S or unit != "s" else "never" for peer, each in peers.items()}
        return Figure(name, unit, [of(mine)], target, theirs)

    yield figure("HTTP, a small answer", "requests/s", lambda each: each.small)
    yield figure(f"HTTP, status of {FEW} tasks", "requests/s", lambda each: each.large)
    yield figure("web monitor and listener (PSS)", "MiB", lambda each: each.memory)
    yield figure(f"an answer beside {IDLE:,} idle connections", "s", lambda each: each.idle_s, Target(POLITE_S))
    yield figure(f"growth by {IDLE:,} idle connections", "MiB", lambda each: each.growth, Target(GROWTH_MIB))
    yield figure(f"an answer beside {HALF} half requests", "s", lambda each: each.half_s, Target(POLITE_S))


def _ours(bench: Bench) -> Numbers:
    _marker, tasks = sleepers(FEW)
    port = _free_port()
    with nothing_left(), bench.ours(tasks, settings={"web": {"port": port}}) as ours:
        ours.await_state(State.RUNNING)
        token_file = ours.var / "lib" / "web.token"
        _await(lambda: token_file.exists() and _is_open(port))
        token = next(line.split()[1] for line in token_file.read_text().splitlines() if line.startswith("view"))
        pids = [pid for pid in descendants(ours.core_pid) if _name(pid) in ("efs-web", "efs-listener")]
        return _numbers(bench, Served(port, pids, "/api/v1/health", "/api/v1/tasks", token))


def _peers(bench: Bench) -> dict[str, Numbers]:
    """What was found of each that could be measured; the others are said with the reason and cost nobody else's figure."""
    python = _python_with_servers(bench) if bench.has_peers else None
    found: dict[str, Numbers] = {}
    if python is None:
        return found
    for name in START:
        try:
            found[name] = _peer(bench, python, name)
        except (OSError, RuntimeError) as error:
            bench.skipped[f"{name}, web"] = str(error)
    return found


def _peer(bench: Bench, python: Path, name: str) -> Numbers:
    folder, port = bench.place(name), _free_port()
    folder.mkdir()
    (folder / "peer.py").write_text(APPLICATION, encoding="utf-8")
    with nothing_left():
        code = f"import os, sys; os.chdir({str(folder)!r}); sys.path.insert(0, {str(folder)!r}); {START[name].format(port=port)}"
        process = quietly([str(python), "-c", code])
        _await(lambda: _is_open(port))
        time.sleep(0.5)
        return _numbers(bench, Served(port, [process.pid, *descendants(process.pid)], "/health", "/status"))


def _python_with_servers(bench: Bench) -> Path | None:
    """The interpreter of an environment with the peers, made when it is not there; None when that fails."""
    python = cache() / "web-servers" / "bin" / "python"
    if not python.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(python.parents[1])], check=True, capture_output=True)
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
            subprocess.run([*pip, *START], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            bench.skipped["web servers"] = f"they could not be installed: {error}"
            return None
    return python


def _numbers(bench: Bench, served: Served) -> Numbers:
    seconds = bench.some(5, 1)
    small, large = _rate(served, served.health, seconds), _rate(served, served.status, seconds)
    memory = served.mib
    with _connections(served, IDLE, b""):
        time.sleep(1.0)
        idle_s, growth = _polite_s(served), served.mib - memory
    time.sleep(1.0)
    with _connections(served, HALF, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"):
        time.sleep(0.5)
        half_s = _polite_s(served)
    return Numbers(small, large, memory, idle_s, growth, half_s)


@contextlib.contextmanager
def _connections(served: Served, count: int, said: bytes) -> Iterator[None]:
    socks: list[socket.socket] = []
    until = time.monotonic() + CONNECTING_S
    try:
        for _ in range(count):
            if time.monotonic() > until:
                raise TimeoutError(f"{len(socks)} of {count} connections were taken within {CONNECTING_S:g} s")
            socks.append(served.connect())
            socks[-1].sendall(said)
        yield
    finally:
        for sock in socks:
            sock.close()


def _polite_s(served: Served) -> float:
    """Seconds until a new client has its answer, at most PATIENCE_S."""
    begun = time.monotonic()
    with contextlib.suppress(OSError), served.connect() as sock:
        sock.sendall(served.request(served.health))
        if sock.recv(65536):
            return time.monotonic() - begun
    return PATIENCE_S


def _rate(served: Served, path: str, seconds: float) -> float:
    """Answers a second to CLIENTS connections that ask without a pause; one that breaks asks no more.  RuntimeError when one had no answer at all."""
    counts = [0] * CLIENTS
    begun = time.monotonic()
    until = begun + seconds
    request = served.request(path)

    def ask(number: int) -> None:
        with contextlib.suppress(OSError), served.connect() as sock:
            while time.monotonic() < until:
                sock.sendall(request)
                _read_answer(sock)
                counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not all(counts):
        raise RuntimeError(f"only {sum(map(bool, counts))} of {CLIENTS} clients were served")
    return sum(counts) / (time.monotonic() - begun)


def _read_answer(sock: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server ended a connection that was to stay")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    if b" 200 " not in head[:16]:
        raise ConnectionError(f"an answer that is none: {head[:60]!r} {json.dumps(body[:100].decode('utf-8', 'replace'))}")
    wanted = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    left = wanted - len(body)
    while left > 0:
        piece = sock.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server ended a connection in the middle of an answer")
        left -= len(piece)


def _await(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30.0
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("the server does not listen")
        time.sleep(0.02)


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    return ""


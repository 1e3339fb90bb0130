"""XML-RPC calls a second on one connection: getState, and getAllProcessInfo with 200 tasks.

The client writes the same request again and again and reads the answer to its length, so that the server is measured and not an XML parser.
"""

from __future__ import annotations

import socket
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.peers import Peer, Supervisord
from benchmarks.processes import Programs, nothing_left
from benchmarks.starting import DEADLINE_S, FEW, sleepers
from efsupervisor.states import State

SETTINGS = {"web": {"port": 0}, "resource": {"enabled": False}, "result": {"enabled": False}}
TARGETS = {"getState": 3000, "getAllProcessInfo": 500}


def measure(bench: Bench) -> Iterator[Figure]:
    """Calls a second, the best of some runs."""
    seconds, runs = (2.0, bench.some(3, 1))
    peers = _peers(bench, seconds)
    _marker, tasks = sleepers(FEW)
    with nothing_left(), bench.ours(tasks, settings=SETTINGS) as ours:
        ours.await_state(State.RUNNING)
        path = ours.var / "run" / "supervisor.sock"
        await_socket(path)
        found = {method: [rate(path, method, seconds) for _ in range(runs)] for method in TARGETS}
    for method, target in TARGETS.items():
        yield Figure(f"XML-RPC {method}, {FEW} tasks", "/s", found[method], Target(target, at_least=True), peers.get(method, {}))


def _peers(bench: Bench, seconds: float) -> dict[str, dict[str, float | str]]:
    marker, tasks = sleepers(FEW)

    def rates(peer: Peer) -> dict[str, float]:
        assert isinstance(peer, Supervisord)
        programs = Programs(marker)
        with peer:
            programs.await_count(FEW, DEADLINE_S)
            time.sleep(1.0)
            return {method: rate(peer.socket, method, seconds) for method in TARGETS}

    found = bench.of_peers("XML-RPC", rates, lambda: tasks, lambda kind: issubclass(kind, Supervisord))
    return {method: {name: each[method] for name, each in found.items()} for method in TARGETS}


def await_socket(path: Path) -> None:
    """Wait until somebody listens there."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as sock:
            if sock.connect_ex(str(path)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens at {path}")


def rate(path: Path, method: str, seconds: float) -> float:
    """Calls a second on one connection."""
    body = xmlrpc.client.dumps((), f"supervisor.{method}").encode()
    request = b"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect(str(path))
        _one(sock, request)
        count, begun = 0, time.monotonic()
        while time.monotonic() - begun < seconds:
            _one(sock, request)
            count += 1
        return count / (time.monotonic() - begun)


def _one(sock: socket.socket, request: bytes) -> None:
    sock.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _more(sock)
    head, _, rest = answer.partition(b"\r\n\r\n")
    length = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    left = length - len(rest)
    while left > 0:
        left -= len(_more(sock))
    if not head.startswith(b"HTTP/1.1 200 ") and not head.startswith(b"HTTP/1.0 200 "):
        raise RuntimeError(f"a call is answered with {head[:40]!r}")


def _more(sock: socket.socket) -> bytes:
    data = sock.recv(1 << 20)
    if not data:
        raise RuntimeError("the connection was ended in the middle of an answer")
    return data

"""A supervisor with a web listener, seen from the network; and clients that are not polite.

Nothing here retries: what a test wants to be true at once is true at once, and what may take time is waited for with a deadline.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from efsupervisor.states import Role
from tests.support import processes
from tests.support.supervisor import Supervisor
from tests.support.wait import until

LISTENER = "efs-listener"
MONITOR = "efs-web"
MIDDLE = "efs-middle"


class Answer(NamedTuple):
    """What came back.  closed: the connection ended after it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def free_port() -> int:
    """A port of loopback that nobody has just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Site:
    """The web of a supervisor that runs."""

    def __init__(self, supervisor: Supervisor, port: int, context: ssl.SSLContext | None = None) -> None:
        self.supervisor = supervisor
        self.port = port
        self.context = context

    @property
    def tokens(self) -> dict[Role, str]:
        """From the token file."""
        lines = (self.supervisor.var / "lib" / "web.token").read_text().splitlines()
        return {Role(role): token for role, token in (line.split() for line in lines if not line.startswith("#"))}

    def connect(self, timeout_s: float = 10.0) -> socket.socket:
        """A connection."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout_s)
        return self.context.wrap_socket(sock, server_hostname="127.0.0.1") if self.context else sock

    def head(self, method: str, path: str, role: Role | None, headers: Mapping[str, str], length: int | None) -> bytes:
        """The head of a request."""
        given = {"Host": f"127.0.0.1:{self.port}"} | ({"Authorization": f"Bearer {self.tokens[role]}"} if role else {}) | dict(headers)
        if length is not None:
            given.setdefault("Content-Length", str(length))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def ask(
        self, method: str, path: str, role: Role | None = Role.ADMIN, headers: Mapping[str, str] | None = None, body: bytes | None = None,
        timeout_s: float = 15.0,
    ) -> Answer:  # fmt: skip
        """One request on a connection of its own."""
        head = self.head(method, path, role, {"Connection": "close", **(headers or {})}, None if body is None else len(body))
        with self.connect(timeout_s) as sock:
            sock.sendall(head + (body or b""))
            return parsed(everything(sock))

    def get(self, path: str = "/api/v1/tasks", role: Role | None = Role.ADMIN, **others: Any) -> Answer:
        """Look."""
        return self.ask("GET", path, role, **others)

    def post(self, command: object, role: Role | None = Role.ADMIN, **others: Any) -> Answer:
        """Command."""
        return self.ask("POST", "/api/v1/commands", role, {"Content-Type": "application/json"}, json.dumps(command).encode(), **others)

    def raw(self, data: bytes, timeout_s: float = 10.0) -> bytes:
        """Send bytes; everything that comes back until the end of the connection."""
        with self.connect(timeout_s) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
            return everything(sock)

    def pid(self, name: str = LISTENER) -> int:
        """The pid of the process with this name, 0 when there is none; the youngest of several."""
        found = [process for process in self.supervisor.ours() if process.name == name]
        return max(found, key=lambda each: each.ticks).pid if found else 0

    def await_pid(self, name: str = LISTENER, other_than: int = 0, deadline_s: float = 20.0) -> int:
        """Wait for a process of this name that is not that one."""
        pid = until(lambda: pid if (pid := self.pid(name)) != other_than else 0, deadline_s, lambda: f"{name} is there\n{self.supervisor.story()}")
        return int(pid)

    def await_service(self, deadline_s: float = 20.0) -> None:
        """Wait until it answers."""

        def answers() -> bool:
            with contextlib.suppress(OSError, ValueError):
                return self.get("/api/v1/health", None).status == 200
            return False

        until(answers, deadline_s, lambda: f"the web listener answers\n{self.supervisor.story()}")

    def health(self) -> str:
        """What ails the web sibling."""
        services = json.loads(self.supervisor.efctl("services", "--json").stdout)["services"]
        return next(str(row["health"]) for row in services if row["name"] == "web")


@contextlib.contextmanager
def site(folder: Path, context: ssl.SSLContext | None = None, **web: object) -> Iterator[Site]:
    """A supervisor with one task and a web listener."""
    port = int(str(web.setdefault("port", free_port())))
    task = {"command": ["sleep", "100000"], "environment": {"SECRET": "hunter2"}}
    settings = {"services": True, "web": web, "resource": {"enabled": False}, "result": {"enabled": False}}
    with Supervisor(folder, {"sleep": task}, supervisor=settings) as supervisor:
        found = Site(supervisor, port, context)
        found.await_service()
        yield found


def parsed(data: bytes) -> Answer:
    """The one answer in these bytes.  ValueError when there is none."""
    head, mark, body = data.partition(b"\r\n\r\n")
    if not mark:
        raise ValueError(f"no answer: {data[:100]!r}")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def everything(sock: socket.socket) -> bytes:
    """Until the other end closes."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(1 << 16):
            data += piece
    return data


def answers_on(sock: socket.socket) -> Answer:
    """The next answer on a connection that stays."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1 << 16)
        if not piece:
            raise ValueError(f"the connection ended after {data[:100]!r}")
        data += piece
    answer = parsed(data)
    length = int(answer.headers["content-length"])
    body = answer.body
    while len(body) < length:
        body += sock.recv(1 << 16)
    return answer._replace(body=body)


def is_closed(sock: socket.socket) -> bool:
    """Whether the other end closed; reads what came."""
    sock.setblocking(False)
    try:
        while sock.recv(1 << 16):
            continue
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def rss_kib(pid: int) -> int:
    """Memory of a process that is its own."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))


def descriptors(wanted: int) -> bool:
    """Whether this process may have so many; its limit is raised when it can be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), hard))
    return True


def took_s(begun: float) -> float:
    """Seconds since then."""
    return time.monotonic() - begun


def stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    process = processes.look(pid)
    return process is not None and process.state in "tT"

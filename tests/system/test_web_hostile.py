"""Hostile clients: a supervisor whose web listener is attacked answers the next polite client, and its tasks notice nothing."""

from __future__ import annotations

import itertools
import random
import re
import socket
import time
from collections.abc import Iterator

import pytest

from efsupervisor.states import Role
from tests.support.http import Site, answers_on, descriptors, everything, is_closed, parsed, rss_kib, site, took_s
from tests.support.wait import until

REQUEST_S = 2.0
IDLE_S = 5.0
POLITE_S = 2.0
GROWTH_KIB = 32 << 10


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("web"), request_s=f"{REQUEST_S:g}s", idle_s=f"{IDLE_S:g}s") as found:
        yield found


@pytest.fixture(autouse=True)
def unharmed(served: Site) -> Iterator[None]:
    """Whatever a test did: the same listener serves, and the task's program is the same."""
    before = served.pid(), served.supervisor.program_pid("sleep")
    yield
    assert (served.pid(), served.supervisor.program_pid("sleep")) == before
    assert served.get().status == 200


def polite_answer_s(served: Site) -> float:
    """How long a polite client waits."""
    begun = time.monotonic()
    assert served.get().status == 200
    return took_s(begun)


def many(served: Site, count: int) -> list[socket.socket]:
    """So many connections."""
    if not descriptors(count + 200):
        pytest.skip(f"this machine lets no process have {count} connections")
    return [served.connect() for _ in range(count)]


def close(socks: list[socket.socket]) -> None:
    for sock in socks:
        sock.close()


def test_two_thousand_idle_connections_disturb_nobody_and_are_ended(served: Site) -> None:
    before = rss_kib(served.pid())
    socks = many(served, 2000)
    try:
        assert polite_answer_s(served) < POLITE_S
        assert rss_kib(served.pid()) - before < GROWTH_KIB
        until(lambda: all(map(is_closed, socks)), IDLE_S + 5.0, "every idle connection is ended")
    finally:
        close(socks)


def test_five_hundred_half_requests_disturb_nobody_and_are_told_why_they_end(served: Site) -> None:
    socks = many(served, 500)
    try:
        for sock in socks:
            sock.sendall(b"GET /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert polite_answer_s(served) < POLITE_S
        assert {parsed(everything(sock)).status for sock in socks} == {408}
    finally:
        close(socks)


@pytest.mark.parametrize("begin", [b"", b"GET /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_one_who_drips_a_byte_a_second_is_cut(served: Site, begin: bytes) -> None:
    with served.connect() as sock:
        begun = time.monotonic()
        sock.sendall(begin + b"G")
        until(lambda: is_closed(sock) or _drip(sock), REQUEST_S + 3.0, "the dripper is cut")
        assert took_s(begun) < REQUEST_S + 2.0


def _drip(sock: socket.socket) -> bool:
    """One byte, about once a second; a connection that takes none is ended."""
    time.sleep(0.9)
    try:
        sock.send(b"x")
    except OSError:
        return True
    return False


def test_a_body_that_is_dripped_is_cut_with_a_token_too(served: Site) -> None:
    with served.connect() as sock:
        sock.sendall(served.head("POST", "/api/v1/commands", Role.ADMIN, {"Content-Type": "application/json"}, 1000) + b"{")
        begun = time.monotonic()
        assert parsed(everything(sock)).status == 408
        assert took_s(begun) < REQUEST_S + 2.0


def test_one_who_asks_and_does_not_read_is_cut(served: Site) -> None:
    with served.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = served.head("GET", "/api/v1/openapi.json", Role.VIEW, {}, None)
        sock.settimeout(0.2)
        with pytest.raises((TimeoutError, ConnectionError)):
            sock.sendall(head * 100_000)
        assert polite_answer_s(served) < POLITE_S
        until(lambda: is_closed(sock), 2 * IDLE_S + 5.0, "the client that does not read is ended")


def test_a_header_without_end_is_cut_at_its_limit(served: Site) -> None:
    before = rss_kib(served.pid())
    with served.connect() as sock:
        sent = 0
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        try:
            while sent < 64 << 20:
                sent += sock.send(b"a" * 65536)
        except ConnectionError:
            assert sent < 16 << 20
        else:
            pytest.fail(f"{sent} bytes of one header were taken")
    assert rss_kib(served.pid()) - before < GROWTH_KIB


@pytest.mark.parametrize("lines", [b"X: " + b"a" * 17_000 + b"\r\n", b"".join(b"X%d: y\r\n" % number for number in range(3000))])
def test_a_head_over_the_limit_is_431(served: Site, lines: bytes) -> None:
    assert parsed(served.raw(b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + lines + b"\r\n")).status == 431


def test_a_body_over_the_limit_is_413_and_costs_no_memory(served: Site) -> None:
    before = rss_kib(served.pid())
    for _ in range(20):
        answer = served.ask("POST", "/api/v1/commands", Role.ADMIN, {"Content-Type": "application/json"}, b"x" * (2 << 20))
        assert answer.status == 413
    assert rss_kib(served.pid()) - before < GROWTH_KIB


def test_a_chunked_body_over_the_limit_is_413(served: Site) -> None:
    head = served.head("POST", "/api/v1/commands", Role.ADMIN, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}, None)
    assert parsed(served.raw(head + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 20)).status == 413


def test_a_body_of_a_stranger_is_not_waited_for(served: Site) -> None:
    begun = time.monotonic()
    with served.connect() as sock:
        sock.sendall(served.head("POST", "/api/v1/commands", None, {"Content-Type": "application/json"}, 1 << 20))
        assert answers_on(sock).status == 401
        assert took_s(begun) < 1.0


POST = b"POST /api/v1/commands HTTP/1.1\r\nHost: 127.0.0.1\r\n"
GET = b"GET /api/v1/health HTTP/1.1\r\n"
HEADS = [
    POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    POST + b"Content-Length: +3\r\n\r\nabc",
    POST + b"Content-Length: 0x3\r\n\r\nabc",
    POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    POST + b"Content-Length : 3\r\n\r\nabc",
    POST + b"Transfer-Encoding: identity\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    b"POST /api/v1/commands HTTP/1.0\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    GET + b"\r\n",
    GET + b"Host: 127.0.0.1\r\n folded: x\r\n\r\n",
    GET + b" Host: 127.0.0.1\r\n\r\n",
    GET + b"Host: 127.0.0.1\rX: y\r\n\r\n",
    GET + b"Host: 127.0.0.1\nX: y\r\n\r\n",
    b"GET /api/v1/health HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /api/v1/health\r\nHost: 127.0.0.1\r\n\r\n",
    b"get /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET  /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET http://127.0.0.1/api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /api/v1/health%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"\x00\x00\x00\r\n\r\n",
]


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_can_be_read_in_two_ways_is_refused_and_ends_the_connection(served: Site, head: bytes) -> None:
    smuggled = b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    data = served.raw(head + smuggled)
    answer = parsed(data)
    assert answer.status in (400, 401, 421, 501)
    assert len(re.findall(rb"HTTP/1\.\d \d{3} ", data)) == 1, "the bytes behind a refused request were taken for another one"
    assert set(answer.json) == {"code", "message"}
    assert answer.headers["x-content-type-options"] == "nosniff" and "server" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "169.254.169.254", "[::2]", "localhost.evil"])
def test_a_name_that_was_led_to_us_is_misdirected(served: Site, host: str) -> None:
    for path, role in (("/api/v1/health", None), ("/api/v1/tasks", Role.ADMIN)):
        assert served.get(path, role, headers={"Host": host}).status == 421


UPS = ["..", "%2e%2e", "%2E.", "..%00", "..;", "%252e%252e", "%c0%ae%c0%ae", "%u002e", "....", ".%2e", "%ef%bc%8e%ef%bc%8e"]
SLASHES = ["/", "%2f", "%5c", "\\", "//", "%252f", "%c0%af", "/./"]
TARGETS = ["etc/passwd", "proc/self/environ", "lib/web.token", "run/middle.sock", "log/efsupervisord.log", "windows/win.ini"]
BEGINS = ["/api/v1/tasks/", "/api/v1/", "/", "/api/v1/openapi.json/", "/static/"]


def test_thousands_of_paths_lead_nowhere(served: Site) -> None:
    payloads = [
        begin + (up + slash) * depth + target for begin, up, slash, target, depth in itertools.product(BEGINS, UPS, SLASHES, TARGETS, (1, 3))
    ]
    assert len(payloads) > 5000
    seen: set[int] = set()
    secret = served.tokens[Role.ADMIN].encode()
    answered = 0
    while answered < len(payloads):
        with served.connect() as sock:
            for path in payloads[answered:]:
                sock.sendall(served.head("GET", path, Role.VIEW, {}, None))
                answer = answers_on(sock)
                answered += 1
                seen.add(answer.status)
                assert answer.status in (400, 404), path
                assert b"root:" not in answer.body and secret not in answer.body, path
                if answer.headers.get("connection") == "close":
                    break
    assert 404 in seen


def test_a_guesser_is_slowed_down_and_nobody_else_is(served: Site) -> None:
    assert served.get().status == 200
    statuses = []
    with served.connect() as sock:
        for number in range(1000):
            sock.sendall(served.head("GET", "/api/v1/tasks", None, {"Authorization": f"Bearer guess{number}"}, None))
            statuses.append(answers_on(sock).status)
    assert statuses.count(401) <= 10
    assert statuses.count(429) == 1000 - statuses.count(401)
    assert served.get().status == 200
    assert served.supervisor.efctl("status").returncode == 0
    log = (served.supervisor.var / "log" / "efsupervisord.log").read_text()
    assert "wrong token from 127.0.0.1" in log and "guess" not in log


def test_noise_ends_connections_and_nothing_else(served: Site) -> None:
    chance, pid = random.Random(4711), served.pid()
    words = [b"GET ", b"POST ", b"/api/v1/", b"HTTP/1.1", b"Host: 127.0.0.1", b"Content-Length: ", b"chunked"]
    pieces = [*words, b"\r\n", b"\r\n\r\n", b"\x00", b"\xff" * 9, b"%"]
    for _ in range(300):
        data = b"".join(chance.choice([*pieces, chance.randbytes(chance.randrange(40))]) for _ in range(chance.randrange(1, 40)))
        with served.connect() as sock:
            sock.sendall(data + b"\r\n\r\n")
    assert served.get().status == 200
    assert served.pid() == pid, "noise ended the listener"


def test_many_requests_on_one_connection_are_answered_in_order(served: Site) -> None:
    with served.connect() as sock:
        heads = [served.head("GET", path, Role.VIEW, {}, None) for path in ("/api/v1/health", "/api/v1/none", "/api/v1/tasks") * 20]
        sock.sendall(b"".join(heads[:-1]) + served.head("GET", "/api/v1/tasks", Role.VIEW, {"Connection": "close"}, None))
        data = everything(sock)
    statuses = [int(part[9:12]) for part in data.split(b"HTTP/1.1")[1:] for part in [b"HTTP/1.1" + part]]
    assert statuses == [200, 404, 200] * 20

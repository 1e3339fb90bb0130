"""A post and what a server can make of it: an answer, an error, half an answer, a drip, silence, nothing."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from efsupervisor.core.collector.announcer import Answer, Post
from efsupervisor.core.collector.poster import MAX_ANSWER, Order, Poster
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL

Send = Callable[..., Answer]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the path says."""

    seen: list[tuple[dict[str, str], bytes]] = []

    def do_POST(self) -> None:
        self.seen.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        getattr(self, "answer_" + self.path.strip("/"))()

    def answer_good(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def answer_busy(self) -> None:
        self.send_response(503)
        self.send_header("Retry-After", "7")
        self.end_headers()

    def answer_cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"abc")

    def answer_elsewhere(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/good")
        self.end_headers()

    def answer_nonsense(self) -> None:
        self.wfile.write(b"\0\1\2 nonsense\r\n\r\n")

    def answer_drip(self) -> None:
        try:
            for _ in range(200):
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            self.close_connection = True

    def answer_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 65536)
        except OSError:
            self.close_connection = True

    def answer_silence(self) -> None:
        time.sleep(1.5)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    Handler.seen.clear()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def send(port: int) -> Iterator[Send]:
    reactor = Reactor(REAL)
    poster = Poster(reactor)

    def post(path: str, *, url: str = "", timeout_s: float = 0.4, allow: tuple[str, ...] = ("127.0.0.1",)) -> Answer:
        answers: list[Answer] = []
        poster.post(Order(Post("id-1", b'{"a": 1}'), url or f"http://127.0.0.1:{port}/{path}", timeout_s, list(allow), "word", answers.append))
        end = time.monotonic() + 10
        while not answers:
            reactor.turn(0.5)
            assert time.monotonic() < end, "the post was never answered"
        return answers[0]

    yield post
    poster.close()
    reactor.close()


def test_a_post_arrives_with_its_id_and_token(send: Send) -> None:
    assert send("good").status == 200
    headers, body = Handler.seen[0]
    assert body == b'{"a": 1}'
    assert headers["Idempotency-Key"] == "id-1"
    assert headers["Authorization"] == "Bearer word"
    assert headers["Content-Type"] == "application/json"


def test_what_a_server_says_against_it_is_told(send: Send) -> None:
    answer = send("busy")
    assert (answer.status, answer.retry_after_s) == (503, 7.0)


@pytest.mark.parametrize("path", ["cut", "nonsense", "silence", "drip"])
def test_an_answer_that_is_not_whole_in_time_is_none(send: Send, path: str) -> None:
    answer = send(path)
    assert answer.status == 0
    assert answer.sentence


def test_the_thread_goes_on_after_every_failure(send: Send) -> None:
    for path in ("cut", "drip", "nonsense"):
        assert send(path).status == 0
    assert send("good").status == 200


def test_a_redirect_is_not_followed(send: Send) -> None:
    assert send("elsewhere").status == 302
    assert len(Handler.seen) == 1


def test_no_more_of_an_answer_is_read_than_its_limit(send: Send) -> None:
    assert MAX_ANSWER < 1 << 20
    assert send("endless", timeout_s=2.0).status == 200


def test_nobody_there_is_said(send: Send) -> None:
    assert "refused" in send("", url="http://127.0.0.1:1/").sentence.lower()


def test_a_private_address_that_is_not_listed_gets_no_connection(send: Send) -> None:
    assert "allow_private" in send("good", allow=()).sentence
    assert Handler.seen == []


def test_a_url_that_is_none_is_an_answer_and_no_crash(send: Send) -> None:
    assert send("", url="gopher://x").status == 0
    assert send("good").status == 200

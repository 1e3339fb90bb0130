"""A web server that collectors post to, as good or as bad as a test wants it: slow, dead, answering 500, cutting its answers.

It remembers what it accepted by the id of each post, as a server that wants each record once does, and whether an id came with other records.
"""

from __future__ import annotations

import http.server
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Self

Mood = Callable[[], str]


def good() -> str:
    """Accept everything."""
    return "good"


class Receiver:
    """Listens on a port of its own from `start` to `stop`; the port stays the same.  mood: asked for each post: `good`, `500`, `slow` (accepts,
    answers too late), `cut` (accepts, half an answer), `refuse` (400), `deaf` (closes the connection without an answer and accepts nothing)."""

    def __init__(self, mood: Mood = good, slow_s: float = 0.7) -> None:
        self.mood = mood
        self.slow_s = slow_s
        self.batches: dict[str, dict[str, Any]] = {}
        self.arrived: dict[str, float] = {}
        self.contradictions: list[str] = []
        self.tries = 0
        self._lock = threading.Lock()
        self._server: http.server.ThreadingHTTPServer | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._serve(self)

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that was killed in the middle is no news."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Be dead."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def url(self, path: str) -> str:
        """Where to post to."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def _serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            self.tries += 1
            mood = self.mood()
            if mood in ("good", "slow", "cut"):
                self._accept(body)
        if mood == "slow":
            time.sleep(self.slow_s)
        if mood == "deaf":
            request.close_connection = True
            return
        request.send_response({"500": 500, "refuse": 400}.get(mood, 200))
        request.send_header("Content-Length", "20" if mood == "cut" else "2")
        request.end_headers()
        request.wfile.write(b"{}")

    def _accept(self, body: dict[str, Any]) -> None:
        known = self.batches.setdefault(body["id"], body)
        if _told(known) != _told(body):
            self.contradictions.append(body["id"])
        self.arrived.setdefault(body["id"], time.time())

    # What it has ---------------------------------------------------------------------------------------------------------------------------------

    def records(self, stream: str) -> list[dict[str, Any]]:
        """The records of a stream, each id once, in order of their batches."""
        with self._lock:
            batches = sorted((batch for batch in self.batches.values() if batch["stream"] == stream), key=lambda batch: int(batch["sequence"]))
        return [record for batch in batches for record in batch["records"]]


def _told(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The records without their times: the journal's index may know them more exactly when a batch is posted again."""
    return [{name: value for name, value in record.items() if name != "time"} for record in batch["records"]]


def moody(seed: int, weights: dict[str, float]) -> Mood:
    """Moods drawn at random."""
    dice = random.Random(seed)
    return lambda: dice.choices(list(weights), list(weights.values()))[0]

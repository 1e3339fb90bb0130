"""One stream of posts in a collector's loop: announcer, cursor and poster put together, with the settings in force.

Without a url a stream is asleep: no thread, no file, no timer.  A url that changes takes effect with the next post.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.core.collector.announcer import Announcer, Answer, Phase, Source
from efsupervisor.core.collector.cursor import Cursor, Position
from efsupervisor.core.sibling import Sibling
from efsupervisor.reactor import Timer

if TYPE_CHECKING:
    from efsupervisor.core.collector.poster import Poster

FOLDER = "collector"


def folder_of(sibling: Sibling) -> str:
    """var/collector, made when it is missing."""
    path = f"{sibling.var}/{FOLDER}"
    with contextlib.suppress(FileExistsError):
        sibling.system.mkdir(path, 0o700)
    return path


class Stream:
    """name: part of each post's id and of file names.  url_of: where it is posted, by the settings.  fresh: the position of a stream that begins now.
    ailing: told a sentence, or nothing, whenever that may have changed."""

    def __init__(
        self,
        sibling: Sibling,
        name: str,
        source: Source,
        *,
        url_of: Callable[[SupervisorSpec], str],
        fresh: Callable[[], Position],
        ailing: Callable[[], None],
    ) -> None:
        self._sibling = sibling
        self._name = name
        self._source = source
        self._url_of = url_of
        self._fresh = fresh
        self._ailing = ailing
        self._poster: Poster | None = None
        self._timer: Timer | None = None
        self.cursor: Cursor | None = None
        self.announcer: Announcer | None = None
        if url_of(sibling.spec):
            self._wake()

    @property
    def awake(self) -> bool:
        """It has somewhere to post to."""
        return self.announcer is not None

    @property
    def position(self) -> Position:
        """How far the server has it; where it would begin while it sleeps."""
        return self.cursor.state.position if self.cursor is not None else {}

    @property
    def ailment(self) -> str:
        """Why posts fail; empty while they do not."""
        return self.announcer.ailment if self.announcer is not None else ""

    @property
    def figures(self) -> tuple[int, int, int]:
        """Posted in this life, waiting, dropped."""
        announcer = self.announcer
        return (announcer.posted, announcer.waiting, announcer.dropped) if announcer is not None else (0, 0, 0)

    def configure(self) -> None:
        """The settings changed."""
        if self._url_of(self._sibling.spec):
            if not self.awake:
                self._wake()
        elif self.awake:
            self.close()
        self._ailing()

    def poke(self) -> None:
        """There may be something to post."""
        announcer, poster = self.announcer, self._poster
        if announcer is None or poster is None:
            return
        from efsupervisor.core.collector.poster import Order  # late: it brings urllib3, 7 MiB that a collector without a url does not need

        post = announcer.next(self._sibling.system.monotonic())
        if post is not None:
            spec = self._sibling.spec
            order = Order(post, self._url_of(spec), spec.post.timeout_s, list(spec.post.allow_private), self._token(), self._answered)
            poster.post(order)
        elif announcer.phase is Phase.WAITING:
            self._arm(announcer.due - self._sibling.system.monotonic())

    def close(self) -> None:
        """Fall asleep; what waits stays where it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._poster is not None:
            self._poster.close()
            self._poster = None
        self.cursor = self.announcer = None

    def _wake(self) -> None:
        from efsupervisor.core.collector.poster import Poster  # late: see poke

        sibling, post = self._sibling, self._sibling.spec.post
        path = f"{folder_of(sibling)}/{self._name}.json"
        begins = not os.path.exists(path)
        self.cursor = Cursor(path, sibling.system, {})
        if begins:
            self.cursor.skipped(self._fresh(), 0)
        self._poster = Poster(sibling.reactor)
        self.announcer = Announcer(
            self._name,
            self._source,
            self.cursor,
            node=socket.gethostname(),
            supervisor=sibling.namespace,
            batch=post.batch,
            retry_max_s=post.retry_max_s,
        )

    def _answered(self, answer: Answer) -> None:
        announcer = self.announcer
        if announcer is None:
            return
        before = announcer.ailment
        announcer.answered(answer, self._sibling.system.monotonic())
        if announcer.ailment != before:
            if announcer.ailment:
                self._sibling.log.warning("%s", announcer.ailment)
            else:
                self._sibling.log.info("posts of stream %s arrive again", self._name)
            self._ailing()
        self.poke()

    def _arm(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._sibling.reactor.after(max(0.0, delay_s), self.poke)

    def _token(self) -> str:
        """The bearer token of the file, read anew for each post; a file that cannot be read is an empty token, and the server says the rest."""
        path = self._sibling.spec.post.token_file
        if not path:
            return ""
        try:
            with open(path, encoding="ascii") as file:
                return file.read(4096).strip()
        except (OSError, UnicodeDecodeError) as error:
            self._sibling.log.warning("post.token_file %s cannot be read: %s", path, error)
            return ""

"""StdOut: the watcher that moves what the program writes from its FIFO into the journal.

Capture is splice(2) from the FIFO into the segment file: whenever this process is killed, a byte is still in the pipe or already in the journal.  On
a full disk the bytes stay in the pipe, the program blocks in its write as in a shell pipe, and the capture goes on when there is room again.

Two instances serve a task: stdout (whose consumers are rung and may hold it back) and stderr, unless that belongs to an `event` input.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from efsupervisor.journal import Reader, Writer
from efsupervisor.reactor import READ, Timer
from efsupervisor.states import Framing
from efsupervisor.task.logfile import LogFiles
from efsupervisor.task.seat import Seat

PIECE = 1 << 20
WIDE_PIPE = 1 << 20
NARROW = 64 << 10
INDEX_S = 1.0
RETRY_S = 0.5
COUNTED = 64 << 20
"""Records of a run that wrote more are not counted: it would keep what comes next waiting."""


class StdOut:
    """Capture of one stream.  name: `out` or `err`, both the FIFO's name and the journal's.  moved: called after each piece that came."""

    def __init__(self, seat: Seat, name: str, folder: str, floor: int, moved: Callable[[], None]) -> None:
        output = seat.spec.kept(name)
        self._seat = seat
        self._name = name
        self._folder = folder
        self._moved = moved
        self._folder = folder
        self._fd = seat.system.open(seat.paths.fifo(name), os.O_RDONLY | os.O_NONBLOCK)
        max_event = seat.spec.input.max_event if seat.spec.input else 1 << 20
        self.journal = Writer(
            folder, system=seat.system, segment_bytes=output.segment_bytes, max_event=max_event, boot_id=seat.boot, floor=floor
        )
        if self.journal.damage:
            seat.alert("damage", self.journal.damage)
        self._paused: set[str] = set()
        self._border = (0, 0)
        self._index_timer: Timer | None = None
        self._retry_timer: Timer | None = None
        self._first = self.journal.first
        self._wide = False
        self._kept = self.journal.end // max(1, output.segment_bytes)
        self._files = LogFiles(seat, name, folder, self.journal.end)
        self._always = output.sync == "always"

    def rewired(self) -> None:
        """The spec changed: its limits count from now on."""
        spec = self._seat.spec
        self.journal.limit(segment_bytes=spec.kept(self._name).segment_bytes, max_event=spec.input.max_event if spec.input else 1 << 20)
        self._kept = -1
        self._always = spec.kept(self._name).sync == "always"
        self._files.rewired()
        self._files.moved(self.journal.base)

    @property
    def end(self) -> int:
        """Where the journal ends."""
        return self.journal.end

    def watch(self) -> None:
        """A program may write from now on."""
        self._files.moved(self.journal.base)
        if not self._paused:
            self._seat.reactor.watch(self._fd, READ, self._ready)

    def unwatch(self) -> None:
        """Nobody holds the write end; the FIFO would report that for ever."""
        self._seat.reactor.forget(self._fd)

    def pause(self, why: str) -> None:
        """Leave everything in the pipe until `resume(why)`."""
        self._paused.add(why)
        self._seat.reactor.forget(self._fd)

    def resume(self, why: str) -> None:
        """The reason is gone."""
        if why in self._paused:
            self._paused.discard(why)
            self.watch()

    def _ready(self, _events: int) -> None:
        try:
            moved = self.journal.splice_from(self._fd, PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(error)
            return
        if not moved:
            self.unwatch()
            return
        if moved >= NARROW and not self._wide:
            self._wide = True
            self._seat.system.pipe_size(self._fd, WIDE_PIPE)
        self._came()

    def _came(self) -> None:
        if self._seat.health:
            self._seat.well(self._name)
        if self._always:
            self._sync()  # before anybody is told of it
        if self._index_timer is None:
            self._index_timer = self._seat.reactor.after(INDEX_S, self._index)
        self._files.moved(self.journal.base)
        self._moved()

    def _failed(self, error: OSError) -> None:
        """The journal takes nothing now; what comes stays in the pipe, and we look again."""
        self._seat.ill(
            self._name,
            f"std{self._name} cannot be kept: {error.strerror}; it waits in the pipe, nothing is lost, and goes on when there is room",
        )
        self.pause("disk")
        if self._retry_timer is None or self._retry_timer.callback is None:
            self._retry_timer = self._seat.reactor.after(RETRY_S, self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        self.resume("disk")

    def _index(self) -> None:
        self._index_timer = None
        output = self._seat.spec.kept(self._name)
        now_ns = self._seat.system.wall_ns()
        self.journal.index(now_ns, checksum=None if output.sync == "never" else True)
        if output.sync != "never":
            self._sync()
        self.keep(now_ns)
        if output.compress != "none" and self.journal.first != self.journal.base:
            self._seat.pack(self._folder, self._files.trimmed)

    def _sync(self) -> None:
        """Onto the disk, with a checksum of it in the index; a disk that refuses is said, and holds nothing up."""
        try:
            self.journal.sync()
        except OSError as error:
            self._seat.ill(f"sync {self._name}", f"std{self._name} is kept, but a power loss may take its end: {error.strerror}")
        else:
            self._seat.well(f"sync {self._name}")
        if self._always:
            self.journal.index(self._seat.system.wall_ns(), checksum=True)

    def keep(self, now_ns: int) -> None:
        """Retention, when segments were closed since the last time."""
        output = self._seat.spec.kept(self._name)
        number = self.journal.end // max(1, output.segment_bytes)
        if number == self._kept and not output.keep_age_s:
            return
        self._kept = number
        try:
            told = self.journal.retain(
                keep_bytes=output.keep_bytes, keep_age_s=output.keep_age_s, needed=self.needed(), wall_ns=now_ns, hard_bytes=output.hard_bytes
            )
        except OSError as error:
            self._seat.ill("retention", f"old segments of std{self._name} cannot be removed: {error.strerror}")
            return
        self._files.trimmed()
        for sentence in told:
            self._seat.alert("retention", sentence)

    needed: Callable[[], int] = staticmethod(lambda: 1 << 62)
    """Lowest offset that a cursor still needs; set by the outlets for stdout."""

    def drain(self) -> bool:
        """After the program's death: everything that is left; True at end-of-file, False while a descendant holds the write end or the disk is
        full."""
        try:
            while True:
                moved = self.journal.splice_from(self._fd, PIECE)
                if not moved:
                    self.unwatch()
                    return True
                self._came()
        except BlockingIOError:
            return False
        except OSError as error:
            self._failed(error)
            return False

    def end_life(self, since: int, *, deliver: bool) -> None:
        """Mark what the dead program left without its end; a part of a netstring is never a record.  since: where its life began.  OSError: not
        marked."""
        border = self.journal.last_record_end(since)
        if border < self.journal.end:
            self.journal.mark_fragment(border, self.journal.end, deliver=deliver and self.journal.framing in (Framing.LINES, Framing.NUL))

    def border(self) -> int:
        """Where the record begins that is not ended yet; the end when there is none.  What was looked through once is not looked through again."""
        known, looked = self._border
        if self.journal.framing == Framing.NETSTRING:  # walks on from where it was by itself
            return self.journal.last_record_end()
        found = self.journal.last_record_end(looked if known <= looked <= self.journal.end else 0)
        self._border = (known if found == looked and known < looked else found, self.journal.end)
        return self._border[0]

    def begin_life(self) -> None:
        """A program is about to start: what it writes is framed as its spec says now.  OSError: not marked."""
        self.journal.frame(int(self._seat.spec.output.framing) if self._name == "out" else Framing.LINES)

    def records_since(self, since: int) -> int:
        """Records written from this offset on, one without its end included; -1 when that are more than COUNTED bytes, or they are gone already."""
        left = self.journal.end - since
        if not 0 <= left <= COUNTED:
            return -1
        reader, at, found, last = Reader(self._folder, system=self._seat.system), since, 0, b"\n"
        try:
            while at < self.journal.end and (data := reader.read(at, PIECE)):
                at, found, last = at + len(data), found + data.count(b"\n"), data[-1:]
        finally:
            reader.close()
        return found + (last != b"\n") if at >= self.journal.end else -1

    def rest(self) -> None:
        """The worker ends in order: index what is left, close."""
        self.journal.index(self._seat.system.wall_ns(), checksum=None)
        self.shut(clean=True)

    def shut(self, *, clean: bool = False) -> None:
        """Close the journal and the FIFO."""
        for timer in (self._index_timer, self._retry_timer):
            if timer is not None:
                timer.cancel()
        self._files.close()
        self._seat.reactor.forget(self._fd)
        self._seat.system.close(self._fd)
        self.journal.close(clean=clean)

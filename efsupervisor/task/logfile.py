"""Log files as supervisord's operators know them, beside the journals: a path at which a task's output is found, or a device that it is written to.

A path of one task's channel alone is a *link* to the segment that is written now, and `.1`, `.2` ... beside it to older ones (`.1.gz` to one that was
compressed); they are set anew when segments change.  Nothing is ever written through such a path, and a link is made under another name and renamed,
so that a folder in which others may write (/tmp) cannot make us touch their files.  A regular file that is in the way is kept as `.before`.

A device (/dev/stdout of the supervisor, a FIFO), a file that several channels name, and syslog are *fed*: a cursor reads the journal and writes what
is new, whole lines where there are some, without ever waiting.  A reader that stalls holds up nobody: the journal takes what the program writes, and
what it has to let go before the reader came back is counted and said.  After a kill of the worker the last piece may be written again.

The journal is the log; everything here may fail, is said, and is tried again, and the program runs on.
"""

from __future__ import annotations

import os
import stat

from efsupervisor.errors import EfError
from efsupervisor.journal import Reader
from efsupervisor.journal.folder import PACKED, Folder, named
from efsupervisor.reactor import WRITE, Timer
from efsupervisor.task.seat import Seat
from efsupervisor.task.sinks import Sink, sink

PIECE = 4096
"""PIPE_BUF: a piece goes into a pipe whole or not at all, and stays in one piece there."""
ROUND = 256
"""Pieces in one go; then others have their turn."""
RETRY_S = 2.0
STALL_S = 0.05
LAST_S = 1.0
SYSTEM_GROUPS = 1000
"""Below this number groups are the machine's own; useradd(8), GID_MIN."""

CHANNELS = {"out": "stdout", "err": "stderr"}


class Links:
    """The links of one channel.  path: where its log is found; folder: its journal; backups: older segments that have a link."""

    def __init__(self, seat: Seat, path: str, folder: str, backups: int) -> None:
        self._seat = seat
        self._path = path
        self._folder = folder
        self._backups = backups
        self._part = f"log {path}"

    def set(self) -> None:
        """Make them right; what goes wrong is said."""
        try:
            with Folder(self._seat.system, self._folder) as journal:
                bases = journal.bases()
            self._set(bases)
        except (OSError, EfError) as error:
            reason = error.message if isinstance(error, EfError) else error.strerror
            self._seat.ill(self._part, f"the log is not linked at {self._path}: {reason}; it is kept in {self._folder}")
        else:
            self._seat.well(self._part)

    def _set(self, bases: list[int]) -> None:
        folder, name = os.path.split(self._path)
        system = self._seat.system
        fd = system.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _demand_safe(system.fstat(fd), folder)
            for number, base in enumerate(reversed(bases[-1 - self._backups :])):
                link = f"{name}.{number}" if number else name
                packed = number > 0 and not self._is_there(named(base))
                if packed:
                    self._forget_one(fd, link)
                    self._link(fd, f"{link}.gz", f"{self._folder}/{named(base, PACKED)}", first=False)
                else:
                    self._forget_one(fd, f"{link}.gz")
                    self._link(fd, link, f"{self._folder}/{named(base)}", first=number == 0)
            self._forget(fd, name, len(bases))
        finally:
            system.close(fd)

    def _link(self, fd: int, name: str, target: str, *, first: bool) -> None:
        system = self._seat.system
        found = system.readlink(name, fd)
        if found == target:
            return
        if found is None and _exists(name, fd):
            if not first:
                return  # an older log that supervisord left there
            self._set_aside(fd, name)
        temporary = f".{name}.{os.urandom(6).hex()}"
        system.symlink(target, temporary, fd)
        try:
            system.rename(temporary, name, fd)
        except OSError:
            system.unlink(temporary, fd)
            raise

    def _set_aside(self, fd: int, name: str) -> None:
        if not stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            raise FileExistsError(17, "something that is no file is there")
        aside = next(each for each in (f"{name}.before", *(f"{name}.before-{number}" for number in range(2, 1000))) if not _exists(each, fd))
        self._seat.system.rename(name, aside, fd)
        self._seat.say("INFO", f"{self._path} was a file: it is {aside} now, and a link to the task's log stands in its place")

    def _forget(self, fd: int, name: str, count: int) -> None:
        """Links to segments that are gone."""
        number = max(1, min(count, self._backups + 1))
        while self._forget_one(fd, f"{name}.{number}") + self._forget_one(fd, f"{name}.{number}.gz"):
            number += 1

    def _forget_one(self, fd: int, name: str) -> bool:
        """Remove a link of ours; whether there was one."""
        target = self._seat.system.readlink(name, fd)
        if target is None or not target.startswith(self._folder + "/"):
            return False
        self._seat.system.unlink(name, fd)
        return True

    def _is_there(self, segment: str) -> bool:
        try:
            self._seat.system.stat(f"{self._folder}/{segment}")
        except FileNotFoundError:
            return False
        return True


def _exists(name: str, fd: int) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _demand_safe(about: os.stat_result, folder: str) -> None:
    """Only root, we, or a group of the machine itself may write there, or nobody may touch what is another's (the sticky bit)."""
    if about.st_uid not in (0, os.geteuid()):
        raise PermissionError(1, f"its folder {folder} belongs to uid {about.st_uid}, who could exchange it")
    others = about.st_mode & stat.S_IWOTH or (about.st_mode & stat.S_IWGRP and about.st_gid >= SYSTEM_GROUPS)
    if others and not about.st_mode & stat.S_ISVTX:
        raise PermissionError(1, f"others may write into its folder {folder}")


class Feed:
    """One cursor from a journal to one sink.  name: of its cursor file; start: where a new cursor begins."""

    def __init__(self, seat: Seat, name: str, journal: str, start: int, make: Sink) -> None:
        self._seat = seat
        self._sink = make
        self._reader = Reader(journal, system=seat.system)
        self._part = f"log {make.path}"
        self._fd = seat.system.open(f"{seat.paths.folder}/fed.{name}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        saved = seat.system.pread(self._fd, 8, 0)
        self._offset = int.from_bytes(saved, "little") if len(saved) == 8 else start
        self._pending = memoryview(b"")
        self._taken = 0
        self._timer: Timer | None = None
        self._watched = -1
        self._deferred = False
        self._closed = False
        self._told_dropped = 0

    def pump(self) -> None:
        """Write what is new as far as the sink takes it."""
        if self._timer is not None or self._watched >= 0:
            return
        try:
            for _ in range(ROUND):
                if not self._step():
                    self._seat.well(self._part)
                    return
        except BlockingIOError:
            self._stalled()
        except OSError as error:
            self._sink.close()
            self._seat.ill(self._part, f"{self._sink.path} cannot be written: {error.strerror}; the log is kept in the task's folder, tried again")
            self._later(RETRY_S)
        else:
            self._go_on()

    def _step(self) -> bool:
        """One piece; False when there is nothing more."""
        if not self._pending:
            data = self._reader.read(self._offset, PIECE)
            if not data:
                return self._skip()
            cut = data.rfind(b"\n") + 1
            data = data[:cut] if cut else data
            self._taken = len(data)
            self._pending = memoryview(self._sink.form(data))
        while self._pending:
            self._pending = self._pending[self._sink.write(self._pending) :]
        self._offset += self._taken
        self._seat.system.pwrite(self._fd, self._offset.to_bytes(8, "little"), 0)
        return True

    def _skip(self) -> bool:
        """Past what retention took away."""
        following = self._reader.skip(self._offset)
        lost = following - self._offset
        if lost <= 0:
            return False
        self._offset = following
        self._seat.alert("log", f"{self._sink.path} was not read in time: {lost} bytes of the log were not written to it")
        return True

    def _stalled(self) -> None:
        """Wait for room, or look again where the kernel cannot tell."""
        fd = self._sink.waits_on()
        if fd < 0:
            self._later(STALL_S)
            return
        self._watched = fd
        self._seat.reactor.watch(fd, WRITE, self._room)

    def _room(self, _events: int) -> None:
        self._unwatch()
        self.pump()

    def _unwatch(self) -> None:
        if self._watched >= 0:
            self._seat.reactor.forget(self._watched)
            self._watched = -1

    def _later(self, delay_s: float) -> None:
        def due() -> None:
            self._timer = None
            self.pump()

        self._timer = self._seat.reactor.after(delay_s, due)

    def _go_on(self) -> None:
        if not self._deferred:
            self._deferred = True
            self._seat.reactor.defer(self._next_round)

    def _next_round(self) -> None:
        self._deferred = False
        if not self._closed:
            self.pump()

    def close(self) -> None:
        """The worker ends: what is left is written if that goes within LAST_S; the next worker has the rest."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._unwatch()
        until = self._seat.system.monotonic() + LAST_S
        try:
            while self._seat.system.monotonic() < until:
                try:
                    if not self._step():
                        break
                except BlockingIOError:
                    self._sink.wait(until - self._seat.system.monotonic())
        except OSError as error:
            self._seat.say("WARN", f"{self._sink.path}: the end of the log was not written to it: {error.strerror}")
        self._reader.close()
        self._seat.system.close(self._fd)
        self._sink.close()


class LogFiles:
    """What one channel has besides its journal.  name: `out` or `err`; journal: its folder; start: where it ends now."""

    def __init__(self, seat: Seat, name: str, journal: str, start: int) -> None:
        self._seat = seat
        self._name = name
        self._journal = journal
        self._base = -1
        self._links: Links | None = None
        self._feeds: list[Feed] = []
        self._start = start
        self.rewired()

    def rewired(self) -> None:
        """The spec changed."""
        for feed in self._feeds:
            feed.close()
        self._feeds, self._links, self._base = [], None, -1
        spec, channel = self._seat.spec, CHANNELS[self._name]
        path = spec.stdout_logfile if self._name == "out" else spec.stderr_logfile
        syslog = spec.stdout_syslog if self._name == "out" else spec.stderr_syslog
        backups = spec.stdout_logfile_backups if self._name == "out" else spec.stderr_logfile_backups
        size = spec.stdout_logfile_maxbytes if self._name == "out" else spec.stderr_logfile_maxbytes
        strip = spec.strip_ansi
        if path.startswith("/") and (spec.fed_logs or not _is_file(path)):
            self._feed(self._name, sink(path, self._seat.system, size=max(0, size), backups=max(0, backups), strip=strip))
        elif path.startswith("/"):
            self._links = Links(self._seat, path, self._journal, 10 if backups < 0 else backups)
        if syslog or path == "syslog":
            label = spec.process_name or spec.name
            self._feed(f"{self._name}.syslog", sink("syslog", self._seat.system, label=f"{label} ({channel})", strip=strip))

    def _feed(self, name: str, to: Sink) -> None:
        try:
            self._feeds.append(Feed(self._seat, name, self._journal, self._start, to))
        except OSError as error:
            self._seat.ill(f"log {to.path}", f"{to.path} is not written: {error.strerror}")

    def moved(self, base: int) -> None:
        """More came.  base: where the active segment begins."""
        if self._links is not None and base != self._base:
            self._base = base
            self._links.set()
        for feed in self._feeds:
            feed.pump()

    def trimmed(self) -> None:
        """Segments may have been removed or compressed: no link leads to nothing."""
        if self._links is not None:
            self._links.set()

    def close(self) -> None:
        """The worker ends."""
        for feed in self._feeds:
            feed.close()
        self._feeds = []


def _is_file(path: str) -> bool:
    """Whether a path is a regular file, a link of ours, or nothing yet."""
    if path.startswith(("/dev/", "/proc/")):
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True

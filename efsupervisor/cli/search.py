"""`efctl log` with a time, an end or a pattern: looks through the journals' own files, in efctl itself.

So it needs no supervisor, a search through gigabytes disturbs nobody, and a regular expression that never ends is this process's own trouble: Ctrl-C
ends it.  Who may read the supervisor's folder may search.  Times come from the journals' side index, which is written about once a second: a line's
time is the time at which its bytes were noted, up to a second after they were written, and the lines of one note have the same.

Memory is bounded: of the last N lines only the places are kept until it is known which they are.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, NamedTuple

import msgspec

from efsupervisor.cli import run_log, tail
from efsupervisor.cli.client import Client
from efsupervisor.cli.terminal import PLAIN, Look
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.when import When, when
from efsupervisor.journal import Reader
from efsupervisor.journal.lines import Line, lines
from efsupervisor.system import REAL, folded, short_id

STREAMS = ("out", "err", "input", "dead")
MAX_PATTERN = 10_000


class Hunt(NamedTuple):
    """What is looked for.  since, until: None for the journal's ends.  last: only the last so many of what is found, None for all."""

    since: When | None = None
    until: When | None = None
    pattern: re.Pattern[str] | None = None
    last: int | None = None


class _Known(msgspec.Struct):
    """What is needed of task.json."""

    name: str


def hunt(since: str, until: str, grep: str, last: int | None, now: datetime | None = None) -> Hunt:
    """What the words of the command line ask for; EfError USAGE for what makes no sense."""
    moment = now or datetime.now(UTC).astimezone()
    begin, end = (when(text, moment) if text else None for text in (since, until))
    if begin and end and _behind(begin, end):
        raise EfError(f"nothing lies between {since} and {until}: the end comes before the beginning", Code.USAGE)
    return Hunt(begin, end, _pattern(grep) if grep else None, last)


def within(what: Hunt, wish: tail.Wish, client: Client, task: str, number: int) -> Hunt:
    """The same in what one run wrote.  EfError as for `efctl log --run`; USAGE when another place was said too."""
    if what.since or what.until or wish.follow or wish.stream not in ("out", "err"):
        raise EfError("a run is looked through with --grep alone: it begins and ends where it does, and has the streams `out` and `err`", Code.USAGE)
    row = run_log.found(client, task, number)
    begin, size = (row.out_from, row.out_bytes) if wish.stream == "out" else (row.err_from, row.err_bytes)
    return what._replace(since=When(offset=begin), until=When(offset=begin + size))


def _behind(begin: When, end: When) -> bool:
    if begin.offset is not None and end.offset is not None:
        return begin.offset > end.offset
    return begin.wall_ns is not None and end.wall_ns is not None and begin.wall_ns > end.wall_ns


def _pattern(text: str) -> re.Pattern[str]:
    if len(text) > MAX_PATTERN:
        raise EfError(f"a pattern has at most {MAX_PATTERN} characters", Code.USAGE)
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise EfError(f"{text[:64]!r} is no regular expression ({error}); put a \\ before signs that are meant as they are", Code.USAGE) from error


def journals(var: str, names: Sequence[str], stream: str) -> dict[str, str]:
    """Task -> folder of its journal, for tasks named by their folders alone: names, patterns and `all`; for when nobody can be asked.

    EfError when there is no such task, or the folder may not be read.
    """
    folder = os.path.join(var, "tasks")
    try:
        found = sorted(name for entry in os.listdir(folder) if (name := _name(os.path.join(folder, entry))))
    except OSError as error:
        raise EfError(f"the supervisor does not run, and its folder {folder} cannot be read: {os.strerror(error.errno or 0)}", Code.SYSTEM) from error
    chosen: dict[str, str] = {}
    for wanted in names:
        these = found if wanted == "all" else [name for name in found if fnmatch.fnmatchcase(folded(name), folded(wanted))]
        if not these:
            why = "the supervisor does not run; groups are not known then"
            raise EfError(f"no task {wanted[:64]} has left anything in {folder} ({why})", Code.NO_SUCH_TASK)
        chosen |= {name: journal(var, name, stream) for name in these}
    return chosen


def journal(var: str, task: str, stream: str) -> str:
    """Folder of one of a task's journals."""
    return os.path.join(var, "tasks", short_id(task), stream)


def _name(folder: str) -> str:
    try:
        with open(os.path.join(folder, "task.json"), "rb") as file:
            return msgspec.json.decode(file.read(65536), type=_Known).name
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ""


def run(folders: dict[str, str], what: Hunt, wish: tail.Wish, out: BinaryIO, look: Look = PLAIN) -> int:
    """Show what is found in these journals, one after the other; with `follow` what comes from then on too, until interrupted."""
    shapes = [tail.shape(name, number, folders, wish, look) for number, name in enumerate(folders)]
    searches = [_Search(name, folder, what, wish, shape, out) for (name, folder), shape in zip(folders.items(), shapes, strict=True)]
    try:
        for each in searches:
            each.first()
        while wish.follow:
            news = [each.go_on() for each in searches]
            if not any(news):
                out.flush()
                tail.pause(tail.FOLLOW_S, -1, out)
        if wish.as_json and not wish.follow:
            rows = [row for each in searches for row in each.rows]
            out.write(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
        out.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise EfError(f"a log cannot be read: {error.strerror}", Code.SYSTEM) from error
    finally:
        for each in searches:
            each.close()
    return 0


class _Search:
    """One journal: where it was looked through up to, and how what is found is shown."""

    def __init__(self, name: str, folder: str, what: Hunt, wish: tail.Wish, shape: list[Callable[..., bytes]], out: BinaryIO) -> None:
        self.rows: list[dict[str, Any]] = []
        self._name = name
        self._reader = Reader(folder, system=REAL)
        self._what = what
        self._wish = wish
        self._shape = shape
        self._out = out
        self._at = 0
        self._noted = (0, 0)

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()

    def first(self) -> None:
        """What is there."""
        stop = self._stop()
        found = self._found(self._start(), stop)
        if self._what.last is not None:
            places = deque((line.offset for line in found), maxlen=self._what.last)
            found = (line for at in places if (line := next(lines(self._reader, at, at + 1), None)) is not None)
        for line in found:
            self._show(line)

    def go_on(self) -> bool:
        """What came since; False when nothing did."""
        begin, end = self._at, self._reader.end()
        for line in self._found(begin, end):
            if not line.whole:
                break  # it is met again when it is longer
            self._show(line)
        return self._at > begin

    def _start(self) -> int:
        since = self._what.since
        if since is None:
            return self._reader.first()
        if since.offset is not None:
            return max(since.offset, self._reader.first())
        return self._reader.record_start(self._reader.at_time(since.wall_ns or 0))

    def _stop(self) -> int:
        until, end = self._what.until, self._reader.end()
        if until is None:
            return end
        return min(end, until.offset) if until.offset is not None else self._reader.by_time(until.wall_ns or 0)

    def _found(self, start: int, stop: int) -> Iterator[Line]:
        self._at = start
        for line in lines(self._reader, start, stop):
            if line.whole or not self._wish.follow:
                self._at = line.next
            if self._what.pattern is None or self._what.pattern.search(line.data.decode("utf-8", "surrogateescape")):
                yield line

    def _show(self, line: Line) -> None:
        if self._wish.as_json:
            self._show_row(line)
            return
        data = line.data + b"\n"
        for filter_ in self._shape:
            data = filter_(data, final=False)
        self._out.write(data)

    def _show_row(self, line: Line) -> None:
        text = line.data.decode("utf-8", "backslashreplace")
        row = {"task": self._name, "stream": self._wish.stream, "offset": line.offset, "time": self._time(line.offset), "text": text}
        if self._wish.follow:
            self._out.write(msgspec.json.encode(row) + b"\n")
        else:
            self.rows.append(row)

    def _time(self, offset: int) -> str | None:
        """When it was noted, as ISO 8601; None when it was not yet."""
        if not self._noted[0] > offset:
            self._noted = self._reader.time_of(offset)
        wall_ns = self._noted[1]
        return datetime.fromtimestamp(wall_ns / 1e9, UTC).astimezone().isoformat(timespec="milliseconds") if wall_ns else None


def folders_of(var: str, names: Iterable[str], known: Callable[[list[str]], list[str]], stream: str) -> dict[str, str]:
    """Task -> folder of its journal.  known: asks the Core what the names stand for; when it does not run, the folders themselves are asked."""
    wanted = list(names)
    try:
        found = known([] if "all" in wanted else wanted)
    except EfError as error:
        if error.code not in (Code.NOT_RUNNING, Code.TIMEOUT):
            raise
        return journals(var, wanted, stream)
    return {name: journal(var, name, stream) for name in found}

"""What each command of `efctl` does: a client, arguments that were parsed, and text on stdout; the exit status is what is returned.

Errors leave as EfError for the edge in `main`.  Nothing here parses words, and nothing here imports click, so that the commands can be run without
it.
"""

from __future__ import annotations

import os
import select
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import msgspec

import efsupervisor
from efsupervisor.cli import render
from efsupervisor.cli.client import Client
from efsupervisor.errors import TABLE, Code, EfError
from efsupervisor.messages import Outcome, ReadReply

ALL = "all"
FOLLOW_S = 0.2


def names_of(words: Iterable[str]) -> list[str]:
    """Names from words that may be comma lists: in order, each once; `all` anywhere is just `all`."""
    names = list(dict.fromkeys(name for word in words for name in (part.strip() for part in word.split(",")) if name))
    return [ALL] if ALL in names else names


def _some(words: Iterable[str]) -> list[str]:
    names = names_of(words)
    if not names:
        raise EfError("no task is named; name some, or say `all`", Code.USAGE)
    return names


# Status -------------------------------------------------------------------------------------------------------------------------------------------


def status(client: Client, words: Iterable[str], *, as_json: bool) -> int:
    """The table of the named tasks, or of all; as JSON one array of objects with every field of the protocol."""
    names = names_of(words)
    rows = client.status([] if names == [ALL] else names)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n")
    elif rows:
        sys.stdout.write(render.table(rows))
    else:
        sys.stdout.write("there are no tasks\n")
    return 0


def version(client: Client) -> int:
    """efctl's own version, then the daemon's."""
    sys.stdout.write(f"efctl {own_version()}\n")
    reply = client.version()
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(reply.since_wall))
    sys.stdout.write(f"efsupervisord {render.one_line(reply.version)}, pid {reply.pid}, since {since}, protocol {reply.protocol}\n")
    return 0


def own_version() -> str:
    """efctl's own."""
    return efsupervisor.__version__


# Goals --------------------------------------------------------------------------------------------------------------------------------------------


def act(client: Client, words: Iterable[str], *, wait: bool) -> int:
    """Start tasks."""
    return report(client.act(_some(words), wait=wait), "started")


def trm(client: Client, words: Iterable[str], *, wait: bool) -> int:
    """Stop tasks."""
    return report(client.trm(_some(words), wait=wait), "stopped")


def shutdown(client: Client) -> int:
    """Stop everything, the daemon too."""
    return report(client.shutdown(), "stopped")


def report(outcomes: list[Outcome], done: str) -> int:
    """A line for each task, failures on stderr.  0 when all went well; the code's own status when all failures agree, 1 when they differ."""
    for outcome in outcomes:
        (sys.stdout if outcome.ok else sys.stderr).write(render.outcome(outcome, done))
    codes = {outcome.code for outcome in outcomes if not outcome.ok}
    if not codes:
        return 0
    code = codes.pop() if len(codes) == 1 else Code.TASK_FAILED
    return TABLE[code].exit_status or TABLE[Code.TASK_FAILED].exit_status


# Events -------------------------------------------------------------------------------------------------------------------------------------------


def put(client: Client, task: str, texts: Iterable[str], stdin: BinaryIO) -> int:
    """Put each text as one event, `-` each line of `stdin`; stops at the first that is refused and says how many are in."""
    count = 0
    for data in _events(texts, stdin):
        outcome = client.put(task, uuid.uuid4().hex, data)
        if not outcome.ok:
            before = f"; the {count} before it are in the queue" if count else ""
            raise EfError(f"event {count + 1} was not put into {task}: {render.one_line(outcome.sentence)}{before}", outcome.code)
        count += 1
    sys.stdout.write(f"{task}: {count} event{'' if count == 1 else 's'} put\n")
    return 0


def _events(texts: Iterable[str], stdin: BinaryIO) -> Iterator[bytes]:
    for text in texts:
        if text == "-":
            yield from (line.removesuffix(b"\n") for line in stdin)
        else:
            yield os.fsencode(text)


# Logs ---------------------------------------------------------------------------------------------------------------------------------------------


def tail(client: Client, words: Iterable[str], *, stream: str, lines: int, follow: bool, prefix: bool, raw: bool, out: BinaryIO) -> int:
    """The last lines of tasks, and with `follow` what they write from then on, until interrupted.

    Several tasks are shown line by line, with their names.  A terminal gets neutral text unless `raw`.
    """
    names = _some(words)
    if names == [ALL]:
        names = [row.name for row in client.status([])]
    many = len(names) > 1
    width = max(map(len, names), default=0) if many else 0
    tails = [Tail(client, name, stream, f"{name:{width}} | " if prefix or many else "", neutral=not raw and out.isatty(), out=out) for name in names]
    for each in tails:
        each.begin(lines)
    while follow:
        news = [each.go_on() for each in tails]
        if not any(news):
            out.flush()
            _pause(FOLLOW_S, client.fileno(), out)
    for each in tails:
        each.finish()
    out.flush()
    return 0


class Tail:
    """Where one task's journal was read up to, and how it is shown."""

    def __init__(self, client: Client, task: str, stream: str, prefix: str, *, neutral: bool, out: BinaryIO) -> None:
        self._client = client
        self._task = task
        self._stream = stream
        self._offset = 0
        self._out = out
        self._neutral = render.Neutral() if neutral else None
        self._lines = render.Lines(prefix.encode()) if prefix else None

    def begin(self, lines: int) -> None:
        """Show the last lines, up to where the journal ends now."""
        reply = self._client.read(self._task, self._stream, lines=lines)
        end = reply.end
        self._show(reply)
        while self._offset < end and self.go_on():
            pass

    def go_on(self) -> bool:
        """Show what came since; False when nothing did."""
        asked = self._offset
        reply = self._client.read(self._task, self._stream, offset=asked)
        if reply.offset > asked:
            self._notice(f"{reply.offset - asked} bytes are no longer there")
        if reply.end < asked:
            self._notice("the log was begun anew")
            reply = self._client.read(self._task, self._stream, offset=0)
        self._show(reply)
        return bool(reply.data)

    def finish(self) -> None:
        """Give out what was held back."""
        self._write(b"", final=True)

    def _notice(self, sentence: str) -> None:
        self._out.flush()
        sys.stderr.write(f"efctl: {self._task}: {sentence}\n")

    def _show(self, reply: ReadReply) -> None:
        self._offset = reply.next
        self._write(reply.data, final=False)

    def _write(self, data: bytes, *, final: bool) -> None:
        if self._neutral is not None:
            data = self._neutral(data, final=final)
        if self._lines is not None:
            data = self._lines(data, final=final)
        if data:
            self._out.write(data)


def _pause(seconds: float, connection: int, out: BinaryIO) -> None:
    """Wait for the next look; less when the Core ends.  BrokenPipeError when nobody reads our output any more (a quiet log would not tell)."""
    poll = select.poll()
    if connection >= 0:
        poll.register(connection, select.POLLIN)
    output = _descriptor(out.fileno)
    if output >= 0:
        poll.register(output, 0)
    if any(fd == output for fd, _ in poll.poll(seconds * 1000)):
        raise BrokenPipeError


def _descriptor(fileno: Callable[[], int]) -> int:
    try:
        return fileno()
    except OSError:  # a buffer in memory has none
        return -1

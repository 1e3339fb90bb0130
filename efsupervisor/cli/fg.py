"""`efctl fg`: a task as if it ran in this terminal: what it writes is shown as it comes, what is typed goes into its input queue, line by line.

The task is not touched by who looks at it: Ctrl-C (or Ctrl-D on a terminal) ends the looking, a task that ends is told and ends it too.  A line is an
event like any other: it is delivered once, acknowledged, and waits while the task is at rest.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from typing import BinaryIO

from efsupervisor.cli import render
from efsupervisor.cli.client import Client
from efsupervisor.cli.tail import Reader, Tail, Wish
from efsupervisor.cli.terminal import Look
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import SpecsReply, SpecsRequest, TaskDetail, TaskStatus

LOOK_S = 0.1
STATUS_S = 0.5
PIECE = 64 << 10
NO_INPUT = "it takes no events: give it an `input:` section, or a flow that ends at it; what you type goes nowhere"


def attach(client: Client, word: str, typed: BinaryIO, out: BinaryIO, err: BinaryIO, look: Look) -> int:
    """Show and take until the task is at rest or the person goes; the exit status.  EfError when the word is not one task that runs."""
    detail = _the_one(client, word)
    row = client.status([detail.spec.name])[0]
    if row.state.at_rest:
        raise EfError(f"{row.name} is {row.state}{f': {row.reason}' if row.reason else ''}; start it first", Code.BAD_STATE)
    takes = detail.spec.input is not None or bool(detail.from_tasks)
    _say(f"{row.name} is {row.state}{f', pid {row.pid}' if row.pid else ''}; Ctrl-C detaches, and it goes on")
    if not takes:
        _say(f"{row.name}: {NO_INPUT}")
    watched = Watched(client, row.name, out, err, look)
    lines = Typed(typed, (lambda line: _put(client, row.name, line)) if takes else lambda _line: _say(f"{row.name}: {NO_INPUT}"))
    try:
        return watched.until_it_rests(lines)
    except KeyboardInterrupt:
        _say(f"detached; {row.name} goes on")
        return 0


def _the_one(client: Client, word: str) -> TaskDetail:
    replies = client.ask(SpecsRequest(id=client.next_id(), names=[word]))
    rows = [row for reply in replies if isinstance(reply, SpecsReply) for row in reply.tasks]
    if len(rows) != 1:
        raise EfError(f"{word} stands for {render.counted(len(rows), 'task')}; name one", Code.USAGE)
    return rows[0]


def _put(client: Client, task: str, line: bytes) -> None:
    try:
        outcome = client.put(task, os.urandom(16).hex(), line)
    except EfError as error:
        _say(f"not put: {error.message}")
        return
    if not outcome.ok:
        _say(f"not put: {outcome.sentence}")


def _say(sentence: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"efctl: {render.one_line(sentence)}\n")
    sys.stderr.flush()


class Typed:
    """Lines of an input, handed on as soon as they are whole; the last one also without its newline.  ended: nothing more comes."""

    def __init__(self, source: BinaryIO, take: Callable[[bytes], None]) -> None:
        self.fd = source.fileno()
        self.is_terminal = source.isatty()
        self.ended = False
        self._take = take
        self._held = b""

    def read(self) -> None:
        """What is there now; blocks when nothing is."""
        data = os.read(self.fd, PIECE)
        *lines, self._held = (self._held + data).split(b"\n")
        if not data:
            self.ended = True
            lines = [self._held] if self._held else []
        for line in lines:
            self._take(line)


class Watched:
    """What one task writes, on both channels, and whether it still runs."""

    def __init__(self, client: Client, task: str, out: BinaryIO, err: BinaryIO, look: Look) -> None:
        self._client = client
        self._task = task
        self._out = out
        shape = [render.Neutral()] if look.terminal else []
        self._tails = [
            Tail(task, self._reader("out"), list(shape), Wish("out", 10, follow=True), out),
            Tail(task, self._reader("err"), [render.Neutral()] if err.isatty() else [], Wish("err", 0, follow=True), err),
        ]
        self._streams = (out, err)

    def _reader(self, stream: str) -> Reader:
        return lambda offset, lines: self._client.read(self._task, stream, offset=offset, lines=lines)

    def until_it_rests(self, typed: Typed) -> int:
        """Show what comes, take what is typed; 0 when it ended or the person left."""
        for tail in self._tails:
            tail.begin()
        looked = time.monotonic()
        while not (typed.ended and typed.is_terminal):
            if not any([tail.go_on() for tail in self._tails]):
                self._flush()
                self._pause(typed)
            if time.monotonic() - looked >= STATUS_S:
                looked = time.monotonic()
                row = self._row()
                if row is None or row.state.at_rest:
                    return self._told(row)
        raise KeyboardInterrupt  # Ctrl-D is a way to go too

    def _row(self) -> TaskStatus | None:
        rows = [row for row in self._client.status([]) if row.name == self._task]
        return rows[0] if rows else None

    def _told(self, row: TaskStatus | None) -> int:
        for tail in self._tails:
            while tail.go_on():
                pass
            tail.finish()
        self._flush()
        _say(f"{self._task} is {row.state}: {row.reason}" if row is not None else f"{self._task} is not there any more")
        return 0

    def _flush(self) -> None:
        for stream in self._streams:
            stream.flush()

    def _pause(self, typed: Typed) -> None:
        """Until something is typed or it is time to look; BrokenPipeError when nobody reads our output any more."""
        poll = select.poll()
        if not typed.ended:
            poll.register(typed.fd, select.POLLIN)
        output = self._out.fileno()
        poll.register(output, 0)
        ready = [fd for fd, _ in poll.poll(LOOK_S * 1000)]
        if output in ready:
            raise BrokenPipeError
        if typed.fd in ready:
            typed.read()

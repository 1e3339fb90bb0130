"""Who may be asked for figures and results: collectors that said lately that they are there, and the questions that are under way.

A collector is known by the line it speaks on, never by what it calls itself elsewhere; the last one to say a name has it.  A question carries an id
of ours, so nothing a collector says can be taken for the answer to somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from efsupervisor.errors import Code, EfError
from efsupervisor.messages import FailedReply
from efsupervisor.messages.call import Answer, Answered, ResourceQuery, ResultQuery, joined
from efsupervisor.reactor import Reactor, Timer

FRESH_S = 3.5
"""A collector says Here every second; one that was not heard for so long is not there."""
ANSWER_S = 4.0
NAMES = ("resource", "result")
MAX_QUESTIONS = 256
MAX_PARTS = 1024


class Line(Protocol):
    """A collector's line, as the router has it."""

    def tell(self, message: object) -> None: ...


class _Place(NamedTuple):
    line: Line
    heard_at: float


class _Question:
    __slots__ = ("done", "failed", "line", "parts", "timer")

    def __init__(self, line: Line, done: Callable[[Answer], None], failed: Callable[[BaseException], None], timer: Timer) -> None:
        self.line = line
        self.done = done
        self.failed = failed
        self.timer = timer
        self.parts: list[Answer] = []


class Collectors:
    """The collectors that are there, by name."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._places: dict[str, _Place] = {}
        self._questions: dict[str, _Question] = {}
        self._number = 0

    def here(self, line: Line, name: str) -> None:
        """A collector says that it may be asked."""
        if name in NAMES:
            self._places[name] = _Place(line, self._reactor.now)

    def ask(self, name: str, query: ResourceQuery | ResultQuery, done: Callable[[Answer], None], failed: Callable[[BaseException], None]) -> None:
        """Ask a collector; one of the two is called, at the latest after ANSWER_S."""
        place = self._places.get(name)
        if place is None or self._reactor.now - place.heard_at > FRESH_S:
            failed(EfError(f"the {name} collector is not there; `efctl services` tells what ails it", Code.NOT_RUNNING))
            return
        if len(self._questions) >= MAX_QUESTIONS:
            failed(EfError(f"the {name} collector has too many questions to answer; try again", Code.REFUSED))
            return
        self._number += 1
        own_id = f"q{self._number}"
        timer = self._reactor.after(ANSWER_S, lambda: self._overdue(own_id, name))
        self._questions[own_id] = _Question(place.line, done, failed, timer)
        place.line.tell(msgspec.structs.replace(query, id=own_id))

    def said(self, line: Line, message: Answered | FailedReply) -> None:
        """Something came on a line that might be an answer; what nobody asked that line for is dropped."""
        question = self._questions.get(message.id)
        if question is None or question.line is not line:
            return
        if isinstance(message, FailedReply):
            self._take(message.id).failed(EfError(message.sentence, message.code))
            return
        question.parts.append(message.answer)
        if len(question.parts) > MAX_PARTS:
            self._take(message.id).failed(EfError("the collector's answer has no end", Code.TOO_LARGE))
        elif not message.more:
            self._take(message.id).done(joined(question.parts))

    def gone(self, line: Line) -> None:
        """A line is not there any more."""
        self._places = {name: place for name, place in self._places.items() if place.line is not line}
        for own_id in [own_id for own_id, question in self._questions.items() if question.line is line]:
            self._take(own_id).failed(EfError("the collector went away before it answered; try again", Code.NOT_RUNNING))

    def _overdue(self, own_id: str, name: str) -> None:
        self._take(own_id).failed(EfError(f"the {name} collector did not answer within {ANSWER_S:g} s", Code.TIMEOUT))

    def _take(self, own_id: str) -> _Question:
        question = self._questions.pop(own_id)
        question.timer.cancel()
        return question

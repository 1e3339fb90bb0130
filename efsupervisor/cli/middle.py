"""The middle interface as efctl sees it: a verb or a line of the console language goes there as one call, and all frames of its answer come back.

It is meant to answer within milliseconds and is replaced by another when it is not there, so efctl is less patient with it than with the Core: what
`line` calls silence ends after SILENCE_S, and whoever asked goes another way (`session`).
"""

from __future__ import annotations

import msgspec

from efsupervisor.cli.line import Clock, Limits, Line, Peer
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.verb import Verb
from efsupervisor.messages.call import About, Answer, Answered, Call, ConsoleCall, FromMiddle, Lines, joined
from efsupervisor.messages.core import FailedReply

SILENCE_S = 1.5
PING_S = 0.75
ANSWER_S = 5.0
MARGIN_S = 0.5
"""The middle interface is told of a deadline that is shorter by this, so that its own sentence comes in time."""


class Middle:
    """Speaks with the middle interface that listens at `path`.  The owner closes it."""

    def __init__(self, path: str, clock: Clock | None = None) -> None:
        peer = Peer(path, "the middle interface", FromMiddle, _sign_of_life, silence_s=SILENCE_S, ping_s=PING_S, lively=_lively)
        self.line = Line(peer, clock)

    def call(self, verb: Verb, call_id: str, *, endless: bool) -> Answer:
        """What the verb answers.  EfError as it says; line.Unreachable when nothing was heard."""
        fields = msgspec.Raw(_encoded(verb))
        return self._ask(Call(id=call_id, verb=verb.name, fields=fields, deadline_s=_told(endless)), call_id, endless)

    def console(self, text: str, call_id: str, language: str) -> Lines:
        """What a line of the console language answers; it may take as long as it takes."""
        answer = self._ask(ConsoleCall(id=call_id, line=text, deadline_s=0, language=language), call_id, endless=True)
        if not isinstance(answer, Lines):
            raise EfError("the middle interface did not answer with lines", Code.BAD_REQUEST)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self.line.close()

    def _ask(self, call: Call | ConsoleCall, call_id: str, endless: bool) -> Answer:
        parts: list[Answer] = []
        for message in self.line.ask(call, call_id, Limits(None if endless else ANSWER_S, watched=True)):
            if message is None:
                parts.clear()
            elif isinstance(message, FailedReply):
                raise EfError(message.sentence, message.code)
            elif isinstance(message, Answered):
                parts.append(message.answer)
                if not message.more:
                    return joined(parts)
        raise AssertionError("only an answer or an error ends the loop")


def _encoded(verb: Verb) -> bytes:
    try:
        return msgspec.json.encode(verb)
    except UnicodeEncodeError as error:
        raise EfError("a name or text holds bytes that are no UTF-8", Code.BAD_NAME) from error


def _told(endless: bool) -> float:
    return 0.0 if endless else ANSWER_S - MARGIN_S


def _sign_of_life(request_id: str) -> msgspec.Struct:
    return Call(id=request_id, verb="daemon.version")


def _lively(message: msgspec.Struct) -> bool:
    """The middle interface speaks in the Core's place when that says nothing: then the time since when the Core runs is not known."""
    return not (isinstance(message, Answered) and isinstance(message.answer, About) and not message.answer.since)

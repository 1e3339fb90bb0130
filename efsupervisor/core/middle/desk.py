"""What callers say to the middle interface, answered: checked, run once, in time, and noted down.

    call -> verb -> role -> seen before? -> errand -> answer in frames

A call that changes something is known by its caller's user and its id.  While it is under way a second one with that id waits for the same outcome;
later it is answered from memory.  One that changes nothing is simply run again.

A deadline is kept by the desk, not by the verb: when it passes, the caller reads what became of the command.  What changes nothing is ended then, and
also when its caller is gone; what changes something goes on, once a word of it has reached the Core.

`daemon.version` and `daemon.services` are answered whatever the Core does, for they are how people ask what is wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from efsupervisor.core.middle.errand import Errand
from efsupervisor.core.middle.house import Means, MiddleHouse
from efsupervisor.core.middle.memory import Memory
from efsupervisor.errors import Code, EfError
from efsupervisor.interface import console, words
from efsupervisor.interface.calls import lesser, permit, verb_of
from efsupervisor.interface.daemon import DaemonVersion
from efsupervisor.interface.house import Caller
from efsupervisor.interface.verb import Verb
from efsupervisor.messages import MAX_FRAME, FailedReply, encode
from efsupervisor.messages.call import About, Answer, Answered, Call, ConsoleCall, Done, parted
from efsupervisor.reactor import Timer
from efsupervisor.states import Role

MAX_JOBS = 4096
MAX_ID = 200
SIGN_OF_LIFE_S = 0.5
"""How long the Core may take to say who it is before the middle interface says so in its place."""
LONGEST_S = 7 * 86_400.0
SHOWN = 120


class Peer(Protocol):
    """A caller, whatever carries his words.  str(peer) tells who he is, for the log."""

    @property
    def uid(self) -> int: ...
    def begin(self) -> None:
        """A call of his is under way."""
        ...

    def answer(self, frames: Iterable[object]) -> None:
        """The end of a call: send these frames in order, as fast as he reads."""
        ...


class Waiter(NamedTuple):
    """Somebody who waits for an outcome.  console: he gets lines.  timer: of his deadline."""

    peer: Peer
    call: Call | ConsoleCall
    timer: Timer | None


class Job:
    """One verb under way and who waits for it."""

    __slots__ = ("call_id", "errand", "house", "uid", "verb", "waiters")

    def __init__(self, verb: Verb, house: MiddleHouse, uid: int, call_id: str) -> None:
        self.verb = verb
        self.house = house
        self.uid = uid
        self.call_id = call_id
        self.waiters: list[Waiter] = []
        self.errand: Errand

    @property
    def goes_on(self) -> bool:
        """It may have changed something, so its outcome counts whoever waits."""
        return self.verb.changes and self.house.passed_on


class Desk:
    """Every call of every caller.  about: who answers in the Core's place, given what ails it."""

    def __init__(self, means: Means, about: Callable[[EfError], About], log: logging.Logger) -> None:
        self._means = means
        self._about = about
        self._log = log
        self._memory: Memory[Job] = Memory()
        self._jobs: dict[Job, None] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def serve(self, peer: Peer, call: Call | ConsoleCall) -> None:
        """Take one call; it is answered now or later, exactly once.  Never raises for what the call holds."""
        peer.begin()
        try:
            self._take(peer, call)
        except EfError as error:
            if error.code is Code.REFUSED:
                self._log.warning("%s: %s", peer, error.message)
            peer.answer(frames(call, error))

    def gone(self, peer: Peer) -> None:
        """A caller went away: what changes nothing and is awaited by nobody else is ended."""
        for job in list(self._jobs):
            for waiter in [waiter for waiter in job.waiters if waiter.peer is peer]:
                self._drop(job, waiter)

    # A call --------------------------------------------------------------------------------------------------------------------------------------

    def _take(self, peer: Peer, call: Call | ConsoleCall) -> None:
        if not 0 < len(call.id) <= MAX_ID:
            raise EfError(f"a call needs an id of 1 to {MAX_ID} characters", Code.BAD_REQUEST)
        verb = console.parse(call.line) if isinstance(call, ConsoleCall) else verb_of(call.verb, bytes(call.fields))
        caller = Caller(lesser(Role.ADMIN, call.role), described(peer, call.on_behalf), call.language)
        permit(verb, caller)
        content = (verb, call.on_behalf)
        earlier = self._memory.find(peer.uid, call.id, content) if verb.changes else None
        if earlier is not None and earlier.outcome is not None:
            peer.answer(frames(call, earlier.outcome))
        elif earlier is not None and earlier.job is not None:
            self._join(earlier.job, peer, call)
        else:
            self._begin(verb, caller, peer, call)

    def _begin(self, verb: Verb, caller: Caller, peer: Peer, call: Call | ConsoleCall) -> None:
        if len(self._jobs) >= MAX_JOBS:
            raise EfError(f"{MAX_JOBS} commands are under way already; try again", Code.REFUSED)
        patience_s = SIGN_OF_LIFE_S if isinstance(verb, DaemonVersion) else None
        job = Job(verb, MiddleHouse(self._means, caller, call.id if verb.changes else "", patience_s), peer.uid, call.id)
        self._jobs[job] = None
        self._join(job, peer, call)
        if verb.changes:
            self._memory.begin(peer.uid, call.id, (verb, call.on_behalf), job)
        job.errand = Errand(verb.run(job.house), lambda outcome: self._ended(job, outcome), self._log)
        job.errand.start()

    def _join(self, job: Job, peer: Peer, call: Call | ConsoleCall) -> None:
        """The caller waits for this outcome, until his deadline."""
        timer = None
        if call.deadline_s > 0:
            timer = self._means.reactor.after(min(call.deadline_s, LONGEST_S), lambda: self._overdue(job, waiter))
        waiter = Waiter(peer, call, timer)
        job.waiters.append(waiter)

    # Ends ----------------------------------------------------------------------------------------------------------------------------------------

    def _ended(self, job: Job, outcome: Answer | EfError) -> None:
        del self._jobs[job]
        if isinstance(job.verb, DaemonVersion) and isinstance(outcome, EfError) and outcome.code in (Code.TIMEOUT, Code.NOT_RUNNING):
            outcome = self._about(outcome)
        if job.verb.changes:
            self._memory.end(job.uid, job.call_id, outcome)
            self._log.info("%s: %s: %s", job.house.caller.who, subject(job.verb), told(outcome))
        for waiter in job.waiters:
            if waiter.timer is not None:
                waiter.timer.cancel()
            waiter.peer.answer(frames(waiter.call, outcome))

    def _overdue(self, job: Job, waiter: Waiter) -> None:
        error = EfError(f"{job.verb.name} was not done within {waiter.call.deadline_s:g} s{self._why(job)}", Code.TIMEOUT)
        self._drop(job, waiter)
        waiter.peer.answer(frames(waiter.call, error))

    def _why(self, job: Job) -> str:
        if job.goes_on:
            return "; it was passed on to the Core and goes on: look at the status, or say it again with the same id"
        lost = self._means.link.lost_at is not None
        return f"{' because the Core cannot be reached' if lost else ''}; nothing was {'done' if job.verb.changes else 'changed'}"

    def _drop(self, job: Job, waiter: Waiter) -> None:
        """This one does not wait any more; end what nobody waits for and nothing needs."""
        if waiter.timer is not None:
            waiter.timer.cancel()
        job.waiters.remove(waiter)
        if job.waiters or job.goes_on:
            return
        del self._jobs[job]
        job.errand.cancel()
        job.house.forget()
        if job.verb.changes:
            self._memory.end(job.uid, job.call_id, EfError("given up", Code.TIMEOUT))
            self._log.info("%s: %s: given up before anything was done", job.house.caller.who, subject(job.verb))


# Words -------------------------------------------------------------------------------------------------------------------------------------------


def frames(call: Call | ConsoleCall, outcome: Answer | EfError) -> Iterator[object]:
    """The frames of an answer, made one by one; lines for who spoke the console language."""
    if isinstance(call, ConsoleCall):
        outcome = words.refused(outcome) if isinstance(outcome, EfError) else words.said(outcome)
    if isinstance(outcome, EfError):
        sentence = outcome.message[: MAX_FRAME // 8].encode("utf-8", "backslashreplace").decode()  # a path may hold bytes that are no text
        yield FailedReply(id=call.id[:MAX_ID], code=outcome.code, sentence=sentence)
        return
    parts = parted(outcome)
    part: Answer | None = next(parts)
    while part is not None:
        following = next(parts, None)
        frame = Answered(id=call.id, answer=part, more=following is not None)
        if len(encode(frame)) > MAX_FRAME:
            yield FailedReply(id=call.id, code=Code.TOO_LARGE, sentence="a part of the answer does not fit into a frame; ask for less")
            return
        yield frame
        part = following


def described(peer: Peer, on_behalf: str) -> str:
    """Who asks, for logs."""
    return f"{peer} for {words.flat(on_behalf)[:SHOWN]}" if on_behalf else str(peer)


def subject(verb: Verb) -> str:
    """A verb and what it is about, for the log: never what it says, which may be a secret."""
    first = getattr(verb, verb.positional[0]) if verb.positional else ""
    return words.flat(f"{verb.name} {', '.join(first) if isinstance(first, list) else first}".strip())[:SHOWN]


def told(outcome: Answer | EfError) -> str:
    """What came of it, for the log."""
    if isinstance(outcome, EfError):
        return f"{outcome.code}: {outcome.message}"
    bad = [row for row in outcome.rows if not row.ok] if isinstance(outcome, Done) else []
    return f"{bad[0].code}: {bad[0].task} {bad[0].sentence}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "") if bad else "done"

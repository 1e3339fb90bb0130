"""Dead letters: events that a task's program died of or did not take, and what is to become of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import done, first
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, TaskName, Verb
from efsupervisor.messages.call import Answer, Done, Letters
from efsupervisor.messages.core import LetterRow, LettersReply, LettersRequest, Outcome, SettleRequest, StatusReply, StatusRequest
from efsupervisor.states import Role

MAX_ROWS = 10_000
"""Letters of one answer."""

Letter = Annotated[str, Meta(pattern="^([0-9]{1,19}|all)$", description="number of a dead letter, or `all`")]
OneLetter = Annotated[int, Meta(ge=0, le=1 << 62, description="number of a dead letter; the latest when left out")]


class DlqList(Verb, frozen=True, kw_only=True):
    """List the dead letters of tasks that were neither put back nor dropped."""

    name = "dlq.list"
    console = "shw dlq"
    command = "dlq ls"
    positional = ("names",)
    names: Names = []

    async def run(self, house: House) -> Answer:
        """A row for each letter, task by task, oldest first."""
        replies = await house.ask(StatusRequest(id=house.next_id(), names=self.names))
        tasks = [row for reply in replies if isinstance(reply, StatusReply) for row in reply.tasks]
        rows: list[LetterRow] = []
        for task in tasks:
            if self.names or task.dead_letters:
                rows += await standing(house, task.name)
        return Letters(rows=rows[:MAX_ROWS])


class DlqShow(Verb, frozen=True, kw_only=True):
    """Show one dead letter: the event, why it was given up, how the program died and what it had said last."""

    name = "dlq.show"
    console = "shw letter"
    command = "dlq show"
    positional = ("task", "letter")
    task: TaskName
    letter: OneLetter | None = None

    async def run(self, house: House) -> Answer:
        """One row with all that is known."""
        number = self.letter
        if number is None:
            rows = await standing(house, self.task)
            if not rows:
                raise EfError(f"{self.task} has no dead letters", Code.NO_SUCH_TASK)
            number = rows[-1].letter
        reply = first(await house.ask(LettersRequest(id=house.next_id(), task=self.task, letter=number)), LettersReply)
        return Letters(rows=reply.rows, whole=True)


class DlqRetry(Verb, frozen=True, kw_only=True):
    """Put the events of dead letters back into their task's own input queue, each once."""

    name = "dlq.retry"
    role = Role.OPERATE
    console = "set dlq"
    command = "dlq retry"
    positional = ("task", "letter")
    changes = True
    task: TaskName
    letter: Letter

    async def run(self, house: House) -> Answer:
        """One outcome for each letter."""
        return await _settled(house, self.task, self.letter, put_back=True)


class DlqDrop(Verb, frozen=True, kw_only=True):
    """Drop dead letters: they are listed no more."""

    name = "dlq.drop"
    role = Role.OPERATE
    console = "del dlq"
    command = "dlq drop"
    positional = ("task", "letter")
    changes = True
    task: TaskName
    letter: Letter

    async def run(self, house: House) -> Answer:
        """One outcome for each letter."""
        return await _settled(house, self.task, self.letter, put_back=False)


VERBS = (DlqList, DlqShow, DlqRetry, DlqDrop)


async def standing(house: House, task: str) -> list[LetterRow]:
    """The letters of a task that are not settled, at most MAX_ROWS."""
    rows: list[LetterRow] = []
    since: int | None = 0
    while since is not None and len(rows) < MAX_ROWS:
        reply = first(await house.ask(LettersRequest(id=house.next_id(), task=task, since=since)), LettersReply)
        rows += reply.rows
        since = reply.next
    return rows


async def _settled(house: House, task: str, letter: str, *, put_back: bool) -> Done:
    """One after the other; one that cannot be put back keeps no other."""
    call_id = house.next_id()
    numbers = [row.letter for row in await standing(house, task)] if letter == "all" else [int(letter)]
    rows: list[Outcome] = []
    for number in numbers:
        request = SettleRequest(id=f"{call_id}-{number}", task=task, letter=number, put_back=put_back)
        try:
            rows += done(await house.ask(request)).rows
        except EfError as error:
            if letter != "all":
                raise
            rows.append(Outcome(task=task, ok=False, code=error.code, sentence=f"dead letter {number}: {error.message}"))
    return Done(rows=rows)

"""Starting processes as a client of supervisord waits for it: until each runs, or has failed once.

Ours goes on trying where supervisord's answer would be SPAWN_ERROR, and so does supervisord: the answer says how the first try went.  So beside the
answer to `act`, which comes when a task runs or is given up, the picture is looked at for one that waits to be tried again.
"""

from __future__ import annotations

from efsupervisor.core.web.xmlrpc.faults import Fault, of_error
from efsupervisor.core.web.xmlrpc.house import FRESH_S, RpcHouse, drive, kept
from efsupervisor.core.web.xmlrpc.picture import Member
from efsupervisor.errors import EfError
from efsupervisor.messages.call import Answer, Done
from efsupervisor.states import State


async def started(house: RpcHouse, members: list[Member], *, wait: bool) -> dict[str, Fault]:
    """What became of each, by our name."""
    names = [each.task for each in members]
    if not wait:
        await house.call("act", None, names=names, wait=False)
        house.changed()
        return dict.fromkeys(names, Fault.SUCCESS)
    answers: list[Answer | BaseException] = []
    drive(house.ask("act", None, names=names, wait=True), answers.append, answers.append)
    faults: dict[str, Fault] = {}
    while not answers and len(faults) < len(names):
        await house.pause(FRESH_S)
        picture = await house.picture(FRESH_S / 2)
        rows = {each.task: each.status for each in picture.members}
        for name in names:
            row = rows.get(name)
            if row is not None and row.state is State.BACKOFF:
                faults[name] = Fault.SPAWN_ERROR
        if faults and all(name in faults or (name in rows and rows[name].state is State.RUNNING) for name in names):
            break
    house.changed()
    if answers:
        faults = {**of_answer(answers[0], names), **faults}
    return {name: faults.get(name, Fault.SUCCESS) for name in names}


def of_answer(answer: Answer | BaseException, names: list[str]) -> dict[str, Fault]:
    """What the answer to `act` says of each."""
    if isinstance(answer, EfError):
        raise of_error(answer)
    if isinstance(answer, BaseException):
        raise answer
    wrong = {row.task: row for row in kept(answer, Done).rows if not row.ok}
    return {name: Fault.SUCCESS if name not in wrong else fault_of(wrong[name].sentence) for name in names}


def fault_of(sentence: str) -> Fault:
    """A task that was given up was never started well; one that ended, or was stopped meanwhile, ended against expectation."""
    return Fault.SPAWN_ERROR if sentence.startswith((State.FATAL, State.BACKOFF)) else Fault.ABNORMAL_TERMINATION

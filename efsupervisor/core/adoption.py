"""What a new Core does with what an earlier one left: which tasks get a worker, and with which goal.

Truth is what answers and what runs, not files: a worker that accepts a connection is adopted as it is, and a recorded program that is alive gets a
worker that takes it over.  Files decide the rest:

- After a clean end everything was stopped, so what an operator last wanted decides (stopped stays stopped, started is started), and where nobody
wanted anything, or the configuration's `autostart` is another one since, that decides.
- After a crash (no clean mark in core.json) the last goal decides: what an operator had stopped stays stopped, what was to run runs again, a job that
  had run to its end and a task that had failed for good stay so.  An operator's wish that the worker had not heard yet counts as heard.
- After a crash of the machine (another boot) the same, but what had ended or failed begins anew as after a clean end.
- A task that is no longer configured is stopped if anything of it runs, and then left alone; its folder stays.

`judge` is that table as a pure function.  `found_folders` and `look` gather its facts.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import msgspec

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.home import Former
from efsupervisor.messages import Report
from efsupervisor.states import Goal, State
from efsupervisor.system import short_id

_FOLDER = re.compile(r"[a-z2-7]{12}\Z")


class _TaskFile(msgspec.Struct):
    name: str


class Facts(NamedTuple):
    """What is known of a task whose worker does not answer a connection.  saved: state.json.  intent: what an operator last wanted, None for nothing
    (a task that ran to its end, an `autostart` that changed since)."""

    configured: bool
    autostart: bool
    former: Former
    saved: Report | None
    program_is_alive: bool
    intent: Goal | None = None


class Judgement(NamedTuple):
    """fork: it needs a worker.  goal: what is wanted.  fresh: it is a start from rest (the worker is told as an operator would tell it)."""

    fork: bool
    goal: Goal
    fresh: bool = False


REST = Judgement(fork=False, goal=Goal.TRM)
START = Judgement(fork=True, goal=Goal.ACT, fresh=True)


def judge(facts: Facts) -> Judgement:
    """What to do with a task without a worker."""
    if facts.program_is_alive:
        return Judgement(fork=True, goal=_goal_of_the_living(facts))
    if not facts.configured:
        return Judgement(fork=_was_under_way(facts.saved) and facts.former.same_boot, goal=Goal.TRM)
    if facts.saved is None or facts.former.clean:
        return _as_wanted(facts)
    if _last_goal(facts) is Goal.TRM:
        return Judgement(fork=_was_under_way(facts.saved), goal=Goal.TRM)
    if _was_under_way(facts.saved):
        return Judgement(fork=True, goal=Goal.ACT)
    if facts.saved.state is State.STOPPED or not facts.former.same_boot:
        return _as_wanted(facts)
    return REST._replace(goal=Goal.ACT)


def _last_goal(facts: Facts) -> Goal | None:
    return facts.intent or (facts.saved.goal if facts.saved is not None else None)


def _goal_of_the_living(facts: Facts) -> Goal:
    if not facts.configured or _last_goal(facts) is Goal.TRM:
        return Goal.TRM
    return Goal.ACT


def _was_under_way(saved: Report | None) -> bool:
    return saved is not None and not saved.state.at_rest


def _as_wanted(facts: Facts) -> Judgement:
    if facts.autostart if facts.intent is None else facts.intent is Goal.ACT:
        return START
    return Judgement(fork=_was_under_way(facts.saved), goal=Goal.TRM)


def first_report(saved: Report | None, judgement: Judgement) -> Report:
    """What a status shows of a task before its worker has spoken."""
    shown = saved or Report(state=State.STOPPED, goal=judgement.goal, reason="was never started")
    if not judgement.fork or not judgement.fresh:
        return shown
    return starting(shown)


def starting(report: Report) -> Report:
    """The report of a task at rest that is about to get a worker."""
    return Report(
        state=State.STARTING,
        goal=Goal.ACT,
        incarnation=report.incarnation,
        since_wall=report.since_wall,
        exit_status=report.exit_status,
        exit_known=report.exit_known,
        reason="its worker is being started",
        dead_letters=report.dead_letters,
        delivered=report.delivered,
        acknowledged=report.acknowledged,
    )


def found_folders(tasks_folder: str) -> list[str]:
    """Short ids of the task folders that are there; nothing that is not a folder of ours by its name and kind."""
    with os.scandir(tasks_folder) as entries:
        return sorted(entry.name for entry in entries if _FOLDER.match(entry.name) and entry.is_dir(follow_symlinks=False))


def stranger(task_dir: str) -> TaskSpec:
    """A spec for a task that is in no configuration any more: enough to take its program over and stop it.

    Its name is read from task.json and believed only if it belongs to the folder.
    """
    identity = os.path.basename(task_dir)
    try:
        with open(task_dir + "/task.json", "rb") as file:
            name = msgspec.json.decode(file.read(), type=_TaskFile).name
    except (OSError, msgspec.DecodeError):
        name = identity
    if short_id(name) != identity:
        name = identity
    return TaskSpec(name=name, command=["/bin/false"], autostart=False, autorestart="false")

"""Schedules at work on a fake Core with a clock of its own: what is saved before what is done, overlap, what a successor goes on with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from efsupervisor.conf.schema import ScheduleSpec, TaskSpec
from efsupervisor.core.store_rows import LastTime
from efsupervisor.core.tasks import Task
from efsupervisor.core.timetable import UNDER_WAY, Timetable
from efsupervisor.core.waiting import Pending
from efsupervisor.messages import Outcome, PutDone, Report, Wiring
from efsupervisor.states import Goal, Kind, State
from efsupervisor.system import short_id
from efsupervisor.task.paths import TaskPaths

BEGIN = 1_780_000_020.0
"""A full minute."""


def task(name: str, kind: Kind = Kind.JOB) -> Task:
    spec = TaskSpec(name=name, command=["true"], kind=kind)
    wiring = Wiring(spec=spec, task_dir="/t/" + name, namespace="n")
    return Task(spec=spec, wiring=wiring, paths=TaskPaths("/t/" + short_id(name)), report=Report(state=State.EXITED, goal=Goal.ACT))


class Disk:
    """What is saved; it outlives a Core."""

    def __init__(self) -> None:
        self.times: dict[str, LastTime] = {}
        self.flushed: dict[str, LastTime] = {}

    def last_time(self, schedule: str) -> LastTime | None:
        return self.times.get(short_id(schedule))

    def scheduled(self, last: LastTime) -> None:
        self.times[short_id(last.schedule)] = last

    def flush(self) -> bool:
        self.flushed = dict(self.times)
        return True


class Desk:
    """A Core with jobs `a` and `b`, a service `s`, a listing of what it was told, and a clock.  Each start is checked to be on disk already."""

    def __init__(self, disk: Disk | None = None, now: float = BEGIN) -> None:
        self.disk = disk or Disk()
        self.now = now
        self.tasks = {name: task(name, Kind.SERVICE if name == "s" else Kind.JOB) for name in "abs"}
        self.said: list[tuple[str, ...]] = []
        self.pendings: list[Pending] = []
        self.skips: list[tuple[str, float, str]] = []
        self.timers: list[Callable[[], None]] = []
        self.ending = False
        self.on_report: list[Callable[[Task], None]] = []
        self.registry = self.flow_runs = self.puts = self.tale = self
        self.timetable = Timetable(self, self, self, self.disk, self)  # type: ignore[arg-type]

    # What a timetable is given ------------------------------------------------------------------------------------------------------------------

    def wall_ns(self) -> int:
        return int(self.now * 1e9)

    def fault(self, name: str) -> None:
        pass

    def info(self, sentence: str) -> None:
        pass

    def after(self, delay_s: float, callback: Callable[[], None]) -> Any:
        self.timers.append(callback)
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def named(self, words: list[str]) -> tuple[list[Task], list[Outcome]]:
        return [self.tasks[word] for word in words if word in self.tasks], [Outcome(task=word, ok=False) for word in words if word not in self.tasks]

    def parts(self, name: str) -> list[Task]:
        return [self.tasks["a"], self.tasks["b"]]

    def is_under_way(self, name: str) -> bool:
        return False

    def begin(self, name: str, asked_by: str, words: str, told: Callable[[list[Outcome]], None]) -> None:
        self.said.append(("run", name, words))
        self.over = told

    def act_task(self, tasks: list[Task], asked_by: str, pending: Pending, *, intent: bool, ticket: str, anew: bool) -> None:
        assert intent and anew and asked_by.startswith("schedule ")
        assert any(last.running for last in self.disk.flushed.values()), "on disk before it is done"
        self.said.append(("act", *(each.name for each in tasks), ticket))
        self.pendings.append(pending)
        for each in tasks:
            each.queued = True

    def trm_task(self, tasks: list[Task], asked_by: str, pending: Pending, *, intent: bool) -> None:
        self.said.append(("trm", *(each.name for each in tasks)))
        self.pendings.append(pending)

    def put(self, to: Task, put_id: str, data: bytes, done: Callable[[PutDone], None]) -> None:
        self.said.append(("put", to.name, put_id))

    def skipped(self, which: Task, wall: float, cause: str, sentence: str) -> None:
        self.skips.append((which.name, wall - BEGIN, sentence))

    # What a test does ---------------------------------------------------------------------------------------------------------------------------

    def keep(self, **keys: Any) -> None:
        self.timetable.keep([ScheduleSpec(name="s1", timezone="UTC", **{"cron": "* * * * *", "act": ["a"], **keys})])

    def pass_to(self, seconds: float) -> None:
        """The clock is so far; the timer rings."""
        self.now = BEGIN + seconds
        timers, self.timers = self.timers, []
        for timer in timers:
            timer()

    def end(self, name: str = "a", number: int = -1, *, ok: bool = True) -> None:
        """A task comes to its end, and the newest (or another) wish hears of it."""
        self.tasks[name].queued = False
        pending = self.pendings.pop(number)
        pending.unworked = 0
        pending.outcomes.append(Outcome(task=name, ok=ok, sentence="completed: exit status 0" if ok else "EXITED: exit status 1"))
        pending.finish_if_complete()

    def last(self) -> LastTime:
        last = self.disk.last_time("s1")
        assert last is not None
        return last

    def successor(self, seconds: float) -> Desk:
        """The next Core, after a crash: what was not flushed is lost."""
        disk = Disk()
        disk.times = dict(self.disk.flushed)
        disk.flush()
        return Desk(disk, BEGIN + seconds)


def acts(desk: Desk) -> int:
    return sum(said[0] == "act" for said in desk.said)


def test_a_time_is_saved_then_done_and_its_outcome_is_kept() -> None:
    desk = Desk()
    desk.keep()
    desk.pass_to(59)
    assert desk.said == []
    desk.pass_to(60)
    assert acts(desk) == 1 and (desk.last().running, desk.last().outcome) == (BEGIN + 60, UNDER_WAY)
    desk.end()
    assert (desk.last().running, desk.last().outcome, desk.last().wall) == (0.0, "a: completed: exit status 0", BEGIN + 60)
    desk.pass_to(120)
    assert acts(desk) == 2 and desk.said[0][-1] != desk.said[1][-1], "each time has a ticket of its own"


def test_a_failure_is_its_outcome_and_the_next_time_comes_all_the_same() -> None:
    desk = Desk()
    desk.keep()
    desk.pass_to(60)
    desk.end(ok=False)
    assert desk.last().outcome == "1 of 1 not as wanted: a: EXITED: exit status 1"
    desk.pass_to(120)
    assert acts(desk) == 2


def test_forbidden_times_are_counted_and_told() -> None:
    desk = Desk()
    desk.keep(overlap="forbid")
    for minute in (1, 2, 3, 4):
        desk.pass_to(60 * minute)
    assert acts(desk) == 1 and desk.last().skipped == 3
    assert [(name, wall) for name, wall, _ in desk.skips] == [("a", 120.0)], "told at once, once for all that follow"
    assert desk.skips[0][2].endswith("is left out: the run before is not over (overlap: forbid)")
    desk.end()
    assert (desk.last().outcome, desk.last().wall) == ("a: completed: exit status 0", BEGIN + 240)
    assert desk.skips[1:] == [("a", 240.0, "2 more until 2026-05-28T20:31:00+00:00 were left out: the run before was not over (overlap: forbid)")]
    desk.pass_to(300)
    desk.end()
    assert acts(desk) == 2 and len(desk.skips) == 2


def test_times_that_wait_are_run_when_nothing_is_in_their_way() -> None:
    desk = Desk()
    desk.keep(overlap="queue")
    desk.tasks["a"].queued = True  # somebody started it by hand
    desk.pass_to(60)
    desk.pass_to(120)
    assert desk.said == [] and desk.last().waiting == (BEGIN + 60, BEGIN + 120)
    desk.tasks["a"].queued = False
    for told in desk.on_report:
        told(desk.tasks["a"])
    assert acts(desk) == 1 and desk.last().running == BEGIN + 60
    desk.end()
    assert acts(desk) == 2 and desk.last().running == BEGIN + 120
    desk.end()
    assert desk.last().waiting == () and desk.last().skipped == 0


def test_what_is_replaced_is_stopped_first_and_its_end_is_not_the_end_of_the_new() -> None:
    desk = Desk()
    desk.keep(overlap="replace")
    desk.pass_to(60)
    desk.pass_to(120)
    assert desk.said[1] == ("trm", "a") and acts(desk) == 1, "nothing begins before what runs is stopped"
    desk.end(number=0, ok=False)  # the first run hears that it was stopped
    assert desk.last().outcome == UNDER_WAY
    desk.end()  # the stop
    assert acts(desk) == 2 and desk.last().running == BEGIN + 120


def test_services_and_events_have_no_end_that_a_time_would_wait_for() -> None:
    desk = Desk()
    desk.keep(act=["s"], task="b", put="{time}")
    for minute in (1, 2, 3):
        desk.pass_to(60 * minute)
    assert acts(desk) == 3 and sum(said[0] == "put" for said in desk.said) == 3 and desk.last().skipped == 0


def test_a_successor_says_again_what_was_under_way_under_the_same_ticket() -> None:
    desk = Desk()
    desk.keep(overlap="queue", task="b", put="{time}")
    desk.pass_to(60)
    desk.pass_to(120)
    after = desk.successor(121)
    after.keep(overlap="queue", task="b", put="{time}")
    assert after.said == [said for said in desk.said if said[0] in ("act", "put")], "the same ticket, and the same id of the event"
    assert after.last().waiting == (BEGIN + 120,)


def test_a_successor_goes_on_with_what_waits() -> None:
    desk = Desk()
    desk.keep(overlap="queue")
    desk.tasks["a"].queued = True
    desk.pass_to(60)
    after = desk.successor(61)
    after.keep(overlap="queue")
    assert acts(after) == 1 and after.last().running == BEGIN + 60


def test_what_is_taken_away_or_disabled_leaves_nothing_waiting() -> None:
    desk = Desk()
    desk.keep(overlap="queue")
    for minute in (1, 2, 3):
        desk.pass_to(60 * minute)
    off = desk.successor(200)
    off.keep(overlap="queue", enabled=False)
    assert off.said == [] and off.last().outcome
    desk.timetable.keep([])
    assert (desk.last().running, desk.last().waiting) == (0.0, ())
    desk.end()
    desk.keep(overlap="queue")
    assert acts(desk) == 1, "one that comes again begins with nothing"


def test_all_that_was_missed_is_run_one_after_the_other_whatever_overlap_says() -> None:
    desk = Desk()
    desk.keep(missed="all")
    desk.disk.flush()
    after = desk.successor(60 * 130)
    after.keep(missed="all")
    after.pass_to(60 * 130)
    ran = []
    for _ in range(200):
        if not after.last().running:
            break
        ran.append(after.last().running - BEGIN)
        after.end()
    assert ran == [60.0 * minute for minute in range(31, 131)], "the last hundred, in order"
    assert after.last().skipped == 30, "and the older ones are counted"


def test_nothing_is_begun_while_the_supervisor_ends_and_what_that_cuts_off_stays_under_way() -> None:
    desk = Desk()
    desk.keep(overlap="queue")
    desk.pass_to(60)
    desk.pass_to(120)
    desk.ending = True
    desk.end(ok=False)
    desk.pass_to(180)
    assert acts(desk) == 1 and desk.last().running == BEGIN + 60 and desk.last().waiting == (BEGIN + 120,)


def test_a_clock_that_leaps_and_is_set_right_leaves_no_time_in_the_future_behind() -> None:
    desk = Desk()
    desk.keep()
    desk.pass_to(10 * 366 * 86_400.0)
    assert acts(desk) == 1
    desk.end()
    desk.pass_to(30)
    desk.pass_to(60)
    assert acts(desk) == 2 and desk.last().wall == BEGIN + 60
    desk.end()
    after = desk.successor(61)
    after.keep()
    after.pass_to(120)
    assert acts(after) == 1


def test_flows_are_run_under_words_that_name_the_time() -> None:
    desk = Desk()
    desk.keep(act=[], run=["f"])
    desk.pass_to(60)
    assert desk.said == [("run", "f", f"schedule {short_id('s1')} {BEGIN + 60:.3f}")]
    desk.over([Outcome(task="a", ok=True), Outcome(task="flow f", ok=True)])
    assert desk.last().outcome == "2 as wanted"
    assert msgspec.json.decode(msgspec.json.encode(desk.last()), type=LastTime) == desk.last()

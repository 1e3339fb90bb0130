"""Care for a program with a clock of the test's own: when it is ready, when it is not well, and what it says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from efsupervisor.conf.schema import AliveSpec, ReadySpec
from efsupervisor.task import care as care_module
from efsupervisor.task import usage
from efsupervisor.task.care import Care, Life, needed
from efsupervisor.task.notify import Notice
from efsupervisor.task.spawn import Plan
from tests.unit.task.fakes import FakeErrands, FakeSeat

PLAN = Plan(["true"], {}, "", 0o022, None)


class Patient:
    """A program under care, and what the worker heard of it."""

    def __init__(self, **spec: Any) -> None:
        self.seat = FakeSeat(**spec)
        self.errands = FakeErrands()
        self.heard: list[str] = []
        life = Life(plan=lambda: PLAN, tree=list, family=lambda: frozenset({1}), strange=lambda _pid: False)
        self.care = Care(
            self.seat, self.errands, life, ready=lambda: self.heard.append("ready"), unwell=self.heard.append,  # type: ignore[arg-type]
            said=lambda text: self.heard.append(f"said {text}"), extended=lambda seconds: self.heard.append(f"extended {seconds:g}"),
        )  # fmt: skip

    def tell(self, **notice: Any) -> None:
        """A datagram of the program."""
        self.care._heard(Notice(**notice))


def test_care_is_needed_only_for_what_asks_for_it() -> None:
    assert not needed(FakeSeat().spec)
    for spec in ({"ready": ReadySpec(notify=True)}, {"alive": AliveSpec(tcp="localhost:1")}, {"max_runtime_s": 1.0}, {"max_rss": 1}, {"max_cpu": 1}):
        assert needed(FakeSeat(**spec).spec), spec


def test_a_program_is_ready_once_when_the_last_of_its_conditions_was_met() -> None:
    patient = Patient(ready=ReadySpec(notify=True, exec=["check"], interval_s=0.5))
    patient.care.await_ready(0)
    assert patient.care.last == "waits for exec, notify"
    patient.tell(ready=True)
    assert patient.care.last == "waits for exec" and patient.heard == []
    patient.errands.sent[0].end("exit status 1")
    assert patient.care.last == "check: exit status 1"
    patient.seat.reactor.run(0.4)
    assert len(patient.errands.sent) == 1
    patient.seat.reactor.run(0.2)
    patient.errands.sent[1].end()
    patient.tell(ready=True)
    assert patient.heard == ["ready"]


def test_a_condition_that_was_met_is_not_looked_at_again() -> None:
    patient = Patient(ready=ReadySpec(notify=True, exec=["check"], interval_s=0.5))
    patient.care.await_ready(0)
    patient.errands.sent[0].end()
    patient.seat.reactor.run(5)
    assert len(patient.errands.sent) == 1


def test_a_program_that_fails_so_many_probes_in_a_row_is_not_well() -> None:
    patient = Patient(alive=AliveSpec(exec=["check"], interval_s=1.0, failures=3))
    patient.care.running()
    assert patient.errands.sent == []
    for sentence in ("no", "no", "", "no", "no", "never"):
        patient.seat.reactor.run(1)
        assert patient.heard == []
        patient.errands.sent[-1].end(sentence)
    assert patient.heard == ["not alive: 3 probes in a row failed, the last: check: never"]
    patient.seat.reactor.run(10)
    assert len(patient.errands.sent) == 6, "nobody looks any more"


def test_a_failed_probe_is_shown_until_one_succeeds() -> None:
    patient = Patient(alive=AliveSpec(exec=["check"], interval_s=1.0, failures=3))
    patient.care.running()
    patient.seat.reactor.run(1)
    patient.errands.sent[-1].end("no")
    assert patient.seat.health == {"alive": "not alive (1 of 3): check: no"}
    patient.seat.reactor.run(1)
    patient.errands.sent[-1].end()
    assert patient.seat.health == {}


def test_a_silent_watchdog_is_found_within_a_quarter_more_than_its_time() -> None:
    patient = Patient(alive=AliveSpec(watchdog_s=4.0))
    patient.care.running()
    for _ in range(10):
        patient.seat.reactor.run(3.9)
        patient.tell(alive=True)
    assert patient.heard == []
    patient.seat.reactor.run(4)
    assert patient.heard == []
    patient.seat.reactor.run(1.01)
    assert patient.heard == ["not alive: no WATCHDOG=1 for 4 s (watchdog_s)"]


def test_many_signs_of_life_cost_no_timers() -> None:
    patient = Patient(alive=AliveSpec(watchdog_s=4.0))
    patient.care.running()
    for _ in range(1000):
        patient.tell(alive=True)
    assert len(patient.seat.reactor.timers) == 1


def test_a_program_may_set_its_watchdog_and_pull_it() -> None:
    patient = Patient(alive=AliveSpec(watchdog_s=4.0))
    patient.care.running()
    patient.tell(watchdog_us=400_000)
    patient.seat.reactor.run(0.51)
    assert patient.heard == ["not alive: no WATCHDOG=1 for 0.4 s (watchdog_s)"]
    patient.tell(trigger=True)
    assert patient.heard[1:] == ["not alive: the program says so itself (WATCHDOG=trigger)"]


def test_a_program_that_says_that_it_stops_need_not_be_alive_to_its_probes() -> None:
    patient = Patient(alive=AliveSpec(exec=["check"], interval_s=1.0, watchdog_s=2.0))
    patient.care.running()
    patient.tell(stopping=True)
    patient.seat.reactor.run(60)
    assert (patient.errands.sent, patient.heard) == ([], [])


def test_a_run_that_takes_too_long_is_ended_later_when_it_asks_for_time() -> None:
    patient = Patient(max_runtime_s=10.0)
    patient.care.born(lived_s=4.0)
    patient.seat.reactor.run(5)
    patient.tell(extend_us=3_000_000)
    patient.seat.reactor.run(2.9)
    assert patient.heard == ["extended 3"]
    patient.seat.reactor.run(0.2)
    assert patient.heard[1:] == ["ran longer than max_runtime_s (10 s)"]


def test_asking_for_less_time_than_there_is_changes_nothing() -> None:
    patient = Patient(max_runtime_s=10.0)
    patient.care.born(lived_s=0.0)
    patient.tell(extend_us=1_000_000)
    patient.seat.reactor.run(9.9)
    assert patient.heard == ["extended 1"]


def test_usage_is_looked_at_at_each_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [usage.Sample(10, 0.0), usage.Sample(10, 1.0), usage.Sample(10, 11.0)]
    monkeypatch.setattr(care_module.usage, "of", lambda _pids: samples.pop(0))
    patient = Patient(max_cpu=50, usage_s=10.0)
    patient.care.born(lived_s=0.0)
    patient.seat.reactor.run(10)
    assert patient.heard == []
    patient.seat.reactor.run(10)
    assert patient.heard == ["uses 100 % of a processor over 10.0 s, more than max_cpu (50)"]


def test_at_rest_nothing_is_armed_and_what_is_said_is_still_heard() -> None:
    patient = Patient(alive=AliveSpec(exec=["check"], watchdog_s=1.0), max_runtime_s=5.0, max_rss=1 << 40)
    patient.care.born(0.0)
    patient.care.running()
    patient.seat.reactor.run(10.0)
    patient.heard.clear()
    patient.care.rest()
    assert patient.seat.reactor.armed == 0
    patient.tell(status="saving", extend_us=1_000_000)
    assert patient.heard == ["said saving", "extended 1"]

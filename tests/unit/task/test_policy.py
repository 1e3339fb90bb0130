"""What follows a death, read as cases."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf.schema import ReadySpec, TaskSpec
from efsupervisor.states import Goal, Kind
from efsupervisor.task.lifecycle import Event
from efsupervisor.task.policy import Death, after_death, after_refusal, describe, shortage_delay_s

CLEAN, FAILED, KILLED = 0, 1 << 8, int(signal.SIGKILL)
ACT, TRM = Goal.ACT, Goal.TRM


def service(**more: Any) -> TaskSpec:
    return TaskSpec(name="s", command=["true"], **more)


def job(**more: Any) -> TaskSpec:
    return service(kind=Kind.JOB, **more)


@pytest.mark.parametrize(
    ("spec", "death", "failures", "recent", "event", "counted", "finished"),
    [
        # a stop is a stop, whatever else is true
        (service(), Death(CLEAN, 0.0, TRM), 2, 99, Event.ENOUGH, 0, False),
        (job(), Death(FAILED, 0.0, TRM), 2, 0, Event.ENOUGH, 0, False),
        # a service is started again
        (service(), Death(CLEAN, 5.0, ACT), 2, 1, Event.AGAIN, 0, False),
        (service(), Death(KILLED, 5.0, ACT), 2, 1, Event.AGAIN, 0, False),
        (service(), Death(None, 5.0, ACT), 2, 1, Event.AGAIN, 0, False),
        # too often is a delay, and no failure
        (service(), Death(CLEAN, 5.0, ACT), 0, 9, Event.AGAIN, 0, False),
        (service(), Death(CLEAN, 5.0, ACT), 0, 10, Event.LATER, 0, False),
        # before startsecs it failed, even with status 0
        (service(), Death(CLEAN, 0.99, ACT), 0, 1, Event.LATER, 1, False),
        (service(), Death(CLEAN, 1.0, ACT), 0, 1, Event.AGAIN, 0, False),
        (service(startsecs=0.0), Death(FAILED, 0.0, ACT), 0, 1, Event.AGAIN, 0, False),
        (service(), Death(FAILED, 0.5, ACT), 2, 1, Event.LATER, 3, False),
        (service(), Death(FAILED, 0.5, ACT), 3, 1, Event.HOPELESS, 4, False),
        (service(startretries=0), Death(FAILED, 0.5, ACT), 0, 1, Event.HOPELESS, 1, False),
        # autorestart of a service
        (service(autorestart="false"), Death(FAILED, 5.0, ACT), 0, 1, Event.ENOUGH, 0, False),
        (service(autorestart="unexpected"), Death(CLEAN, 5.0, ACT), 0, 1, Event.ENOUGH, 0, False),
        (service(autorestart="unexpected"), Death(FAILED, 5.0, ACT), 0, 1, Event.AGAIN, 0, False),
        (service(autorestart="unexpected", exitcodes=(1,)), Death(FAILED, 5.0, ACT), 0, 1, Event.ENOUGH, 0, False),
        (service(autorestart="unexpected"), Death(None, 5.0, ACT), 0, 1, Event.AGAIN, 0, False),
        # a job has finished when its end is known and nothing is to be tried again; it has no startsecs
        (job(), Death(CLEAN, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        (job(), Death(FAILED, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        (job(), Death(KILLED, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        (job(), Death(None, 0.0, ACT), 0, 1, Event.ENOUGH, 0, False),  # unknown is never success
        (job(autorestart="unexpected"), Death(CLEAN, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        (job(autorestart="unexpected"), Death(FAILED, 9.0, ACT), 1, 1, Event.LATER, 2, False),
        (job(autorestart="unexpected"), Death(None, 9.0, ACT), 1, 1, Event.LATER, 2, False),
        (job(autorestart="unexpected"), Death(FAILED, 9.0, ACT), 3, 1, Event.HOPELESS, 4, True),
        (job(autorestart="true"), Death(CLEAN, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        # retries of its own, which no failed start counts against
        (job(retries=2), Death(CLEAN, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        (job(retries=2), Death(FAILED, 0.0, ACT), 9, 1, Event.LATER, 0, False),
        (job(retries=2), Death(FAILED, 0.0, ACT, attempt=2), 0, 99, Event.LATER, 0, False),
        (job(retries=2), Death(FAILED, 0.0, ACT, attempt=3), 0, 1, Event.ENOUGH, 0, True),
        (job(retries=2), Death(KILLED, 0.0, ACT), 0, 1, Event.LATER, 0, False),
        (job(retries=2), Death(None, 0.0, ACT), 0, 1, Event.LATER, 0, False),
        (job(retries=2), Death(None, 0.0, ACT, attempt=3), 0, 1, Event.ENOUGH, 0, False),
        (job(retries=2, exitcodes=(0, 1)), Death(FAILED, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        (job(retries=2, no_retry=(1,)), Death(FAILED, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        (job(retries=2, no_retry=(2,)), Death(FAILED, 0.0, ACT), 0, 1, Event.LATER, 0, False),
        (job(retries=2), Death(KILLED, 9.0, ACT, unwell="ran too long"), 0, 1, Event.LATER, 0, False),
        (job(retries=2), Death(CLEAN, 9.0, ACT, unwell="ran too long"), 0, 1, Event.LATER, 0, False),
        (job(retries=2), Death(KILLED, 9.0, ACT, unwell="ran too long", attempt=3), 0, 1, Event.HOPELESS, 0, True),
        (job(retries=2), Death(FAILED, 0.0, TRM), 0, 1, Event.ENOUGH, 0, False),
        (job(retries=2), Death(int(signal.SIGPIPE), 0.0, ACT, done_with=True), 0, 1, Event.ENOUGH, 0, True),
        (job(no_retry=(1,), autorestart="unexpected"), Death(FAILED, 0.0, ACT), 0, 1, Event.ENOUGH, 0, True),
        # its consumers have finished: however it ended
        (job(autorestart="unexpected"), Death(int(signal.SIGPIPE), 0.0, ACT, done_with=True), 0, 1, Event.ENOUGH, 0, True),
        (job(), Death(int(signal.SIGPIPE), 0.0, TRM, done_with=True), 0, 1, Event.ENOUGH, 0, False),  # trm is not finished
    ],
)
def test_a_death_is_judged(spec: TaskSpec, death: Death, failures: int, recent: int, event: Event, counted: int, finished: bool) -> None:
    verdict = after_death(spec, death, failures, recent, jitter=0.0)
    assert (verdict.event, verdict.failures, verdict.finished) == (event, counted, finished)
    assert verdict.reason
    assert (verdict.delay_s > 0) == (event is Event.LATER)


def test_the_reason_of_an_end_names_the_limit_that_was_met() -> None:
    early = after_death(service(), Death(FAILED, 0.25, ACT), 0, 1, jitter=0.0)
    assert early.reason == "exit status 1 after 0.25 s, before startsecs (1 s) were over"
    assert "gave up after 4 failed starts in a row (startretries: 3)" in after_death(service(), Death(FAILED, 0.25, ACT), 3, 1).reason
    assert "10 starts within 60 s" in after_death(service(), Death(CLEAN, 5.0, ACT), 0, 10).reason


def test_attempts_of_a_job_are_counted_for_a_person_and_wait_ever_longer() -> None:
    spec = job(retries=3, backoff_s=1.0, backoff_max_s=3.0)
    verdicts = [after_death(spec, Death(FAILED, 5.0, ACT, attempt=number), 0, 1, jitter=0.0) for number in (1, 2, 3, 4)]
    assert [verdict.delay_s for verdict in verdicts] == [1.0, 2.0, 3.0, 0.0]
    assert verdicts[1].reason == "exit status 1; attempt 2 of 4"
    assert verdicts[3].reason == "exit status 1; gave up after 4 attempts (retries: 3)"
    hopeless = after_death(job(retries=3, no_retry=(1,)), Death(FAILED, 5.0, ACT), 0, 1)
    assert hopeless.reason == "exit status 1; not tried again (no_retry)"


def test_delays_double_from_the_first_to_the_longest() -> None:
    spec = service(backoff_s=0.1, backoff_max_s=2.0, startretries=100)
    delays = [after_death(spec, Death(FAILED, 0.0, ACT), failures, 1, jitter=0.0).delay_s for failures in range(7)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    assert after_death(spec, Death(FAILED, 0.0, ACT), 99, 1, jitter=0.0).delay_s == 2.0


def test_restarts_that_come_too_often_wait_ever_longer_until_a_life_was_good() -> None:
    spec = service(backoff_s=0.1, backoff_max_s=60.0)
    delays, waited = 0, []
    for _ in range(12):
        verdict = after_death(spec, Death(CLEAN, 1.3, ACT), 0, 10, jitter=0.0, delays=delays)
        delays = verdict.delays
        waited.append(verdict.delay_s)
    assert waited == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0])
    slow = after_death(spec, Death(CLEAN, 599.0, ACT), 0, 1, jitter=0.0, delays=3)
    assert (slow.event, slow.delay_s, slow.delays) == (Event.LATER, pytest.approx(0.8), 4)
    assert "shorter than backoff_reset_s (600 s)" in slow.reason
    good = after_death(spec, Death(CLEAN, 600.0, ACT), 0, 1, jitter=0.0, delays=3)
    assert (good.event, good.delays) == (Event.AGAIN, 0)


def test_a_burst_is_fatal_only_where_that_is_configured() -> None:
    spec = service(fatal_after_burst=True, restart_burst=3)
    assert after_death(spec, Death(CLEAN, 5.0, ACT), 0, 2).event is Event.AGAIN
    fatal = after_death(spec, Death(CLEAN, 5.0, ACT), 0, 3)
    assert fatal.event is Event.HOPELESS
    assert "3 starts within 60 s (restart_burst: 3, fatal_after_burst)" in fatal.reason


def test_a_task_that_would_be_fatal_is_tried_again_slowly_where_that_is_configured() -> None:
    spec = service(retry_fatal_s=300.0, startretries=1)
    for failures in (1, 2, 7):
        verdict = after_death(spec, Death(FAILED, 0.1, ACT), failures, 1)
        assert (verdict.event, verdict.delay_s, verdict.failures) == (Event.LATER, 300.0, failures + 1)
        assert "tried again in 300 s (retry_fatal_s)" in verdict.reason
    assert after_refusal(spec, "no such file", 1, ACT).delay_s == 300.0


READY = ReadySpec(notify=True)


@pytest.mark.parametrize(
    ("spec", "death", "event", "word"),
    [
        # readiness takes the place of startsecs
        (service(ready=READY), Death(CLEAN, 0.1, ACT, ready=True), Event.AGAIN, "exit status 0"),
        (service(ready=READY), Death(CLEAN, 50.0, ACT), Event.LATER, "after 50.00 s, before it was ready"),
        (service(ready=READY), Death(15, 90.0, ACT, unwell="not ready in time"), Event.LATER, "not ready in time; killed by SIGTERM"),
        # one that we ended has failed, whatever its status
        (service(), Death(CLEAN, 50.0, ACT, unwell="not alive", ready=True), Event.AGAIN, "not alive; exit status 0"),
        (service(autorestart="unexpected"), Death(CLEAN, 50.0, ACT, unwell="not alive"), Event.AGAIN, "not alive"),
        (service(autorestart="false"), Death(CLEAN, 50.0, ACT, unwell="not alive"), Event.ENOUGH, "not alive"),
        (job(), Death(CLEAN, 50.0, ACT, unwell="ran too long"), Event.HOPELESS, "ran too long; exit status 0"),
        (job(autorestart="unexpected"), Death(CLEAN, 50.0, ACT, unwell="ran too long"), Event.LATER, "ran too long"),
        (job(ready=READY), Death(CLEAN, 0.1, ACT), Event.ENOUGH, "exit status 0"),
        (service(ready=READY), Death(CLEAN, 50.0, TRM, unwell="not alive"), Event.ENOUGH, "stopped"),
        # the kernel's own verdict
        (service(), Death(KILLED, 50.0, ACT, oom=True), Event.AGAIN, "oom: the kernel ended it for its memory; killed by SIGKILL"),
    ],
)
def test_a_program_that_was_not_ready_or_not_well_is_judged_as_failed(spec: TaskSpec, death: Death, event: Event, word: str) -> None:
    verdict = after_death(spec, death, 0, 1, jitter=0.0)
    assert verdict.event is event
    assert word in verdict.reason


def test_a_job_that_ran_too_long_has_finished_for_its_consumers() -> None:
    assert after_death(job(), Death(CLEAN, 50.0, ACT, unwell="ran too long"), 0, 1).finished


@given(st.floats(-1, 1))
def test_jitter_moves_a_delay_by_a_tenth_at_most(jitter: float) -> None:
    assert 0.9 * 0.1 - 1e-9 <= after_death(service(), Death(FAILED, 0.0, ACT), 0, 1, jitter).delay_s <= 1.1 * 0.1 + 1e-9


def test_jitter_is_drawn_when_none_is_given() -> None:
    assert len({after_death(service(), Death(FAILED, 0.0, ACT), 0, 1).delay_s for _ in range(20)}) > 1


def test_a_program_that_cannot_be_executed_counts_as_a_failed_start_until_it_is_given_up() -> None:
    first = after_refusal(service(), "no such file", 0, ACT, jitter=0.0)
    assert (first.event, first.failures, first.delay_s, first.reason) == (Event.LATER, 1, 0.1, "no such file")
    assert after_refusal(service(), "no such file", 3, ACT).event is Event.HOPELESS
    assert after_refusal(service(), "no such file", 0, TRM).event is Event.ENOUGH


def test_a_shortage_of_the_machine_waits_ever_longer_up_to_five_seconds() -> None:
    assert [shortage_delay_s(times) for times in (1, 2, 3, 4, 5, 6, 7, 1000)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "exit status unknown"),
        (0, "exit status 0"),
        (37 << 8, "exit status 37"),
        (int(signal.SIGTERM), "killed by SIGTERM"),
        (int(signal.SIGSEGV) | 0x80, "killed by SIGSEGV (core dumped)"),
        (40, "killed by signal 40"),
    ],
)
def test_a_wait_status_in_words(status: int | None, words: str) -> None:
    assert describe(status) == words

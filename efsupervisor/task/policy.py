"""Judging a death: start again now, later, never?  Pure; the worker passes what it knows and acts on the verdict.

A *failed start* is an end before `startsecs`, or before the program was ready where a readiness is configured (jobs have neither: an end is an
end).  Failed starts in a row double the delay and lead to FATAL after `startretries`.  A life that lasted is started again at once, but more than
`restart_burst` starts within `restart_period_s` wait, ever longer, so that a program that dies each second cannot spin; a life of
`backoff_reset_s` makes it quick again.  `fatal_after_burst` ends it there.  A task that would be FATAL waits `retry_fatal_s` where that is
configured.  A program that we ended because it was not well is judged like one that failed, whatever its exit status.  A shortage of the machine is
never counted.

A *run* of a job is one life, or several: one that failed (an exit status that is not in `exitcodes`, a signal, an end of which nobody knows the
status, a run that took too long) is another *attempt* away from its end as long as `retries` allows and its exit status is not in `no_retry`.  A job
that failed for good has finished, whatever made it so, for its consumers need not wait for more.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.states import Goal, Kind
from efsupervisor.task.lifecycle import Event


class Verdict(NamedTuple):
    """The event for the life-cycle, the delay before the next start (LATER), the failed starts in a row so far, and why, for a person.  delays:
    restarts in a row that had to wait because there were too many."""

    event: Event
    delay_s: float
    failures: int
    reason: str
    finished: bool = False
    delays: int = 0


class Death(NamedTuple):
    """What is known of one life's end.  status: wait status, None when unknown.  done_with: we ended a job because its consumers had finished.
    unwell: why we ended it ourselves.  ready: it was, or had lived startsecs.  oom: the kernel ended it for its memory.  attempt: which life of its
    run it was, from 1."""

    status: int | None
    lived_s: float
    goal: Goal
    done_with: bool = False
    unwell: str = ""
    ready: bool = False
    oom: bool = False
    attempt: int = 1


def after_death(spec: TaskSpec, death: Death, failures: int, recent_starts: int, jitter: float | None = None, delays: int = 0) -> Verdict:
    """What to do after a life.  recent_starts: starts within the last restart_period_s.  jitter: -1 to 1, drawn when None.  delays: of the last
    verdict."""
    words = _words(death)
    if death.goal is Goal.TRM:
        return Verdict(Event.ENOUGH, 0.0, 0, f"stopped; {words}")
    if death.done_with:
        return Verdict(Event.ENOUGH, 0.0, 0, "ended because all its consumers have finished", finished=True)
    expected = not death.unwell and death.status is not None and os.WIFEXITED(death.status) and os.WEXITSTATUS(death.status) in spec.exitcodes
    if spec.kind is Kind.SERVICE and (early := _too_early(spec, death, words)):
        return _failed(spec, failures + 1, early, jitter)
    if spec.kind is Kind.JOB:
        return Verdict(Event.ENOUGH, 0.0, 0, words, finished=True) if expected else _failed_job(spec, death, words, failures, jitter)
    if spec.restarts == "false" or (spec.restarts == "unexpected" and expected):
        return Verdict(Event.ENOUGH, 0.0, 0, words)
    return _restarted(spec, death, words, recent_starts, jitter, delays)


def _failed_job(spec: TaskSpec, death: Death, words: str, failures: int, jitter: float | None) -> Verdict:
    """A job that ended otherwise than it should: once more, or for good."""
    status = death.status
    if status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) in spec.no_retry:
        return _over(death, f"{words}; not tried again (no_retry)")
    if spec.retries:
        if death.attempt <= spec.retries:
            why = f"{words}; attempt {death.attempt} of {spec.retries + 1}"
            return Verdict(Event.LATER, _delay_s(spec, death.attempt, jitter), 0, why)
        return _over(death, f"{words}; gave up after {death.attempt} attempts (retries: {spec.retries})")
    return _over(death, words) if spec.restarts == "false" else _failed(spec, failures + 1, words, jitter)


def _over(death: Death, words: str) -> Verdict:
    """A job's last failure.  What we ended ourselves is FATAL; consumers may not rely on an end of unknown status."""
    if death.unwell:
        return Verdict(Event.HOPELESS, 0.0, 0, words, finished=True)
    return Verdict(Event.ENOUGH, 0.0, 0, words, finished=death.status is not None)


def _too_early(spec: TaskSpec, death: Death, words: str) -> str:
    """Why the end of a service is a failed start; empty when it is none."""
    if spec.ready is not None:
        return "" if death.ready else f"{words} after {death.lived_s:.2f} s, before it was ready" if not death.unwell else words
    return f"{words} after {death.lived_s:.2f} s, before startsecs ({spec.startsecs:g} s) were over" if death.lived_s < spec.startsecs else ""


def _restarted(spec: TaskSpec, death: Death, words: str, recent_starts: int, jitter: float | None, delays: int) -> Verdict:
    """A service that lasted: at once, or later when it is too often."""
    over = recent_starts - spec.restart_burst
    often = f"{words}; {recent_starts} starts within {spec.restart_period_s:g} s"
    if over >= 0 and spec.fatal_after_burst:
        return _given_up(spec, 0, f"{often} (restart_burst: {spec.restart_burst}, fatal_after_burst)")
    slow = delays if death.lived_s < spec.backoff_reset_s else 0
    if over < 0 and not slow:
        return Verdict(Event.AGAIN, 0.0, 0, words)
    times = max(over, slow) + 1
    why = often if over >= 0 else f"{words}; it lived shorter than backoff_reset_s ({spec.backoff_reset_s:g} s)"
    return Verdict(Event.LATER, _delay_s(spec, times, jitter), 0, why, delays=times)


def after_refusal(spec: TaskSpec, sentence: str, failures: int, goal: Goal, jitter: float | None = None) -> Verdict:
    """What to do when the program could not be executed."""
    if goal is Goal.TRM:
        return Verdict(Event.ENOUGH, 0.0, 0, "stopped")
    return _failed(spec, failures + 1, sentence, jitter)


def shortage_delay_s(times: int) -> float:
    """Delay before the next try when the machine was short of something for the `times`-th time in a row (1 is the first)."""
    return float(min(5.0, 0.1 * 2 ** min(times - 1, 10)))


def describe(status: int | None) -> str:
    """A wait status in words."""
    if status is None:
        return "exit status unknown"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"killed by {name}" + (" (core dumped)" if os.WCOREDUMP(status) else "")
    return f"exit status {os.WEXITSTATUS(status)}"


def _words(death: Death) -> str:
    """How it ended, and why we ended it."""
    words = ("oom: the kernel ended it for its memory; " if death.oom else "") + describe(death.status)
    return f"{death.unwell}; {words}" if death.unwell else words


def _given_up(spec: TaskSpec, failures: int, why: str) -> Verdict:
    if spec.retry_fatal_s:
        return Verdict(Event.LATER, spec.retry_fatal_s, failures, f"{why}; tried again in {spec.retry_fatal_s:g} s (retry_fatal_s)")
    return Verdict(Event.HOPELESS, 0.0, failures, why, finished=spec.kind is Kind.JOB)


def _failed(spec: TaskSpec, failures: int, reason: str, jitter: float | None) -> Verdict:
    if failures > spec.startretries:
        return _given_up(spec, failures, f"{reason}; gave up after {failures} failed starts in a row (startretries: {spec.startretries})")
    return Verdict(Event.LATER, _delay_s(spec, failures, jitter), failures, reason)


def _delay_s(spec: TaskSpec, times: int, jitter: float | None) -> float:
    drawn = int.from_bytes(os.urandom(4)) / (1 << 31) - 1 if jitter is None else jitter
    return float(min(spec.backoff_max_s, spec.backoff_s * 2 ** min(times - 1, 40)) * (1 + drawn / 10))

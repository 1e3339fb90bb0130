"""Waiting for an event with a deadline; the one place of the tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Overdue(AssertionError):
    """What a test waited for did not come in time."""


def until(predicate: Callable[[], T | None], deadline_s: float = 20.0, what: str | Callable[[], str] = "") -> T:
    """The first true value of `predicate`, asked every 5 ms; Overdue after `deadline_s` seconds, with `what` in its text."""
    end = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            sentence = what() if callable(what) else what
            raise Overdue(f"not within {deadline_s:g} s: {sentence or getattr(predicate, '__name__', 'the condition')}")
        time.sleep(0.005)


def spin(seconds: float) -> None:
    """Let a time pass with the precision of microseconds; for the instants of a nemesis, never to wait for something."""
    end = time.perf_counter() + seconds
    if seconds > 0.002:
        time.sleep(seconds - 0.001)
    while time.perf_counter() < end:
        pass

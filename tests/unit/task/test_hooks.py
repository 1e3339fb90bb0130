"""Hooks with errands that end when the test says so: who is told, who waits, and how long."""

from __future__ import annotations

from typing import Any

import pytest

from efsupervisor.conf.schema import HooksSpec
from efsupervisor.task.hooks import AFTER_EXIT, AFTER_START, BEFORE_START, BEFORE_STOP, Hooks
from tests.unit.task.fakes import FakeErrands, FakeSeat

ALL = HooksSpec(before_start=["a"], after_start=["b"], before_stop=["c"], after_exit=["d"], timeout_s=7.0)


class Setting:
    """Hooks, the errands they send, and what was told."""

    def __init__(self, **spec: Any) -> None:
        self.seat = FakeSeat(**spec)
        self.errands = FakeErrands()
        self.hooks = Hooks(self.seat, self.errands)  # type: ignore[arg-type]
        self.told: list[str] = []

    def run(self, name: str, longest_s: float | None = None, **more: str) -> None:
        self.hooks.run(name, 3, more, self.told.append, longest_s)


@pytest.mark.parametrize("spec", [{}, {"hooks": HooksSpec()}])
def test_without_a_hook_whoever_waits_goes_on_at_once(spec: dict[str, Any]) -> None:
    setting = Setting(**spec)
    setting.run(BEFORE_START)
    assert (setting.told, setting.errands.sent, setting.hooks.has(BEFORE_START)) == ([""], [], False)


def test_a_hook_has_the_tasks_environment_and_its_own_command() -> None:
    setting = Setting(hooks=ALL, environment={"A": "1"})
    setting.run(AFTER_EXIT, EFS_EXIT_STATUS="7")
    (errand,) = setting.errands.sent
    assert (errand.what.argv, errand.timeout_s) == (["d"], 7.0)
    found = errand.what.environment
    assert (found["A"], found["EFS_HOOK"], found["EFS_EXIT_STATUS"], found["EFS_INCARNATION"]) == ("1", "after_exit", "7", "3")


def test_a_failure_is_an_alert_and_told() -> None:
    setting = Setting(hooks=ALL)
    setting.run(BEFORE_START)
    assert setting.told == []
    setting.errands.sent[0].end("exit status 1")
    assert setting.told == ["hook before_start failed: exit status 1"]
    assert setting.seat.alerts == [("hook", "hook before_start failed: exit status 1")]


def test_a_success_is_told_without_a_word() -> None:
    setting = Setting(hooks=ALL)
    setting.run(BEFORE_STOP)
    setting.errands.sent[0].end()
    assert (setting.told, setting.seat.alerts) == ([""], [])


def test_whoever_has_less_time_than_the_hook_says_how_much() -> None:
    setting = Setting(hooks=ALL)
    setting.run(BEFORE_STOP, longest_s=2.0)
    setting.run(BEFORE_STOP, longest_s=60.0)
    assert [each.timeout_s for each in setting.errands.sent] == [2.0, 7.0]


def test_only_a_hook_that_something_waits_for_is_hurried() -> None:
    setting = Setting(hooks=ALL)
    setting.run(AFTER_START)
    setting.hooks.hurry(1.0)
    assert setting.errands.shortened == []
    setting.run(AFTER_EXIT)
    setting.hooks.hurry(1.0)
    assert setting.errands.shortened == [1.0]
    setting.errands.sent[1].end()
    setting.hooks.hurry(0.5)
    assert setting.errands.shortened == [1.0]


def test_a_hook_of_a_user_that_does_not_exist_fails_like_one_that_ran() -> None:
    setting = Setting(hooks=ALL, user="no-such-user-here")
    setting.run(BEFORE_START)
    assert setting.errands.sent == [] and "user 'no-such-user-here' does not exist" in setting.told[0]

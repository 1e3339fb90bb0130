"""Completion at Tab: names of the supervisor that runs, quickly or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from efsupervisor.cli import grammar
from efsupervisor.cli.completing import WAIT_S, fitting, names_at
from efsupervisor.errors import Code
from efsupervisor.messages import FailedReply, GroupRow, GroupsReply, GroupsRequest, Request, StatusReply, TaskStatus
from efsupervisor.states import Goal, State
from tests.unit.cli.fake_core import FakeCore


def answer(request: Request) -> list[object]:
    if isinstance(request, GroupsRequest):
        return [GroupsReply(id=request.id, rows=[GroupRow(name="front", tasks=["w*"])])]
    return [StatusReply(id=request.id, tasks=[TaskStatus(name=name, state=State.RUNNING, goal=Goal.ACT) for name in ("web", "worker", "이벤트")])]


def complete(folder: Path, words: list[str], begun: str) -> list[str]:
    items = ShellComplete(grammar.root, {}, "efctl", "_EFCTL_COMPLETE").get_completions(["--var", str(folder), *words], begun)
    return [item.value for item in items]


@pytest.mark.parametrize(
    ("words", "begun", "found"),
    [
        (["act"], "w", ["web", "worker"]),
        (["act"], "web,w", ["web,worker"]),
        (["tail", "-f"], "이", ["이벤트"]),
        (["trm", "web"], "a", ["all"]),
        (["status"], "f", ["front"]),
        (["set"], "wo", ["worker"]),
        (["flow", "add", "f"], "wo", ["worker"]),
        (["flow", "add"], "w", []),
        (["flow", "del"], "w", []),
        (["schedule", "set", "s", "cron", "--act"], "we", ["web"]),
        (["flow"], "a", ["add"]),
        (["log", "--stream"], "d", ["dead"]),
        ([], "hist", ["history"]),
    ],
)
def test_what_fits_is_offered(words: list[str], begun: str, found: list[str], folder: Path) -> None:
    with FakeCore(folder, answer):
        assert complete(folder, words, begun) == found


def test_nothing_is_offered_when_nobody_runs_and_nothing_is_said(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert complete(folder, ["act"], "") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.alone
def test_a_silent_core_holds_tab_up_for_a_moment_only(folder: Path) -> None:
    began = time.monotonic()
    with FakeCore(folder, lambda _: []) as core:
        assert names_at(core.path) == []
    assert time.monotonic() - began < WAIT_S + 0.1


def test_a_core_without_groups_still_has_tasks(folder: Path) -> None:
    def older(request: Request) -> list[object]:
        return [FailedReply(id=request.id, code=Code.BAD_REQUEST, sentence="no")] if isinstance(request, GroupsRequest) else answer(request)

    with FakeCore(folder, older) as core:
        assert names_at(core.path) == ["web", "worker", "이벤트", "all"]


def test_a_name_that_was_said_is_not_offered_again() -> None:
    assert fitting("web,", ["web", "worker"]) == ["web,worker"]


def test_no_configuration_offers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EFSUPERVISOR_SOCKET", raising=False)
    monkeypatch.setattr(os.path, "exists", lambda _path: False)
    items = ShellComplete(grammar.root, {}, "efctl", "_EFCTL_COMPLETE").get_completions(["act"], "")
    assert [item.value for item in items] == []



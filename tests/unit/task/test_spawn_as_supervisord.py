"""What a program of a supervisord.conf is started with: the supervisor's environment, and the rights that it has."""

from __future__ import annotations

import os

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.messages import Wiring
from efsupervisor.task import spawn


def plan(**spec: object) -> spawn.Plan:
    return spawn.plan(Wiring(spec=TaskSpec(name="g.x", command=["x"], **spec), task_dir="/t", namespace="n"), 1)  # type: ignore[arg-type]


def test_the_whole_environment_is_inherited_and_supervisords_names_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "/bin", "LD_LIBRARY_PATH": "/x", "A": "outside"})
    found = plan(inherit_environment=True, process_name="x", group="g", serverurl="unix:///s", environment={"A": "own"}).environment
    assert {name: value for name, value in found.items() if not name.startswith("EFS_")} == {
        "PATH": "/bin", "LD_LIBRARY_PATH": "/x", "A": "own", "SUPERVISOR_ENABLED": "1", "SUPERVISOR_SERVER_URL": "unix:///s",
        "SUPERVISOR_PROCESS_NAME": "x", "SUPERVISOR_GROUP_NAME": "g",
    }  # fmt: skip


def test_a_task_of_ours_has_a_clean_environment_and_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "/bin", "LD_LIBRARY_PATH": "/x"})
    found = plan(group="web", instance=3).environment
    assert "LD_LIBRARY_PATH" not in found and "SUPERVISOR_ENABLED" not in found and found["EFS_INSTANCE"] == "3"


def test_rights_stay_only_where_the_spec_says_so() -> None:
    assert plan(no_new_privs=False).keeps_rights and not plan().keeps_rights

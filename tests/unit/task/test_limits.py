"""What a program may use, worked out before the fork; how its tree's usage is read; variables from files."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import SpawnFailed
from efsupervisor.task import envfile, usage
from efsupervisor.task.limits import NONE, Limits, planned, stages
from efsupervisor.task.usage import Sample


def spec(**more: Any) -> TaskSpec:
    return TaskSpec(name="t", command=["x"], **more)


def test_a_plain_task_has_no_limits_of_ours() -> None:
    assert planned(spec(), 0) is NONE
    assert planned(spec(), 935) is NONE, "what a container gave is not lowered"


def test_a_task_of_a_protected_supervisor_is_not_protected() -> None:
    assert planned(spec(), -500) == Limits(oom=0)
    assert planned(spec(oom_score_adj=-100), -500).oom == -100
    assert planned(spec(oom_score_adj=300), 0).oom == 300


def test_limits_are_numbers_of_the_machine() -> None:
    made = planned(spec(limits={"nofile": (10, 20), "core": (0, -1)}, nice=5, ionice="best-effort:3", cpu_affinity=(1, 2)), 0)
    assert made == Limits(((resource.RLIMIT_NOFILE, 10, 20), (resource.RLIMIT_CORE, 0, -1)), 5, (2, 3), (1, 2))
    assert planned(spec(ionice="idle"), 0).ionice == (3, 0)


class Machine:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []

    def ionice(self, *what: int) -> None:
        self.done.append(("ionice", what))

    def oom_score_adj(self, value: int) -> None:
        self.done.append(("oom", value))


def test_a_stage_does_nothing_that_was_not_asked_for() -> None:
    machine = Machine()
    for stage in stages(machine, NONE).values():  # type: ignore[arg-type]
        stage()
    assert machine.done == []
    for name in ("oom", "ionice"):
        stages(machine, Limits(ionice=(3, 0), oom=7))[name]()  # type: ignore[arg-type]
    assert machine.done == [("oom", 7), ("ionice", (3, 0))]


# Usage ----------------------------------------------------------------------------------------------------------------------------------------------

STAT = b"7 (a ) b) S 1 7 7 0 -1 4194560 100 200 0 0 100 50 30 20 20 0 1 0 12345 1000000 25 18446744073709551615 0 0"


def test_a_stat_line_is_read_behind_the_last_bracket_of_the_name() -> None:
    assert usage.parse(STAT) == Sample(25 * usage.PAGE, 200 / usage.TICKS)


@pytest.mark.parametrize(
    ("now", "before", "limits", "word"),
    [
        (Sample(100, 0.0), None, (0, 0), ""),
        (Sample(100, 0.0), None, (100, 0), ""),
        (Sample(101, 0.0), None, (100, 0), "more than max_rss (100)"),
        (Sample(0, 9.0), None, (0, 10), ""),
        (Sample(0, 9.0), Sample(0, 8.0), (0, 10), ""),
        (Sample(0, 9.1), Sample(0, 8.0), (0, 10), "uses 11 % of a processor"),
        (Sample(0, 1.0), Sample(0, 8.0), (0, 10), ""),
    ],
)
def test_a_tree_uses_too_much_only_beyond_its_limit(now: Sample, before: Sample | None, limits: tuple[int, int], word: str) -> None:
    said = usage.verdict(now, before, 10.0, *limits)
    assert word in said and bool(said) == bool(word)


# Variables from files -------------------------------------------------------------------------------------------------------------------------------


def test_a_file_of_variables_is_read_as_people_write_them() -> None:
    text = "# comment\n; comment\n\nA=1\n  B = x y \nexport C=\"q'q\"\nD='z'\nE=\nF=a=b\nG=\"open\n"
    assert envfile.parse(text, "f") == {"A": "1", "B": "x y", "C": "q'q", "D": "z", "E": "", "F": "a=b", "G": '"open'}


@pytest.mark.parametrize("line", ["novalue", "=x", "two words=1"])
def test_a_line_that_is_no_variable_is_named_and_not_quoted(line: str) -> None:
    with pytest.raises(SpawnFailed, match="f:2 is no variable") as failed:
        envfile.parse(f"A=1\n{line}\n", "f")
    assert line not in failed.value.message and not failed.value.transient


def test_a_file_may_be_missing_when_it_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A=1\n")
    (tmp_path / "b").write_text("A=2\n")
    assert envfile.read([f"{tmp_path}/a", f"-{tmp_path}/none", f"{tmp_path}/b"]) == {"A": "2"}
    with pytest.raises(SpawnFailed, match="none cannot be read: No such file"):
        envfile.read([f"{tmp_path}/none"])
    (tmp_path / "c").write_bytes(b"A=\0")
    with pytest.raises(SpawnFailed, match="has a NUL"):
        envfile.read([f"{tmp_path}/c"])

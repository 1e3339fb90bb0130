"""Small files by which processes of ours find each other again, and where everything of a task lies."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from efsupervisor.errors import JournalError
from efsupervisor.messages import Report
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL, boot_id
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.record import program_is_alive, read_program, read_state, unfinish, write_program, write_state
from tests.unit.journal.fakes import Machine, Refuse


@pytest.fixture
def paths(tmp_path: Path) -> TaskPaths:
    """A task's folder."""
    (tmp_path / "run").mkdir()
    return TaskPaths(str(tmp_path))


def test_a_program_records_itself_so_that_it_can_be_told_from_every_other(paths: TaskPaths) -> None:
    write_program(REAL, paths, 7, 1_500_000_000, boot_id())
    record = read_program(paths)
    assert record is not None
    assert (record.version, record.incarnation, record.pid, record.boot_id) == (1, 7, os.getpid(), boot_id())
    assert (record.start_ticks, record.started_wall) == (REAL.start_ticks(os.getpid()), 1.5)
    assert program_is_alive(REAL, record)


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"pid": 2**22 + 7}, {"boot_id": "another"}])
def test_a_pid_alone_is_nobody(paths: TaskPaths, change: dict[str, object]) -> None:
    write_program(REAL, paths, 7, 0, boot_id())
    path = Path(paths.program)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    assert not program_is_alive(REAL, read_program(paths))


def test_no_record_is_no_program(paths: TaskPaths) -> None:
    assert read_program(paths) is None
    assert not program_is_alive(REAL, None)


def test_a_damaged_program_record_is_an_error_and_a_damaged_state_is_none(paths: TaskPaths) -> None:
    Path(paths.program).write_bytes(b"{")
    Path(paths.state).write_bytes(b"\xff")
    with pytest.raises(JournalError, match="is damaged"):
        read_program(paths)
    assert read_state(paths) is None


def test_a_state_comes_back_and_an_older_one_without_the_newest_fields_too(paths: TaskPaths) -> None:
    report = Report(state=State.BACKOFF, goal=Goal.ACT, exit_status=256, blocked_by=["x"], reason="ü")
    write_state(REAL, paths, report)
    assert read_state(paths) == report
    document = json.loads(Path(paths.state).read_bytes())
    few = {name: document[name] for name in ("kind", "state", "goal")} | {"a_field_of_the_future": 1}
    Path(paths.state).write_text(json.dumps(few))
    assert read_state(paths) == Report(state=State.BACKOFF, goal=Goal.ACT)


def test_a_state_that_cannot_be_written_leaves_the_one_before_and_no_rubbish(paths: TaskPaths) -> None:
    before = Report(state=State.RUNNING, goal=Goal.ACT)
    write_state(REAL, paths, before)
    for call in ("open", "write", "rename"):
        with pytest.raises(OSError):
            write_state(Machine(Refuse(call)), paths, Report(state=State.EXITED, goal=Goal.ACT))  # type: ignore[arg-type]
        assert read_state(paths) == before
        assert sorted(os.listdir(paths.folder)) == ["run", "state.json"]


def test_a_task_that_is_to_run_again_is_not_finished_any_more(paths: TaskPaths) -> None:
    unfinish(REAL, paths)
    assert read_state(paths) is None
    write_state(REAL, paths, Report(state=State.EXITED, goal=Goal.TRM, finished=True, exit_status=0))
    unfinish(REAL, paths)
    found = read_state(paths)
    assert found is not None
    assert (found.finished, found.goal, found.state, found.exit_status) == (False, Goal.ACT, State.EXITED, 0)


def test_an_unfinish_on_a_full_disk_leaves_the_old_word(paths: TaskPaths) -> None:
    report = Report(state=State.EXITED, goal=Goal.ACT, finished=True)
    write_state(REAL, paths, report)
    unfinish(Machine(Refuse("write")), paths)  # type: ignore[arg-type]
    assert read_state(paths) == report


def test_every_path_of_a_task_is_below_its_folder_and_named_by_its_id_alone() -> None:
    paths = TaskPaths("/var/tasks/abcdefghijkl")
    named = {name: getattr(paths, name) for name, value in vars(TaskPaths).items() if isinstance(value, property) and name not in ("id", "fifos")}
    assert len(set(named.values())) == len(named)
    assert all(path.startswith("/var/tasks/abcdefghijkl/") for path in named.values())
    assert paths.id == "abcdefghijkl"
    assert paths.fifo("in.7") == "/var/tasks/abcdefghijkl/run/in.7"


def test_fifos_are_where_the_run_folder_says(paths: TaskPaths) -> None:
    assert paths.fifos == paths.run
    Path(paths.run, "fifos").write_text("/dev/shm/x")
    assert paths.fifo("out") == "/dev/shm/x/out"
    empty = TaskPaths(paths.folder)
    Path(paths.run, "fifos").write_text("")
    assert empty.fifos == empty.run

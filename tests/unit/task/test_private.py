"""The private folder: whose it is, what is in it, and that nothing of it is left."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from efsupervisor.conf.schema import AliveSpec, ReadySpec, TaskSpec
from efsupervisor.errors import SpawnFailed
from efsupervisor.system import REAL
from efsupervisor.task.default import DefaultTaskDelHelper
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.private import MAX_SECRET, Private, needed, speaks


@pytest.fixture
def paths(tmp_path: Path) -> TaskPaths:
    (tmp_path / "abcdefghijkl" / "run").mkdir(parents=True)
    return TaskPaths(str(tmp_path / "abcdefghijkl"))


def private(paths: TaskPaths, tmp_path: Path, *bases: str) -> Private:
    return Private(REAL, paths, bases or (str(tmp_path),))


def spec(**secrets: str) -> TaskSpec:
    return TaskSpec(name="t", command=["x"], secrets=secrets)


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_only_tasks_with_something_to_put_there_have_one() -> None:
    assert not needed(spec())
    assert needed(spec(A="/x")) and not speaks(spec(A="/x"))
    assert speaks(TaskSpec(name="t", command=["x"], ready=ReadySpec(notify=True)))
    assert speaks(TaskSpec(name="t", command=["x"], alive=AliveSpec(watchdog_s=1.0)))
    assert not needed(TaskSpec(name="t", command=["x"], ready=ReadySpec(tcp="localhost:1"), alive=AliveSpec(tcp="localhost:1")))


def test_secrets_are_copied_for_the_programs_user_alone(paths: TaskPaths, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\0binary\n")
    made = private(paths, tmp_path)
    found = made.make(spec(DB=str(tmp_path / "key")), os.getuid(), os.getgid())
    assert found == {"CREDENTIALS_DIRECTORY": made.folder + "/credentials", "DB_FILE": made.folder + "/credentials/DB"}
    assert Path(found["DB_FILE"]).read_bytes() == b"\0binary\n"
    assert (mode(made.folder), mode(found["CREDENTIALS_DIRECTORY"]), mode(found["DB_FILE"])) == (0o711, 0o500, 0o400)
    made.remove()
    assert not list(tmp_path.glob("efsupervisor-*"))


def test_a_successor_finds_the_folder_and_a_new_life_removes_the_old_one(paths: TaskPaths, tmp_path: Path) -> None:
    first = private(paths, tmp_path)
    first.make(spec(), os.getuid(), os.getgid())
    second = private(paths, tmp_path)
    assert second.folder == first.folder
    second.make(spec(), os.getuid(), os.getgid())
    assert second.folder != first.folder and not os.path.exists(first.folder)
    second.remove()
    second.remove()
    assert private(paths, tmp_path).folder == "" and not list(tmp_path.glob("efsupervisor-*"))


def test_a_task_that_is_removed_leaves_no_private_folder(paths: TaskPaths, tmp_path: Path) -> None:
    private(paths, tmp_path).make(spec(), os.getuid(), os.getgid())
    DefaultTaskDelHelper(REAL).remove(paths.folder)
    assert list(tmp_path.iterdir()) == []


def test_the_next_place_is_taken_when_the_first_is_not_there(paths: TaskPaths, tmp_path: Path) -> None:
    made = private(paths, tmp_path, str(tmp_path / "absent"), str(tmp_path))
    made.make(spec(), os.getuid(), os.getgid())
    assert os.path.dirname(made.folder) == str(tmp_path)
    with pytest.raises(SpawnFailed, match="no private folder can be made"):
        private(paths, tmp_path, str(tmp_path / "absent")).make(spec(), os.getuid(), os.getgid())


def test_a_secret_that_cannot_be_had_is_named_and_its_source_too(paths: TaskPaths, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_SECRET + 1))
    for name, words in (("absent", "cannot be read: No such file"), ("large", "has more than 1,048,576 bytes")):
        with pytest.raises(SpawnFailed, match=f"secret DB: {tmp_path}/{name} {words}") as failed:
            private(paths, tmp_path).make(spec(DB=str(tmp_path / name)), os.getuid(), os.getgid())
        assert not failed.value.transient
    private(paths, tmp_path).remove()
    assert not list(tmp_path.glob("efsupervisor-*"))

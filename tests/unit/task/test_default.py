"""What a task needs on disk: prepared before its first start, kept, removed with it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from pathlib import Path

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import InEdge, Wiring
from efsupervisor.system import Real
from efsupervisor.task import default
from efsupervisor.task.default import DefaultTaskDelHelper, DefaultTaskHelper
from efsupervisor.task.paths import TaskPaths


class Overlay(Real):
    """A machine whose file systems below some folders forget the times of FIFOs, as overlayfs does."""

    def __init__(self, *folders: str) -> None:
        super().__init__()
        self._folders = folders

    def utime_ns(self, fd: int, atime_ns: int, mtime_ns: int) -> None:
        """Kept or not."""
        if not os.readlink(f"/proc/self/fd/{fd}").startswith(self._folders):
            super().utime_ns(fd, atime_ns, mtime_ns)


def wiring(folder: Path, flow: bool = False) -> Wiring:
    inputs = [InEdge(id="1" * 16, producer="p", folder="/f", journal="/j")] if flow else []
    return Wiring(spec=TaskSpec(name="Työ", command=["x"]), task_dir=str(folder / "abcdefghijkl"), namespace="n", inputs=inputs)


def test_folders_fifos_and_the_name_are_there_and_stay_when_it_is_prepared_again(tmp_path: Path) -> None:
    one = wiring(tmp_path)
    paths = TaskPaths(one.task_dir)
    previous = os.umask(0o077)
    try:
        DefaultTaskHelper(Real()).prepare(one)
    finally:
        os.umask(previous)
    assert [stat.S_IMODE(os.stat(folder).st_mode) for folder in (paths.folder, paths.run, paths.files)] == [0o700] * 3
    inodes = {}
    for name in ("out", "err", "bell"):
        found = os.stat(paths.fifo(name))
        assert stat.S_ISFIFO(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o666  # whatever the umask was: a program of any user opens its /dev/stdout
        inodes[name] = found.st_ino
    assert json.loads(Path(paths.folder, "task.json").read_bytes()) == {"version": 1, "name": "Työ", "id": "abcdefghijkl"}
    DefaultTaskHelper(Real()).prepare(one)
    assert {name: os.stat(paths.fifo(name)).st_ino for name in inodes} == inodes
    DefaultTaskDelHelper(Real()).remove(one.task_dir)
    assert list(tmp_path.iterdir()) == []


def test_something_else_in_the_place_of_a_fifo_is_refused(tmp_path: Path) -> None:
    one = wiring(tmp_path)
    paths = TaskPaths(one.task_dir)
    DefaultTaskHelper(Real()).prepare(one)
    os.unlink(paths.fifo("out"))
    Path(paths.fifo("out")).write_bytes(b"")
    with pytest.raises(EfError, match="is no FIFO") as refused:
        DefaultTaskHelper(Real()).prepare(one)
    assert refused.value.code is Code.DAMAGED
    DefaultTaskDelHelper(Real()).remove(one.task_dir)


def test_where_the_run_folder_cannot_keep_the_times_the_fifos_go_to_a_private_folder_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "shm"
    good.mkdir()
    monkeypatch.setattr(default, "FIFO_FOLDERS", (str(tmp_path / "missing"), str(good)))
    (tmp_path / "var").mkdir()
    one, system = wiring(tmp_path / "var", flow=True), Overlay(str(tmp_path / "var"))
    DefaultTaskHelper(system).prepare(one)
    paths = TaskPaths(one.task_dir)
    (place,) = good.iterdir()
    assert (paths.fifos, stat.S_IMODE(place.stat().st_mode)) == (str(place), 0o700)
    assert sorted(path.name for path in place.iterdir()) == ["bell", "err", "out"]
    DefaultTaskHelper(system).prepare(one)
    assert list(good.iterdir()) == [place]
    for path in place.iterdir():
        path.unlink()
    place.rmdir()  # a reboot: the tmpfs is empty
    DefaultTaskHelper(system).prepare(one)
    assert sorted(path.name for path in place.iterdir()) == ["bell", "err", "out"]
    DefaultTaskDelHelper(system).remove(one.task_dir)
    assert list(good.iterdir()) == []


def test_where_no_file_system_serves_a_task_with_a_flow_is_refused_and_a_plain_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    monkeypatch.setattr(default, "FIFO_FOLDERS", (str(bad), str(tmp_path / "missing")))
    system = Overlay(str(tmp_path))
    for name, flow in (("with", True), ("without", False)):
        (tmp_path / name).mkdir()
        one = wiring(tmp_path / name, flow)
        if flow:
            with pytest.raises(EfError, match=r"takes events, but the file system of .* cannot carry its pipes"):
                DefaultTaskHelper(system).prepare(one)
        else:
            DefaultTaskHelper(system).prepare(one)
            assert TaskPaths(one.task_dir).fifos == TaskPaths(one.task_dir).run
    assert list(bad.iterdir()) == []


def test_a_program_file_is_stored_executable_and_replaced_in_one_step(tmp_path: Path) -> None:
    helper, folder = DefaultTaskHelper(Real()), str(tmp_path / "abcdefghijkl")
    path = helper.store(folder, b"#!/bin/sh\n")
    assert helper.store(folder, b"#!/bin/sh\nexit 3\n") == path
    assert Path(path).read_bytes() == b"#!/bin/sh\nexit 3\n"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert os.listdir(os.path.dirname(path)) == ["program"]
    DefaultTaskDelHelper(Real()).remove(folder)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "/etc/passwd", ".."])
def test_a_name_that_is_a_path_is_no_name_of_a_program_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(EfError) as refused:
        DefaultTaskHelper(Real()).store(str(tmp_path / "t"), b"x", name)
    assert refused.value.code is Code.BAD_NAME
    assert not (tmp_path / "t").exists()


def test_a_task_whose_lock_is_held_is_not_removed(tmp_path: Path) -> None:
    one = wiring(tmp_path)
    DefaultTaskHelper(Real()).prepare(one)
    fd = os.open(TaskPaths(one.task_dir).lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(EfError, match="has a worker: stop it first") as refused:
        DefaultTaskDelHelper(Real()).remove(one.task_dir)
    assert refused.value.code is Code.BAD_STATE
    assert os.path.isdir(one.task_dir)
    os.close(fd)
    DefaultTaskDelHelper(Real()).remove(one.task_dir)
    assert not os.path.exists(one.task_dir)


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_bytes(b"x")
    (tmp_path / "task").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError) as refused:
        DefaultTaskDelHelper(Real()).remove(str(tmp_path / "task"))
    assert refused.value.errno in (None, errno.ENOTDIR, errno.ELOOP)
    assert (tmp_path / "elsewhere" / "kept").exists()

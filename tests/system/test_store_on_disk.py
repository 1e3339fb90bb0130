"""The state file on real file systems that refuse, and beside forked children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from efsupervisor.core.store import Store
from efsupervisor.states import Goal
from efsupervisor.system import REAL
from tests.support.stores import Told, asides, filled, opened, path_in, run, task
from tests.system.conftest import Mount

TRY_EXCLUSIVE = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute('PRAGMA journal_mode=DELETE')"


def another_process_is_refused(folder: Path) -> bool:
    """Whether the lock that this process has on the file keeps others from taking it for themselves."""
    done = subprocess.run([sys.executable, "-c", TRY_EXCLUSIVE, path_in(folder)], capture_output=True, text=True, check=False)
    return "database is locked" in done.stderr


def fill_up(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "everything"
    with open(path, "wb", buffering=0) as file:
        size = 65536
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return path


def test_a_forked_child_takes_neither_the_locks_nor_the_file_of_its_parent(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    store.flush()
    assert len(store._descriptors) == 3
    assert another_process_is_refused(tmp_path)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            store.put_task(task("child"))
            written = store.flush()
            store.abandon()
            reused = [os.open(os.devnull, os.O_RDONLY) for _ in store._descriptors]
            store._connection = None  # what the end of an interpreter does: SQLite must not close numbers that are other files by now
            alive = all(os.fstat(fd) for fd in reused)
            status = 2 if written or not alive or sorted(reused) != sorted(store._descriptors) else 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert another_process_is_refused(tmp_path)
    store.put_task(task("parent"))
    assert store.flush()
    store.close()
    assert not another_process_is_refused(tmp_path)
    store = opened(tmp_path)
    assert [each.name for each in store.saved().tasks] == ["first", "second", "third", "parent"]
    store.close()


def test_a_full_disk_is_said_costs_nothing_and_is_written_when_there_is_room(tmp_path: Path, mount: Mount) -> None:
    folder = mount("tmpfs", "small", "size=4M,mode=700")
    log = Told()
    store = opened(folder, log)
    filled(store)
    store.flush()
    everything = fill_up(folder)
    for number in range(200):
        store.put_task(task(f"task-{number}", "word " * 50))
        store.ran(run("first"))
    assert not store.flush()
    assert "the disk is full" in store.ailment
    store.set_intent("first", Goal.TRM, autostart=True)
    assert not store.flush()
    assert len(log.errors) == 1
    everything.unlink()
    assert store.flush(), store.ailment
    store.close()
    saved = opened(folder).saved()
    assert len(saved.tasks) == 203
    assert len(saved.intents) == 2


def test_a_start_on_a_full_disk_reads_what_was_saved_and_writes_it_when_there_is_room(tmp_path: Path, mount: Mount) -> None:
    folder = mount("tmpfs", "small", "size=1M,mode=700")
    store = opened(folder)
    filled(store)
    store.close()
    everything = fill_up(folder)
    store = opened(folder)
    assert [each.name for each in store.saved().tasks] == ["first", "second", "third"]
    assert store.saved().complete
    store.put_task(task("fourth"))
    store.flush()
    assert store.ailment
    everything.unlink()
    assert store.flush(), store.ailment
    assert store.ailment == ""
    store.close()
    assert len(opened(folder).saved().tasks) == 4
    assert asides(folder) == []


def test_a_first_start_on_a_full_disk_keeps_everything_in_memory_until_there_is_room(tmp_path: Path, mount: Mount) -> None:
    folder = mount("tmpfs", "small", "size=1M,mode=700")
    (folder / "lib").mkdir(mode=0o700)
    everything = fill_up(folder)
    store = opened(folder)
    filled(store)
    assert not store.flush()
    assert store.ailment
    everything.unlink()
    assert store.flush(), store.ailment
    store.close()
    assert len(opened(folder).saved().tasks) == 3


def test_a_damaged_file_on_a_full_disk_is_read_and_replaced_when_there_is_room(tmp_path: Path, mount: Mount) -> None:
    folder = mount("tmpfs", "small", "size=1M,mode=700")
    store = opened(folder)
    filled(store)
    store.close()
    with open(path_in(folder), "r+b") as file:
        file.write(b"not SQLite")
    everything = fill_up(folder)
    log = Told()
    store = opened(folder, log)
    assert [each.name for each in store.saved().tasks] == ["first", "second", "third"]
    assert not store.saved().complete
    assert len(log.errors) == 2
    assert all(path_in(folder) in line and "/dev/shm" not in line for line in log.errors)
    assert store.ailment
    everything.unlink()
    store.put_task(task("fourth"))
    assert store.flush(), store.ailment
    store.close()
    assert len(asides(folder)) == 1
    assert len(opened(folder).saved().tasks) == 4


def test_a_file_system_that_became_read_only_is_read_and_said(tmp_path: Path, mount: Mount) -> None:
    folder = mount("tmpfs", "small", "size=1M,mode=700")
    store = opened(folder)
    filled(store)
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    store = Store.open(path_in(folder), system=REAL, log=Told())
    assert [each.name for each in store.saved().tasks] == ["first", "second", "third"]
    store.put_task(task("fourth"))
    assert not store.flush()
    assert store.ailment
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    assert store.flush(), store.ailment
    store.close()
    assert len(opened(folder).saved().tasks) == 4

"""A task's own input queue: a put that is tried again is there once, whatever instant it was killed at."""

from __future__ import annotations

import errno
import fcntl
import os
from itertools import count
from pathlib import Path

import pytest

from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader
from efsupervisor.system import REAL
from efsupervisor.task.delivery import EdgeState, Record
from efsupervisor.task.paths import TaskPaths, own_edge_id
from efsupervisor.task.queue import MAX_EVENT, put
from tests.unit.journal.fakes import Killed, Machine, StopAt


def task(folder: Path, name: str = "task") -> TaskPaths:
    (folder / name / "run").mkdir(parents=True)
    return TaskPaths(str(folder / name))


def events(paths: TaskPaths) -> list[bytes]:
    """What a consumer would see: whole lines outside of fragments."""
    reader = Reader(paths.input_journal, system=REAL)
    try:
        data = reader.read(0, 1 << 22)
        dead = [(fragment.start, fragment.end) for fragment in reader.fragments(0)]
    finally:
        reader.close()
    kept = b"".join(bytes([byte]) for at, byte in enumerate(data) if not any(start <= at < end for start, end in dead))
    return kept.splitlines(keepends=True)


def test_events_are_kept_in_order_and_each_is_one_line(tmp_path: Path) -> None:
    paths = task(tmp_path)
    offsets = [put(paths, f"id{number}", text, REAL) for number, text in enumerate([b"one", b"two\n", b"", "drei äöü".encode()])]
    assert events(paths) == [b"one\n", b"two\n", b"\n", "drei äöü\n".encode()]
    assert offsets == [0, 4, 8, 9]


def test_the_same_id_again_is_the_same_event(tmp_path: Path) -> None:
    paths = task(tmp_path)
    first = put(paths, "a", b"one", REAL)
    put(paths, "b", b"two", REAL)
    assert put(paths, "a", b"one", REAL) == first
    assert put(paths, "c", b"one", REAL) != first
    assert events(paths) == [b"one\n", b"two\n", b"one\n"]


OF_A_FLOW = "0123456789abcdef"


def read_up_to(paths: TaskPaths, offsets: dict[str, int]) -> None:
    """The task's delivery record says so of these edges."""
    record = Record(paths.delivery, REAL)
    state = record.load()
    state.edges = [EdgeState(edge, offset, offset) for edge, offset in offsets.items()]
    record.save(state)
    record.close()


def test_how_far_a_task_has_read_a_flow_says_nothing_about_its_own_queue(tmp_path: Path) -> None:
    paths = task(tmp_path)
    read_up_to(paths, {OF_A_FLOW: 1566})
    assert put(paths, "a", b"one", REAL) == 0


def test_a_queue_whose_files_are_gone_goes_on_where_the_task_has_read_it(tmp_path: Path) -> None:
    paths = task(tmp_path)
    read_up_to(paths, {OF_A_FLOW: 1566, own_edge_id(paths.id): 40})
    assert put(paths, "a", b"one", REAL) == 40


@pytest.mark.parametrize(("data", "code"), [(b"two\nlines", Code.BAD_REQUEST), (b"x" * MAX_EVENT, Code.TOO_LARGE)])
def test_what_is_no_event_is_refused_and_nothing_is_kept(tmp_path: Path, data: bytes, code: Code) -> None:
    paths = task(tmp_path)
    with pytest.raises(EfError) as refused:
        put(paths, "a", data, REAL)
    assert refused.value.code is code
    assert not os.path.exists(paths.input_journal)


def test_the_largest_event_is_taken(tmp_path: Path) -> None:
    paths = task(tmp_path)
    put(paths, "a", b"x" * (MAX_EVENT - 1), REAL)
    assert put(paths, "a", b"x" * (MAX_EVENT - 1), REAL) == 0


def test_a_task_whose_lock_is_taken_is_busy_and_its_own_worker_needs_no_lock(tmp_path: Path) -> None:
    paths = task(tmp_path)
    fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(EfError) as busy:
        put(paths, "a", b"one", REAL)
    assert busy.value.code is Code.BAD_STATE
    assert put(paths, "a", b"one", REAL, lock=False) == 0
    os.close(fd)


def test_a_full_disk_is_an_error_and_the_retry_keeps_the_event_once(tmp_path: Path) -> None:
    paths = task(tmp_path)
    put(paths, "first", b"one", REAL)
    machine = Machine(lambda name: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")) if name in ("write", "pwrite") else None)
    with pytest.raises(OSError) as failed:
        put(paths, "a", b"two", machine)  # type: ignore[arg-type]
    assert failed.value.errno == errno.ENOSPC
    machine.bury()
    put(paths, "a", b"two", REAL)
    assert events(paths) == [b"one\n", b"two\n"]


@pytest.mark.parametrize("torn", [0, 1, 3])
def test_a_put_killed_before_any_call_and_tried_again_is_there_once(tmp_path: Path, torn: int) -> None:
    for number in count():
        paths = task(tmp_path, f"task{number}")
        put(paths, "first", b"one", REAL)
        machine = Machine(StopAt(number, torn))
        killed = False
        try:
            put(paths, "a", b"two", machine)  # type: ignore[arg-type]
        except Killed:
            killed = True
        machine.bury()
        put(paths, "a", b"two", REAL)
        put(paths, "last", b"three", REAL)
        assert events(paths) == [b"one\n", b"two\n", b"three\n"], f"killed before call {number}"
        if not killed:
            break
    assert number > 10

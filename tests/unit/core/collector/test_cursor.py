"""The cursor of a stream across damage, full disks and crashes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from efsupervisor.core.collector.cursor import Cursor
from efsupervisor.system import REAL, Real


class Full(Real):
    """A machine whose disk takes nothing while `full`."""

    full = False

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return REAL.write(fd, data)


def test_what_was_noted_is_there_for_the_successor(tmp_path: Path) -> None:
    path = str(tmp_path / "c.json")
    cursor = Cursor(path, REAL, {"a": 5})
    cursor.begin({"a": 9}, 4)
    assert Cursor(path, REAL, {}).pending == cursor.pending
    cursor.accepted()
    again = Cursor(path, REAL, {})
    assert (again.state.position, again.pending, again.state.sequence) == ({"a": 9}, None, 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\0" * 100, b'{"version": 99}', b'{"sequence": "x"}', b'{"position": {"a": -'])
def test_a_damaged_file_begins_anew_under_numbers_that_were_never_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    cursor = Cursor(str(path), REAL, {"a": 1})
    assert cursor.ailment
    assert cursor.state.position == {"a": 1}
    assert cursor.begin({"a": 2}, 1).sequence > 1_000_000_000


def test_a_full_disk_keeps_the_state_in_memory_and_the_next_change_writes_it(tmp_path: Path) -> None:
    path, machine = str(tmp_path / "c.json"), Full()
    cursor = Cursor(path, machine, {})
    machine.full = True
    cursor.begin({"a": 3}, 3)
    cursor.accepted()
    assert cursor.state.position == {"a": 3}
    assert "No space" in cursor.ailment
    machine.full = False
    cursor.begin({"a": 4}, 1)
    assert cursor.ailment == ""
    assert Cursor(path, REAL, {}).state.position == {"a": 3}


def test_a_split_batch_and_its_parts_have_different_numbers(tmp_path: Path) -> None:
    cursor = Cursor(str(tmp_path / "c.json"), REAL, {})
    whole = cursor.begin({"a": 10}, 10)
    cursor.split()
    half = cursor.begin({"a": 5}, 5)
    assert half.sequence > whole.sequence
    assert cursor.state.position == {}


def test_sources_that_are_no_more_are_forgotten(tmp_path: Path) -> None:
    cursor = Cursor(str(tmp_path / "c.json"), REAL, {"a": 1, "b": 2})
    cursor.forget({"a", "never there"})
    assert cursor.state.position == {"b": 2}

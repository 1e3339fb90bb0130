"""A full disk, or one that fails: the journal stays usable, nothing is lost, and a failed rotation does not cost at each write."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from efsupervisor.journal import Writer
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Machine, Refuse, pipe
from tests.unit.journal.looks import content, drained, fresh, segments

LINE = b"z" * 99 + b"\n"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("sendfile", errno.ENOSPC),
        ("rename", errno.ENOSPC),
        ("open", errno.EMFILE),
        ("fchmod", errno.EIO),
        ("pread", errno.EIO),
        ("fstat", errno.ENOMEM),
    ],
)
def test_a_rotation_that_fails_leaves_the_old_segment_in_use_and_is_tried_again_a_megabyte_later(tmp_path: Path, name: str, number: int) -> None:
    refuse = Refuse(name, number)
    machine = Machine()
    writer = Writer(str(tmp_path / "j"), system=machine, segment_bytes=1000)
    reader = fresh(tmp_path / "j")
    descriptors = machine.descriptors()
    machine.script = refuse
    data = LINE * 20 + b"unfinished"
    writer.append(data)
    assert refuse.refused >= 1
    tries = refuse.refused
    for _ in range(100):
        writer.append(LINE)
        data += LINE
    assert refuse.refused == tries
    assert segments(tmp_path / "j") == {0: data}
    assert drained(reader) == data
    assert os.listdir(tmp_path / "j").count("00000000000000002000.log.tmp") == 0
    assert machine.descriptors() == descriptors
    refuse.armed = False
    while len(segments(tmp_path / "j")) == 1:
        writer.append(LINE * 100)
        data += LINE * 100
        assert len(data) < 1_200_000
    assert len(data) > 1_000_000
    assert drained(reader) == content(tmp_path / "j") == data
    assert machine.descriptors() == descriptors
    reader.close()
    writer.close()


def test_an_old_segment_that_cannot_be_cut_does_no_harm_and_is_cut_by_the_next_writer(tmp_path: Path) -> None:
    machine = Machine(Refuse("ftruncate", errno.EIO))
    writer = Writer(str(tmp_path / "j"), system=machine, segment_bytes=10)
    reader = fresh(tmp_path / "j")
    writer.append(b"one\ntwo\nrest")
    assert drained(reader) == b"one\ntwo\nrest"
    writer.append(b" of it")
    assert segments(tmp_path / "j") == {0: b"one\ntwo\nrest", 8: b"rest of it"}
    assert drained(reader) == drained(fresh(tmp_path / "j")) == b"one\ntwo\nrest of it"
    assert reader.tail_offset(1) == reader.record_start(9) == writer.last_record_end() == 8
    writer.close()
    Writer(str(tmp_path / "j"), system=REAL).close()
    assert content(tmp_path / "j") == b"one\ntwo\nrest of it"


def test_an_append_is_whole_or_not_at_all(tmp_path: Path) -> None:
    machine = Machine()
    writer = Writer(str(tmp_path / "j"), system=machine)
    writer.append(b"first\n")
    writes = iter([5, None])

    def short_then_full(name: str) -> int | None:
        if name != "write":
            return None
        most = next(writes)
        if most is None:
            raise OSError(errno.ENOSPC, "full")
        return most

    machine.script = short_then_full
    with pytest.raises(OSError, match="full"):
        writer.append(b"second\n")
    assert writer.end == 6
    assert content(tmp_path / "j") == b"first\n"
    machine.script = lambda name: None
    assert writer.append(b"third\n") == 6
    assert content(tmp_path / "j") == b"first\nthird\n"
    writer.close()


def test_a_splice_that_finds_the_disk_full_leaves_the_bytes_in_the_pipe(tmp_path: Path) -> None:
    refuse = Refuse("splice")
    with pipe() as (source, sink):
        writer = Writer(str(tmp_path / "j"), system=Machine(refuse))
        os.write(sink, b"kept\n")
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            writer.splice_from(source)
        assert writer.end == 0
        refuse.armed = False
        assert writer.splice_from(source) == 5
        writer.close()
    assert content(tmp_path / "j") == b"kept\n"


def test_a_new_writer_can_take_over_while_the_disk_is_full(tmp_path: Path) -> None:
    first = Writer(str(tmp_path / "j"), system=REAL, boot_id="a")
    first.append(b"before\n")
    first.close(clean=True)

    class NoSpace:
        def __call__(self, name: str) -> int | None:
            if name in {"write", "pwrite", "sendfile"}:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return None

    machine = Machine(NoSpace())
    writer = Writer(str(tmp_path / "j"), system=machine, boot_id="a")
    writer.index(1)
    writer.close(clean=True)
    assert machine.descriptors() == 0
    assert not [name for name in os.listdir(tmp_path / "j") if name.endswith(".tmp")]


@pytest.mark.parametrize("name", ["open", "fstat", "listdir", "lseek", "mkdir"])
def test_a_writer_that_cannot_begin_keeps_no_descriptor(tmp_path: Path, name: str) -> None:
    Writer(str(tmp_path / "j"), system=REAL).close()
    calls = 0

    for refused in range(1, 9):

        def script(asked: str, refused: int = refused) -> int | None:
            nonlocal calls
            calls += asked == name
            if asked == name and calls == refused:
                raise OSError(errno.EIO, "broken")
            return None

        calls = 0
        machine = Machine(script)
        with contextlib.suppress(OSError):
            Writer(str(tmp_path / "j"), system=machine, boot_id="x").close()
        assert calls >= 1
        assert machine.descriptors() == 0

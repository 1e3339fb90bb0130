"""A journal folder must not be a way to make us read or write elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from efsupervisor.errors import Code, JournalError
from efsupervisor.journal import Reader, Writer
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Machine

SEGMENT = f"{0:020d}.log"


def link(folder: Path, victim: Path) -> None:
    (folder / SEGMENT).symlink_to(victim)


def second_name(folder: Path, victim: Path) -> None:
    os.link(victim, folder / SEGMENT)


def fifo(folder: Path, victim: Path) -> None:
    os.mkfifo(folder / SEGMENT)


def subfolder(folder: Path, victim: Path) -> None:
    (folder / SEGMENT).mkdir()


@pytest.mark.parametrize("plant", [link, second_name, fifo, subfolder])
def test_a_segment_that_is_no_plain_file_of_ours_is_refused_and_left_alone(tmp_path: Path, plant: object) -> None:
    folder, victim = tmp_path / "j", tmp_path / "victim"
    folder.mkdir(mode=0o700)
    victim.write_bytes(b"precious\n")
    plant(folder, victim)  # type: ignore[operator]
    writing, reading = Machine(), Machine()
    with pytest.raises(JournalError) as refused:
        Writer(str(folder), system=writing)
    assert SEGMENT in refused.value.message
    assert refused.value.code is Code.DAMAGED
    reader = Reader(str(folder), system=reading)
    with pytest.raises(JournalError):
        reader.read(0, 10)
    assert victim.read_bytes() == b"precious\n"
    assert (writing.descriptors(), reading.descriptors()) == (0, 0)


def test_a_link_to_a_folder_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "j").symlink_to(tmp_path / "real")
    with pytest.raises(JournalError, match="not a folder"):
        Writer(str(tmp_path / "j"), system=REAL)
    with pytest.raises(JournalError, match="not a folder"):
        Reader(str(tmp_path / "j"), system=REAL).first()
    assert list((tmp_path / "real").iterdir()) == []


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    Writer(str(tmp_path / "j"), system=REAL).close()
    machine = Machine()

    def foreign(status: os.stat_result) -> os.stat_result:
        fields = list(status)
        fields[4] += 1 if fields[0] & 0o100000 else 0
        return os.stat_result(fields)

    machine.fstat_as = foreign
    with pytest.raises(JournalError, match="another user"):
        Writer(str(tmp_path / "j"), system=machine)
    assert machine.descriptors() == 0


def test_a_link_where_a_rotation_copies_to_stops_the_rotation_and_not_the_capture(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious\n")
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=10)
    (tmp_path / "j" / f"{4:020d}.log.tmp").symlink_to(victim)
    writer.append(b"one\nrest of it")
    assert writer.end == 14
    assert victim.read_bytes() == b"precious\n"
    assert list((tmp_path / "j").glob("*.log")) == [tmp_path / "j" / SEGMENT]
    writer.close()


def test_names_that_are_not_ours_are_passed_over(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    writer.append(b"mine\n")
    for name in ("1.log", "99999999999999999999.log.bz2", "\u0660" * 20 + ".log", "x" * 20 + ".log", "README"):
        (tmp_path / "j" / name).write_bytes(b"not ours")
    reader = Reader(str(tmp_path / "j"), system=REAL)
    assert (reader.first(), reader.end(), reader.read(0, 99)) == (0, 5, b"mine\n")
    reader.close()
    writer.close()
    Writer(str(tmp_path / "j"), system=REAL).close()
    assert (tmp_path / "j" / "README").exists()


def test_a_journal_of_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    Writer(str(tmp_path / "j"), system=REAL).close()
    (tmp_path / "j" / "journal.json").write_text('{"version": 2}')
    with pytest.raises(JournalError, match="format 2") as refused:
        Writer(str(tmp_path / "j"), system=REAL)
    assert refused.value.code is Code.VERSION


def test_folder_and_files_are_closed_to_others(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    writer.index(1)
    writer.close()
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o007 == 0 for path in (tmp_path / "j").iterdir())

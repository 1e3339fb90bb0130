"""After the machine lost power: wrong bytes are set aside and never delivered, and no offset is used twice."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from efsupervisor.journal import Fragment, Writer
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Killed, Machine, StopAt
from tests.unit.journal.looks import drained, fresh, segments

BLOCKS = [b"alpha\nbeta\n", b"gamma\n", b"delta\nepsilon\n", b"zeta\n"]
BEGINS = list(itertools.accumulate((len(block) for block in BLOCKS), initial=0))
DATA = b"".join(BLOCKS)


def filled(folder: Path, clean: bool = False) -> None:
    """A journal of one block per index entry, left as a power loss (or an orderly stop) leaves it."""
    writer = Writer(str(folder), system=REAL, boot_id="old")
    for number, block in enumerate(BLOCKS):
        writer.append(block)
        writer.index(number)
    writer.close(clean=clean)


def rebooted(folder: Path, floor: int = 0) -> Writer:
    return Writer(str(folder), system=REAL, boot_id="new", floor=floor)


@pytest.mark.parametrize("at", range(len(DATA)))
def test_a_flipped_byte_sets_its_block_and_all_behind_it_aside(tmp_path: Path, at: int) -> None:
    filled(tmp_path / "j")
    segment = tmp_path / "j" / f"{0:020d}.log"
    wrong = bytearray(DATA)
    wrong[at] ^= 0x20
    segment.write_bytes(wrong)
    good = max(begin for begin in BEGINS if begin <= at)
    writer = rebooted(tmp_path / "j")
    assert f"{len(DATA) - good} bytes from offset {good} on" in writer.damage
    assert (tmp_path / "j" / f"{good:020d}.damaged").read_bytes() == wrong[good:]
    assert writer.append(b"new\n") == len(DATA)
    writer.close()
    assert drained(fresh(tmp_path / "j")) == DATA[:good] + b"new\n"
    again = rebooted(tmp_path / "j")
    assert again.damage == ""
    again.close()


@pytest.mark.parametrize("length", range(len(DATA)))
def test_a_segment_that_lost_its_end_is_cut_back_to_whole_blocks(tmp_path: Path, length: int) -> None:
    filled(tmp_path / "j")
    os.truncate(tmp_path / "j" / f"{0:020d}.log", length)
    good = max(begin for begin in BEGINS if begin <= length)
    writer = rebooted(tmp_path / "j")
    assert writer.damage
    assert writer.append(b"new\n") == len(DATA)
    writer.close()
    assert drained(fresh(tmp_path / "j")) == DATA[:good] + b"new\n"


@pytest.mark.parametrize("kept", range(16 + 24 * 4))
def test_an_index_that_lost_its_end_condemns_nothing(tmp_path: Path, kept: int) -> None:
    filled(tmp_path / "j")
    os.truncate(tmp_path / "j" / f"{0:020d}.idx", kept)
    writer = rebooted(tmp_path / "j")
    assert (writer.damage, writer.end) == ("", len(DATA))
    writer.append(b"more\n")
    writer.index(99)
    writer.close()
    assert drained(fresh(tmp_path / "j")) == DATA + b"more\n"
    assert fresh(tmp_path / "j").at_time(99) == len(DATA) + 5


@pytest.mark.parametrize("at", range(16 + 24 * 4))
def test_a_wrong_index_never_invents_bytes(tmp_path: Path, at: int) -> None:
    filled(tmp_path / "j")
    path = tmp_path / "j" / f"{0:020d}.idx"
    wrong = bytearray(path.read_bytes())
    wrong[at] ^= 0x01
    path.write_bytes(wrong)
    writer = rebooted(tmp_path / "j")
    begin = writer.append(b"new\n")
    assert begin >= len(DATA)
    writer.close()
    kept = drained(fresh(tmp_path / "j"))
    assert kept.endswith(b"new\n")
    assert DATA.startswith(kept[:-4])
    aside = b"".join(file.read_bytes() for file in (tmp_path / "j").glob("*.damaged"))
    assert kept[:-4] + aside == DATA


@pytest.mark.parametrize(
    "what",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text('{"version": tru'),
        lambda path: path.write_bytes(b'{"boot_id":"\xe9"}'),
    ],
)
def test_a_head_that_was_lost_counts_as_a_power_loss(tmp_path: Path, what: object) -> None:
    filled(tmp_path / "j")
    what(tmp_path / "j" / "journal.json")  # type: ignore[operator]
    segment = tmp_path / "j" / f"{0:020d}.log"
    segment.write_bytes(DATA[:-1] + b"?")
    writer = Writer(str(tmp_path / "j"), system=REAL, boot_id="old")
    assert writer.damage
    writer.close()
    assert json.loads((tmp_path / "j" / "journal.json").read_text())["boot_id"] == "old"


def test_in_the_same_boot_after_an_orderly_stop_or_without_boot_id_nothing_is_looked_at(tmp_path: Path) -> None:
    for name, clean, boot_id in (("same", False, "old"), ("clean", True, "new"), ("unknown", False, "")):
        filled(tmp_path / name, clean=clean)
        segment = tmp_path / name / f"{0:020d}.log"
        segment.write_bytes(DATA.upper())
        writer = Writer(str(tmp_path / name), system=REAL, boot_id=boot_id, floor=1000)
        assert (writer.damage, writer.end) == ("", len(DATA))
        writer.close()


def test_an_orderly_stop_is_not_believed_when_the_file_has_another_length(tmp_path: Path) -> None:
    filled(tmp_path / "j", clean=True)
    os.truncate(tmp_path / "j" / f"{0:020d}.log", len(DATA) - 1)
    writer = rebooted(tmp_path / "j")
    assert writer.damage
    assert writer.end == len(DATA)
    writer.close()


def test_writing_goes_on_above_every_saved_cursor_and_the_cut_record_is_not_delivered(tmp_path: Path) -> None:
    first = Writer(str(tmp_path / "j"), system=REAL, boot_id="old")
    first.append(b"whole\nhal")
    first.close()
    reader = fresh(tmp_path / "j")
    assert reader.read(0, 99) == b"whole\nhal"
    writer = rebooted(tmp_path / "j", floor=5000)
    assert (writer.end, writer.damage) == (5000, "")
    assert writer.append(b"next\n") == 5000
    assert list(segments(tmp_path / "j")) == [0, 5000]
    assert list(reader.fragments(0)) == [Fragment(6, 9, deliver=False)]
    assert reader.read(9, 99) == b""
    assert reader.skip(9) == reader.skip(4999) == 5000
    assert (reader.skip(3), reader.skip(5000), reader.skip(5005)) == (3, 5000, 5005)
    assert reader.read(5000, 99) == b"next\n"
    assert reader.record_start(5002) == 5000
    assert writer.last_record_end() == 5005
    reader.close()
    writer.close()


def test_a_floor_below_the_end_changes_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "j")
    writer = rebooted(tmp_path / "j", floor=len(DATA))
    assert (writer.end, list(segments(tmp_path / "j"))) == (len(DATA), [0])
    writer.close()


def test_a_tail_copy_that_never_reached_the_disk_yields_to_the_original(tmp_path: Path) -> None:
    folder = tmp_path / "j"
    first = Writer(str(folder), system=REAL, boot_id="old")
    first.append(b"one\ntwo\nrest")
    first.close()
    os.chmod(folder / f"{0:020d}.log", 0o440)
    (folder / f"{8:020d}.log").write_bytes(b"")
    writer = rebooted(folder)
    writer.append(b" of it\n")
    writer.close()
    assert drained(fresh(folder)) == b"one\ntwo\nrest of it\n"
    assert list(segments(folder)) == [0]


def test_the_mending_itself_may_be_killed_anywhere(tmp_path: Path) -> None:
    for number in itertools.count():
        folder = tmp_path / str(number)
        filled(folder)
        (folder / f"{0:020d}.log").write_bytes(DATA[:12] + b"?" + DATA[13:])
        machine = Machine(StopAt(number))
        done = True
        try:
            Writer(str(folder), system=machine, boot_id="new", floor=100).close()
        except Killed:
            done = False
        machine.bury()
        writer = rebooted(folder, floor=100)
        assert writer.append(b"new\n") == 100
        writer.close()
        assert drained(fresh(folder)) == BLOCKS[0] + b"new\n"
        assert (folder / f"{11:020d}.damaged").read_bytes() == b"g?mma\n" + b"".join(BLOCKS[2:])
        if done:
            assert number > 30
            return

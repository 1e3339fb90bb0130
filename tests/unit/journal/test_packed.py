"""Compressed segments: the same bytes at the same offsets for every reader, whoever is killed, and whatever the disk did to them."""

from __future__ import annotations

import contextlib
import errno
import gzip
import itertools
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.errors import JournalError
from efsupervisor.journal import Writer, packed
from efsupervisor.journal.folder import Folder
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Instants, Killed, Machine, Refuse, StopAt
from tests.unit.journal.looks import drained, fresh

MANY = 1 << 60
LINES = [b"%d %s\n" % (number, b"z" * (number * 7 % 40)) for number in range(40)]
DATA = b"".join(LINES)


def filled(folder: Path | str, segment_bytes: int = 100) -> Writer:
    writer = Writer(str(folder), system=REAL, segment_bytes=segment_bytes)
    for number, line in enumerate(LINES):
        writer.append(line)
        writer.index(number)
    return writer


def pack_all(folder: Path | str, system: object = REAL) -> list[int]:
    with Folder(system, str(folder)) as opened:  # type: ignore[arg-type]
        bases = packed.unpacked(opened)
        for base in bases:
            packed.pack(opened, base)
    return bases


def test_every_read_gives_the_same_with_and_without_compression(tmp_path: Path) -> None:
    writer = filled(tmp_path / "j")
    before = fresh(tmp_path / "j")
    known = [(before.record_start(at), before.time_of(at), before.skip(at)) for at in range(len(DATA))]
    tails = [before.tail_offset(lines) for lines in range(42)]
    bases = pack_all(tmp_path / "j")
    assert len(bases) > 5
    assert sorted(int(path.name[:20]) for path in (tmp_path / "j").glob("*.log.gz")) == bases
    assert len(list((tmp_path / "j").glob("*.log"))) == 1
    reader = fresh(tmp_path / "j")
    assert [(reader.record_start(at), reader.time_of(at), reader.skip(at)) for at in range(len(DATA))] == known
    assert [reader.tail_offset(lines) for lines in range(42)] == tails
    for at in range(len(DATA)):
        assert drained(reader, at, 37) == DATA[at:]
    assert (reader.first(), reader.end()) == (0, len(DATA)) == (before.first(), before.end())
    assert reader.at_time(20) == before.at_time(20)
    writer.append(b"more\n")
    writer.close()
    assert drained(reader) == DATA + b"more\n"
    again = Writer(str(tmp_path / "j"), system=REAL)
    assert (again.first, again.end) == (0, len(DATA) + 5)
    for each in (again, reader, before):
        each.close()


def test_the_file_is_one_that_gzip_reads_and_keeps_mode_and_time(tmp_path: Path) -> None:
    writer = filled(tmp_path / "j")
    oldest = tmp_path / "j" / f"{0:020d}.log"
    content = oldest.read_bytes()
    os.utime(oldest, ns=(0, 12_345_678_901))
    pack_all(tmp_path / "j")
    there = tmp_path / "j" / f"{0:020d}.log.gz"
    assert gzip.decompress(there.read_bytes()) == content
    assert subprocess.run(["gzip", "-dc", str(there)], stdout=subprocess.PIPE, check=True).stdout == content
    assert (there.stat().st_mode & 0o777, there.stat().st_mtime_ns) == (0o440, 12_345_678_901)
    writer.close()


@settings(max_examples=40, deadline=None)
@given(
    data=st.binary(max_size=3000),
    repeat=st.integers(1, 90),
    block=st.sampled_from([1, 7, 100, 4096]),
    reads=st.lists(st.tuples(st.integers(0, 9999), st.integers(1, 9999)), max_size=5),
)
def test_any_bytes_come_back_from_any_place(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, repeat: int, block: int, reads: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("p")
    whole = (data * repeat)[: block * 300] + b"\n"
    writer = Writer(str(folder / "j"), system=REAL, segment_bytes=1)
    writer.append(whole)
    writer.append(b"x\n")
    with Folder(REAL, str(folder / "j")) as opened, pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "BLOCK", block)
        patch.setattr(packed, "MAX_BLOCKS", 50)
        packed.pack(opened, 0)
        segment = packed.opened(opened, 0)
        assert segment.size == len(whole)
        for offset, count in [*reads, (0, 1 << 20)]:
            assert segment.pread(count, offset) == whole[offset : offset + count]
        segment.close()
    writer.close()


# Who dies, who is in the way ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [0, 5])
def test_a_packer_that_is_killed_before_or_in_any_call_costs_nothing(tmp_path: Path, torn: int) -> None:
    """Readers see everything at once; the next writer tidies; packing again ends it."""
    for number in itertools.count():
        folder = tmp_path / f"{torn}-{number}"
        filled(folder, segment_bytes=300).close()
        machine, done = Machine(StopAt(number, torn)), True
        reader = fresh(folder)
        assert reader.read(0, 3) == DATA[:3]
        try:
            pack_all(folder, machine)
        except Killed:
            done = False
        machine.bury()
        assert drained(reader) == drained(fresh(folder)) == DATA
        assert (reader.first(), reader.end()) == (0, len(DATA))
        reader.close()
        writer = Writer(str(folder), system=REAL, segment_bytes=300)
        assert (writer.first, writer.end) == (0, len(DATA))
        names = os.listdir(folder)
        assert not [name for name in names if name.endswith(".tmp")]
        bases = [name[:20] for name in names if name.endswith((".log", ".log.gz"))]
        assert len(bases) == len(set(bases)), "a segment is there twice"
        pack_all(folder)
        assert drained(fresh(folder)) == DATA
        writer.close()
        if done:
            assert number > 30
            return


def test_a_writer_that_is_killed_while_it_tidies_up_after_a_packer_costs_nothing(tmp_path: Path) -> None:
    for number in itertools.count():
        folder = tmp_path / str(number)
        filled(folder, segment_bytes=500).close()

        def killed_between(name: str) -> int | None:
            if name == "fault:pack:renamed":
                raise Killed
            return None

        first = Machine(killed_between)
        with pytest.raises(Killed):
            pack_all(folder, first)
        first.bury()
        second, done = Machine(StopAt(number)), True
        try:
            Writer(str(folder), system=second, segment_bytes=500).close()
        except Killed:
            done = False
        second.bury()
        assert drained(fresh(folder)) == DATA
        Writer(str(folder), system=REAL).close()
        assert drained(fresh(folder)) == DATA
        if done:
            assert not (folder / f"{0:020d}.log").exists()
            return


def test_readers_see_every_byte_between_any_two_calls_of_the_packer(tmp_path: Path) -> None:
    filled(tmp_path / "j", segment_bytes=400).close()
    standing = [fresh(tmp_path / "j") for _ in range(4)]

    def check() -> None:
        for number, reader in enumerate([*standing, fresh(tmp_path / "j")]):
            at = len(DATA) * number // 5
            assert drained(reader, at, 300) == DATA[at:]
            assert reader.end() == len(DATA)
            assert reader.record_start(len(DATA) // 2) == DATA.rfind(b"\n", 0, len(DATA) // 2) + 1
            if reader not in standing:
                reader.close()

    pack_all(tmp_path / "j", Machine(Instants(check)))
    check()
    for reader in standing:
        reader.close()


@pytest.mark.parametrize("instant", range(14))
def test_packing_between_any_two_calls_of_a_reader_hides_nothing(tmp_path: Path, instant: int) -> None:
    filled(tmp_path / "j", segment_bytes=400).close()
    reading = Machine()
    reader = fresh(tmp_path / "j")
    reader.close()
    reader._system = reading

    def packs(name: str) -> int | None:
        if len(reading.calls) == instant + 1:
            pack_all(tmp_path / "j")
        return None

    reading.script = packs
    assert drained(reader, 0, 90) == DATA
    assert (reader.first(), reader.end(), reader.tail_offset(40)) == (0, len(DATA), 0)
    reader.close()


def test_a_segment_that_retention_removes_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    for step in ("written", "renamed"):
        writer = filled(tmp_path / step, segment_bytes=500)
        machine = Machine(lambda name: None)

        def removed(name: str, writer: Writer = writer, step: str = step) -> int | None:
            if name == f"fault:pack:{step}":
                writer.retain(keep_bytes=1, keep_age_s=0, needed=MANY, wall_ns=0, hard_bytes=0)
            return None

        machine.script = removed
        with Folder(machine, str(tmp_path / step)) as opened:
            packed.pack(opened, 0)
        assert writer.first > 0
        assert not [name for name in os.listdir(tmp_path / step) if name.startswith("0" * 20)]
        writer.close()


@pytest.mark.parametrize("call", ["write", "pwrite", "fsync", "rename", "fchmod", "utime_ns"])
def test_a_disk_that_refuses_leaves_everything_as_it_was(tmp_path: Path, call: str) -> None:
    writer = filled(tmp_path / "j")
    machine = Machine(Refuse(call))
    with pytest.raises(OSError, match="No space left"):
        pack_all(tmp_path / "j", machine)
    assert machine.descriptors() == 0
    assert not list((tmp_path / "j").glob("*.gz*"))
    assert drained(fresh(tmp_path / "j")) == DATA
    writer.close()


def test_a_copy_that_is_not_the_same_is_never_put_in_place(tmp_path: Path) -> None:
    writer = filled(tmp_path / "j")
    machine = Machine()
    machine.write = lambda fd, data: REAL.write(fd, bytes(data)[:-9] + bytes([data[-9] ^ 1]) + bytes(data[-8:]))
    with pytest.raises(OSError, match="damaged"):
        pack_all(tmp_path / "j", machine)
    machine.bury()
    assert drained(fresh(tmp_path / "j")) == DATA
    writer.close()


# Damage ---------------------------------------------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_is_an_error_and_never_another_byte(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=1)
    writer.append(b"some text that is long enough to be compressed, compressed, compressed\n")
    writer.append(b"x\n")
    pack_all(tmp_path / "j")
    path = tmp_path / "j" / f"{0:020d}.log.gz"
    whole = path.read_bytes()
    good = drained(fresh(tmp_path / "j"))
    unharmed = 0
    path.chmod(0o640)
    for at, bit in itertools.product(range(len(whole)), (0, 3, 7)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
        reader = fresh(tmp_path / "j")
        try:
            assert drained(reader) == good
            unharmed += 1
        except (OSError, JournalError) as error:
            assert not isinstance(error, OSError) or error.errno == errno.EIO
        with contextlib.suppress(OSError, JournalError):
            assert reader.end() == len(good)
        reader.close()
    assert unharmed < 3 * 40, "times, operating system and the like of gzip's header mean nothing to us; all else must be noticed"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        reader = fresh(tmp_path / "j")
        with pytest.raises((OSError, JournalError)):
            drained(reader)
        reader.close()
    writer.close()


def test_writing_goes_on_behind_a_compressed_segment_whose_successor_was_lost(tmp_path: Path) -> None:
    writer = filled(tmp_path / "j")
    pack_all(tmp_path / "j")
    writer.close()
    (last,) = (tmp_path / "j").glob("*.log")
    kept = int(last.name[:20])
    last.unlink()
    again = Writer(str(tmp_path / "j"), system=REAL)
    assert again.append(b"on\n") == kept
    again.close()
    assert drained(fresh(tmp_path / "j")) == DATA[:kept] + b"on\n"


def test_a_copy_that_does_not_fit_its_segment_is_removed_and_not_believed(tmp_path: Path) -> None:
    writer = filled(tmp_path / "j")
    pack_all(tmp_path / "j")
    writer.close()
    folder = tmp_path / "j"
    first = folder / f"{0:020d}.log"
    content = gzip.decompress((folder / f"{0:020d}.log.gz").read_bytes())
    first.write_bytes(content + b"")
    first.chmod(0o440)
    (folder / f"{0:020d}.log.gz").chmod(0o640)
    (folder / f"{0:020d}.log.gz").write_bytes(b"rubbish")
    Writer(str(folder), system=REAL).close()
    assert not (folder / f"{0:020d}.log.gz").exists()
    assert drained(fresh(folder)) == DATA


# Sizes ----------------------------------------------------------------------------------------------------------------------------------------------


def test_retention_counts_what_is_on_the_disk_and_ages_stay(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=50_000)
    for _ in range(50):
        writer.append(b"a" * 9_999 + b"\n")
    for path in (tmp_path / "j").glob("*.log"):
        os.utime(path, ns=(0, int(path.name[:20]) * 10**9))
    pack_all(tmp_path / "j")
    taken = sum(path.stat().st_size for path in (tmp_path / "j").glob("*.gz"))
    assert taken < 10_000
    assert writer.retain(keep_bytes=100_000, keep_age_s=0, needed=MANY, wall_ns=0, hard_bytes=0) == []
    assert writer.first == 0, "ten times as much is there, but it does not take so much"
    writer.retain(keep_bytes=0, keep_age_s=1000, needed=MANY, wall_ns=201_000 * 10**9, hard_bytes=0)
    assert writer.first == 200_000
    writer.retain(keep_bytes=1, keep_age_s=0, needed=MANY, wall_ns=0, hard_bytes=0)
    assert not list((tmp_path / "j").glob("*.gz"))
    writer.close()


def test_only_a_closed_segment_that_was_cut_is_compressed(tmp_path: Path) -> None:
    def killed_sealed(name: str) -> int | None:
        if name == "fault:rotate:sealed":
            raise Killed
        return None

    machine = Machine(killed_sealed)
    writer = Writer(str(tmp_path / "j"), system=machine, segment_bytes=30)
    writer.append(b"one\ntwo\n")
    with pytest.raises(Killed):
        writer.append(b"three\nfour five six seven eight")
    machine.bury()
    with Folder(REAL, str(tmp_path / "j")) as opened:
        assert len(opened.bases()) == 2
        assert packed.unpacked(opened) == []

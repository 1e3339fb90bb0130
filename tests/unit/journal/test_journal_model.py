"""A journal under random operations against a list of bytes, and under random damage: never a torn event, never other bytes, no error but its own."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from efsupervisor.errors import JournalError
from efsupervisor.journal import Reader, Writer, packed
from efsupervisor.journal.folder import Folder
from efsupervisor.journal.lines import lines
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Killed, Machine, StopAt

RECORD = st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"") + b"\n")


class Journal(RuleBasedStateMachine):
    """`data` is what was appended, `first` the oldest byte that must still be there."""

    @initialize(segment_bytes=st.integers(1, 120))
    def begin(self, segment_bytes: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name + "/j"
        self.segment_bytes = segment_bytes
        self.data, self.removed, self.clock = b"", 0, 0
        self.writer = self.opened()
        self.reader = Reader(self.path, system=REAL)

    def opened(self, machine: Machine | None = None) -> Writer:
        return Writer(self.path, system=machine or REAL, segment_bytes=self.segment_bytes, max_event=500, boot_id="b")  # type: ignore[arg-type]

    @rule(record=RECORD)
    def append(self, record: bytes) -> None:
        assert self.writer.append(record) == len(self.data)
        self.data += record

    @rule()
    def index(self) -> None:
        self.clock += 1
        self.writer.index(self.clock)

    @rule()
    def compress(self) -> None:
        with Folder(REAL, self.path) as folder:
            for base in packed.unpacked(folder)[:2]:
                packed.pack(folder, base)

    @rule(keep=st.integers(1, 400), share=st.floats(0, 1))
    def retain(self, keep: int, share: float) -> None:
        needed = int(len(self.data) * share)
        self.writer.retain(keep_bytes=keep, keep_age_s=0, needed=needed, wall_ns=0, hard_bytes=0)
        assert self.writer.first <= max(needed, self.removed)
        self.removed = self.writer.first

    @rule(clean=st.booleans())
    def reopen(self, clean: bool) -> None:
        self.writer.close(clean=clean)
        self.writer = self.opened()

    @rule(number=st.integers(0, 60), torn=st.sampled_from([0, 3]), record=RECORD)
    def killed(self, number: int, torn: int, record: bytes) -> None:
        """The next writer, or a packer beside it, is killed at one of its calls."""
        self.writer.close()
        machine = Machine(StopAt(number, torn))
        with contextlib.suppress(Killed):
            writer = self.opened(machine)
            writer.append(record)
            with Folder(machine, self.path) as folder:
                for base in packed.unpacked(folder)[:1]:
                    packed.pack(folder, base)
        machine.bury()
        self.writer = self.opened()
        kept = self.writer.end - len(self.data)
        assert 0 <= kept <= len(record)
        self.data += record[:kept]
        if kept < len(record) and kept:
            self.writer.append(b"\n")
            self.data += b"\n"

    @invariant()
    def everything_is_there(self) -> None:
        assert (self.writer.end, self.reader.end()) == (len(self.data), len(self.data))
        assert self.reader.first() == self.removed == self.writer.first
        read, at = b"", self.removed
        while part := self.reader.read(at, 77):
            read, at = read + part, at + len(part)
        assert read == self.data[self.removed :]
        expected = self.data[self.removed :].split(b"\n")
        assert [line.data for line in lines(self.reader, self.removed, len(self.data))] == expected[: -1 if expected[-1] == b"" else None]

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
            self.reader.close()
            self.folder.cleanup()


TestJournal = Journal.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def whole(number: int) -> bytes:
    return b"%05d %s\n" % (number, b"abcdefghij" * (number % 4))


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 1 << 30), cuts=st.integers(0, 2), flips=st.integers(0, 4), compress=st.booleans())
def test_after_random_cuts_and_flipped_bits_of_unsynced_bytes_only_whole_events_are_delivered(
    seed: int, cuts: int, flips: int, compress: bool
) -> None:
    """The last segment, its index, the marks and the head are damaged as a power loss does; what was closed before stays."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/j"
        writer = Writer(path, system=REAL, segment_bytes=200, boot_id="old")
        for number in range(25):
            writer.append(whole(number))
            writer.index(number, checksum=True)
        closed, end = writer.base, writer.end
        writer.close()
        if compress:
            with Folder(REAL, path) as opened:
                for base in packed.unpacked(opened):
                    packed.pack(opened, base)
        targets = [f"{path}/{closed:020d}.log", f"{path}/{closed:020d}.idx", f"{path}/journal.json"]
        for _ in range(cuts):
            victim = dice.choice(targets)
            os.truncate(victim, dice.randint(0, os.path.getsize(victim)))
        for _ in range(flips):
            victim = Path(dice.choice(targets))
            content = bytearray(victim.read_bytes())
            if content:
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
                victim.write_bytes(content)
        try:
            again = Writer(path, system=REAL, boot_id="new", floor=end)
        except JournalError:
            return  # a head whose version was flipped to a newer one is refused by name
        assert again.append(b"new\n") >= end or not again.damage
        again.close()
        reader = Reader(path, system=REAL)
        marks = [mark for mark in reader.fragments(0) if mark.end > mark.start]
        found = [line for line in lines(reader, 0, reader.end()) if not any(mark.start <= line.offset < mark.end for mark in marks)]
        good = {whole(number)[:-1] for number in range(25)}
        before = [line.data for line in found if line.offset < closed]
        assert before == [whole(number)[:-1] for number in range(len(before))]
        assert sum(len(line) + 1 for line in before) == closed, "what was closed is whole"
        if not flips:
            assert {line.data for line in found} <= good | {b"new"}
        reader.close()

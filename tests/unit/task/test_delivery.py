"""The delivery record and the register: what a successor reads, whatever instant its predecessor was killed at."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.errors import JournalError
from efsupervisor.system import PIPE_BUF, REAL
from efsupervisor.task.delivery import (
    MAX_EDGES,
    MAX_RUNS,
    SLOT_BYTES,
    TERMINATED,
    Delivery,
    EdgeState,
    Record,
    Register,
    Run,
    decode,
    fifo_keeps_register,
    saved,
)
from tests.unit.journal.fakes import Killed, Machine, Refuse, StopAt

U64, U32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
IDS = st.binary(min_size=8, max_size=8).map(bytes.hex)
EDGES = st.builds(EdgeState, IDS, U64, U64, U64, U64)
RUNS = st.builds(
    lambda edge, offset, length, events, flags: Run(edge, offset, length, [0] * events, 0, flags),
    st.integers(0, MAX_EDGES - 1),
    st.integers(0, 2**63),
    st.integers(0, 2**40),
    st.integers(0, 50),
    st.sampled_from([0, TERMINATED]),
)


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    state = Delivery()
    state.sequence, state.put, state.base, state.spool_parsed, state.err_end, state.acknowledged = (draw(U64) for _ in range(6))
    state.incarnation, state.charges, state.careful, state.dead_letters = (draw(U32) for _ in range(4))
    state.charged = draw(st.tuples(IDS.filter(lambda edge: int(edge, 16) > 0), U64) | st.just(("", 0)))
    state.end_given, state.gap = draw(st.booleans()), draw(st.booleans())
    state.edges = draw(st.lists(EDGES, max_size=5))
    state.runs = deque(draw(st.lists(RUNS, max_size=8)))
    return state


def content(state: Delivery) -> list[object]:
    """Everything a record holds."""
    plain = [getattr(state, name) for name in Delivery.__slots__ if name not in ("edges", "runs")]
    edges = [[getattr(edge, name) for name in EdgeState.__slots__] for edge in state.edges]
    runs = [(run.edge, run.framing, run.flags, run.offset, run.length, run.wire, len(run.lengths)) for run in state.runs]
    return [plain, edges, runs]


# The bytes -----------------------------------------------------------------------------------------------------------------------------------------


@given(deliveries())
def test_a_record_comes_back_whole(state: Delivery) -> None:
    found = decode(state.encode().ljust(SLOT_BYTES, b"\0"))
    assert found is not None
    assert content(found) == content(state)


@given(deliveries(), st.data())
def test_a_record_with_a_wrong_byte_or_a_missing_end_is_none(state: Delivery, data: st.DataObject) -> None:
    record = bytearray(state.encode())
    assert decode(bytes(record[: data.draw(st.integers(0, len(record) - 1))])) is None
    record[data.draw(st.integers(0, len(record) - 1))] ^= data.draw(st.integers(1, 255))
    assert decode(bytes(record)) is None


def test_the_fullest_record_fits_into_a_slot() -> None:
    state = Delivery()
    state.edges = [EdgeState(f"{number:016x}", 1, 2) for number in range(MAX_EDGES)]
    state.runs = deque(Run(number % MAX_EDGES, number, 1, [1]) for number in range(MAX_RUNS))
    assert len(state.encode()) <= SLOT_BYTES


def test_a_record_of_a_newer_version_is_refused_not_guessed_at() -> None:
    record = bytearray(Delivery().encode())
    record[8:10] = (2).to_bytes(2, "little")
    record[4:8] = zlib.crc32(record[8:]).to_bytes(4, "little")
    with pytest.raises(JournalError, match="version 2, this program knows 1"):
        decode(bytes(record))


def test_an_empty_record_has_fixed_bytes() -> None:
    record = Delivery().encode()
    assert record == b"EFDL" + zlib.crc32(record[8:]).to_bytes(4, "little") + struct.pack("<HHI", 1, 0, 100) + bytes(84)


# The file ------------------------------------------------------------------------------------------------------------------------------------------


def test_the_newest_whole_slot_counts(tmp_path: Path) -> None:
    path = str(tmp_path / "delivery")
    record, state = Record(path, REAL), Delivery()
    for put in range(5):
        state.put = put
        record.save(state)
        assert record.load().put == saved(path, REAL).put == put
    record.close()
    assert os.path.getsize(path) == 2 * SLOT_BYTES


@pytest.mark.parametrize("torn", [1, 60, 132])
def test_a_torn_write_leaves_the_record_before_it(tmp_path: Path, torn: int) -> None:
    path = str(tmp_path / "delivery")
    machine, state = Machine(), Delivery()
    record = Record(path, machine)
    state.edges = [EdgeState("0" * 16, 0, 0)]
    for put in (1, 2):
        state.put = state.edges[0].dropped = put  # the first bytes and the last ones change
        record.save(state)
    state.put = state.edges[0].dropped = 3
    machine.script = StopAt(0, torn)
    with pytest.raises(Killed):
        record.save(state)
    machine.bury()
    assert saved(path, REAL).put == 2


@pytest.mark.parametrize("written", [None, 20], ids=["nothing", "in part"])
def test_a_full_disk_leaves_the_record_before_it_however_often_it_is_tried(tmp_path: Path, written: int | None) -> None:
    path = str(tmp_path / "delivery")
    machine, state = Machine(), Delivery()
    record = Record(path, machine)
    state.put = 1
    record.save(state)
    machine.script = Refuse("pwrite") if written is None else lambda name: written if name == "pwrite" else None
    for _ in range(3):
        state.put += 1
        with pytest.raises(OSError) as failed:
            record.save(state)
        assert failed.value.errno == errno.ENOSPC
        assert saved(path, REAL).put == 1
    machine.script = lambda name: None
    state.put = 7
    record.save(state)
    assert saved(path, REAL).put == 7
    record.close()


def test_a_task_without_a_record_has_an_empty_one(tmp_path: Path) -> None:
    state = saved(str(tmp_path / "delivery"), REAL)
    assert content(state) == content(Delivery())


# The register --------------------------------------------------------------------------------------------------------------------------------------


class Pipe:
    """A FIFO whose reading end is the program's."""

    def __init__(self, folder: Path, name: str = "in.1") -> None:
        self.path = str(folder / name)
        REAL.mkfifo(self.path, 0o600)
        self.program = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def unread(self) -> int:
        """Bytes in the pipe."""
        return REAL.unread(self.program)

    def close(self) -> None:
        """Away with it."""
        os.close(self.program)
        os.unlink(self.path)


@pytest.fixture
def fifo(register_folder: Path) -> Iterator[Pipe]:
    """A FIFO for one incarnation's stdin."""
    pipe = Pipe(register_folder)
    try:
        yield pipe
    finally:
        pipe.close()


def puts(machine: Machine, pipe: Pipe, path: str, sizes: list[int]) -> bool:
    """Open as a worker does, put pieces; whether it came to its end."""
    try:
        fd = machine.open(pipe.path, os.O_RDWR | os.O_NONBLOCK)
        record, state = Record(path, machine), Delivery()
        register = Register(fd, record, machine)
        register.begin()
        record.save(state)
        for size in sizes:
            state.runs.append(Run(0, state.put, size, [size]))
            register.put(b"x" * size, state)
    except Killed:
        return False
    finally:
        machine.bury()
    return True


def killed_at(number: int, torn: int) -> Callable[[str], int | None]:
    """Killed at this call; a record may be torn, what goes into a pipe goes wholly (at most PIPE_BUF bytes, or slots that are free)."""
    stop = StopAt(number, torn)

    def script(name: str) -> int | None:
        stop.torn = 0 if name == "write" else torn
        return stop(name)

    return script


@pytest.mark.parametrize("torn", [0, 50])
@pytest.mark.parametrize("sizes", [[100, PIPE_BUF, 1], [60_000, 4096, 4096, 10]], ids=["room", "a full pipe"])
def test_whatever_call_the_kill_came_at_a_successor_knows_what_went_in(register_folder: Path, sizes: list[int], torn: int) -> None:
    taken_over = 0
    for number in count():
        pipe, path = Pipe(register_folder), str(register_folder / f"delivery.{number}")
        ended = puts(Machine(killed_at(number, torn)), pipe, path, sizes)
        fd = os.open(pipe.path, os.O_RDWR | os.O_NONBLOCK)
        record = Record(path, REAL)
        state = record.load()
        if state.sequence:  # before the first save there is no life to take over
            taken_over += 1
            Register(fd, record, REAL).recover(state)
            assert state.put == pipe.unread(), f"killed at call {number}"
        os.close(fd)
        record.close()
        pipe.close()
        if ended:
            break
    assert taken_over > 3 * len(sizes)


def test_what_the_program_reads_does_not_move_the_register(fifo: Pipe, tmp_path: Path) -> None:
    record, state = Record(str(tmp_path / "delivery"), REAL), Delivery()
    fd = os.open(fifo.path, os.O_RDWR | os.O_NONBLOCK)
    register = Register(fd, record, REAL)
    register.begin()
    assert register.put(b"12345", state)
    os.read(fifo.program, 3)
    found = record.load()
    Register(fd, record, REAL).recover(found)
    assert found.put == 5
    os.close(fd)
    record.close()


def test_a_full_pipe_is_said_and_nothing_counts_as_put(fifo: Pipe, tmp_path: Path) -> None:
    record, state = Record(str(tmp_path / "delivery"), REAL), Delivery()
    fd = os.open(fifo.path, os.O_RDWR | os.O_NONBLOCK)
    register = Register(fd, record, REAL)
    register.begin()
    REAL.pipe_size(fd, PIPE_BUF)
    assert register.put(b"x" * PIPE_BUF, state)
    assert not register.put(b"y", state)
    assert (state.put, record.load().put) == (PIPE_BUF, PIPE_BUF)
    os.read(fifo.program, PIPE_BUF)
    assert register.put(b"y", state)
    assert state.put == PIPE_BUF + 1
    os.close(fd)
    record.close()


def test_a_record_that_cannot_be_written_puts_nothing(fifo: Pipe, tmp_path: Path) -> None:
    machine, state = Machine(), Delivery()
    record = Record(str(tmp_path / "delivery"), machine)
    fd = os.open(fifo.path, os.O_RDWR | os.O_NONBLOCK)
    register = Register(fd, record, machine)
    register.begin()
    machine.script = Refuse("pwrite")
    with pytest.raises(OSError):
        register.put(b"x", state)
    assert (state.put, fifo.unread()) == (0, 0)
    found = Delivery()
    Register(fd, record, REAL).recover(found)
    assert found.put == 0
    os.close(fd)
    record.close()


@pytest.mark.parametrize(
    ("method", "kept"),
    [("utime_ns", lambda *_: None), ("write", lambda *_: 1), ("mkfifo", None)],
    ids=["keeps no time before 1970", "a write leaves the time", "has no FIFOs"],
)
def test_a_file_system_that_cannot_be_the_register_is_recognised(tmp_path: Path, method: str, kept: object, monkeypatch: pytest.MonkeyPatch) -> None:
    class Poor(Machine):
        """A file system that lacks one thing."""

    machine = Poor()
    if kept is None:
        machine.script = Refuse(method, errno.EPERM)
    else:
        monkeypatch.setattr(Poor, method, kept, raising=False)
    assert not fifo_keeps_register(str(tmp_path), machine)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []

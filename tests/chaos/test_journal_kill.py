"""The journal under SIGKILL: real processes capture from a FIFO, rotate and claim, and are killed at random and between the steps.

Checked: bytes identical to what was written; no closed segment ends inside a record; a follower that reads all along and one that jumps about see
every byte and no other; in a share group each event is acknowledged once, by one member.
EFS_CHAOS_SCALE multiplies the size, EFS_CHAOS_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from efsupervisor.journal import Claim, Claims, Reader, Writer
from efsupervisor.system import Real

SCALE = float(os.environ.get("EFS_CHAOS_SCALE", "1"))
SEGMENT_BYTES = 64 << 10
WINDOW = 16


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """The run's source of chance; its seed is printed."""
    seed = int(os.environ.get("EFS_CHAOS_SEED", "0")) or random.SystemRandom().randint(1, 999_999_999)
    print(f"{request.node.name}: seed {seed}")
    return random.Random(seed)


@pytest.fixture
def children() -> Iterator[set[int]]:
    """Processes that this test started; none is left behind."""
    alive: set[int] = set()
    yield alive
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def forked(children: set[int], body: Callable[[], None], faults: str = "") -> int:
    """Run `body` in a process of its own; 0 when it returns, 99 with a traceback when it raises."""
    pid = os.fork()
    if pid:
        children.add(pid)
        return pid
    status = 99
    try:
        os.environ["EFSUPERVISOR_FAULTS"] = faults
        random.seed(os.urandom(8))
        body()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(children: set[int], pid: int, within_s: float | None = None) -> int:
    """Exit status of a child (minus the signal); it is killed when it does not end in time."""
    with contextlib.closing(Descriptor(os.pidfd_open(pid))) as pidfd:
        if within_s is not None and not ready(pidfd.fd, within_s):
            signal.pidfd_send_signal(pidfd.fd, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


class Descriptor:
    """A descriptor with a close()."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        os.close(self.fd)


def ready(fd: int, within_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(within_s * 1000))


def records(dice: random.Random, total: int) -> bytes:
    """Numbered lines of many lengths, some longer than a segment."""
    lines, size = [], 0
    while size < total:
        length = dice.choice([10, 50, 100, 200, 3000, 9000]) if dice.random() < 0.998 else dice.choice([100_000, 300_000])
        lines.append(b"%d %s\n" % (len(lines), bytes([97 + len(lines) % 26]) * length))
        size += len(lines[-1])
    return b"".join(lines)


def produce(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view[: random.randint(1, 70_000)]) :]


def capture(folder: str, source: int) -> None:
    """A worker's life: everything from the pipe into the journal, until end-of-file or death."""
    writer = Writer(folder, system=Real(), segment_bytes=SEGMENT_BYTES, boot_id="boot")
    assert writer.damage == ""
    limit = random.choice([500, 1000, 4096])
    while True:
        try:
            if not writer.splice_from(source, limit):
                return
        except BlockingIOError:
            ready(source, 1)
        if random.random() < 0.01:
            writer.index(writer.end)


def follow(folder: str, data: bytes) -> None:
    """Read from the beginning to the end beside the writers."""
    reader, at = Reader(folder, system=Real()), 0
    never = os.eventfd(0)
    while at < len(data):
        got = reader.read(at, random.choice([100, 5000, 1 << 20]))
        assert got == data[at : at + len(got)]
        assert reader.skip(at) == at
        at += len(got)
        if not got:
            ready(never, 0.001)
    assert reader.read(at, 1) == b""


def jump(folder: str, data: bytes) -> None:
    """Ask about random places and about the end, until everything is there."""
    reader, end = Reader(folder, system=Real()), 0
    while end < len(data):
        before, end = end, reader.end()
        assert end >= before, f"the end went back from {before} to {end}"
        at = random.randint(0, end)
        got = reader.read(at, 3000)
        assert got or at == reader.end() or reader.read(at, 3000)
        assert got == data[at : at + len(got)]
        assert reader.record_start(at) == data.rfind(b"\n", 0, at) + 1
        tail = reader.tail_offset(3)
        assert tail == 0 or data[tail - 1 : tail] == b"\n"


@pytest.mark.parametrize(
    ("megabytes", "longest_life_s", "faults"),
    [
        (4, 0.004, ""),
        (16, 1.0, "rotate:copied=0.2,rotate:renamed=0.2,rotate:sealed=0.2,rotate:truncated=0.2"),
        (5, 0.006, "rotate:copied=0.05,rotate:renamed=0.05,rotate:sealed=0.05,rotate:truncated=0.05"),
    ],
    ids=["at-random", "between-the-steps", "both"],
)
def test_bytes_are_identical_however_often_the_writer_is_killed(
    tmp_path: Path, dice: random.Random, children: set[int], *, megabytes: int, longest_life_s: float, faults: str
) -> None:
    folder, fifo = str(tmp_path / "out"), str(tmp_path / "fifo")
    data = records(dice, int(megabytes * SCALE * (1 << 20)))
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = os.open(fifo, os.O_RDWR)
    producer = forked(children, lambda: produce(sink, data))
    os.close(sink)
    watchers = [forked(children, lambda: follow(folder, data)), forked(children, lambda: jump(folder, data))]
    kills, status = 0, -9
    while status == -9:
        pid = forked(children, lambda: capture(folder, keeper), faults)
        status = ended(children, pid, dice.uniform(0, longest_life_s))
        kills += status == -9
    os.close(keeper)
    assert status == 0
    assert [ended(children, pid, 60) for pid in (producer, *watchers)] == [0, 0, 0]
    segments = sorted(Path(folder).glob("*.log"))
    at = 0
    for path in segments:
        content = path.read_bytes()
        assert int(path.stem) == at
        assert content == data[at : at + len(content)], f"{path.name} holds wrong bytes"
        at += len(content)
        assert path == segments[-1] or content.endswith(b"\n"), f"{path.name} ends inside a record"
        assert path.stat().st_mode & 0o777 == (0o640 if path == segments[-1] else 0o440)
    assert at == len(data)
    assert kills >= 10 * min(SCALE, 1)
    lines = data.count(b"\n")
    print(f"{kills} kills, {lines} lines in {len(segments)} segments, 0 lost, 0 doubled, 0 torn")


def take_part(folder: Path, member: int, events: int, bell: int) -> None:
    """One member's life with one incarnation: claim, note as done in a file of its own (the delivery record), acknowledge.

    A successor goes on after what is noted.
    """
    claims = Claims(str(folder), system=Real(), member=member)
    with open(folder / f"done.{member}", "ab+", buffering=0) as done:
        os.ftruncate(done.fileno(), os.fstat(done.fileno()).st_size // 8 * 8)
        while True:
            with claims.locked() as mine:
                if mine:
                    count = os.fstat(done.fileno()).st_size // 8
                    claims.acknowledged(1, count)
                    held = claims.held(1)[max(0, count - claims.held_base(1)) :]
                    fresh = [Claim(at, 1) for at in range(claims.next, min(events, claims.next + WINDOW - len(held)))]
                    claims.claim(1, fresh)
                    work = [*held, *fresh]
                    assert len(claims.held(1)) <= 2 * WINDOW
                    if claims.floor() == events:
                        return
            if not mine:
                ready(bell, 0.0005)
                continue
            for event in work[: random.randint(0, WINDOW)]:
                done.write(event.offset.to_bytes(8, "little"))


@pytest.mark.parametrize(
    "faults", ["", "claims:appended=0.002,claims:checkpoint-written=0.5,claims:checkpointed=0.5"], ids=["at-random", "between-the-steps"]
)
def test_each_event_of_a_share_group_is_done_once_however_often_its_members_are_killed(
    tmp_path: Path, dice: random.Random, children: set[int], faults: str
) -> None:
    events, members = int(15_000 * SCALE), 4
    Claims.create(str(tmp_path), system=Real(), start=0)
    bell = os.eventfd(0)
    running: dict[int, int] = {}

    def begin(member: int) -> None:
        running[forked(children, lambda: take_part(tmp_path, member, events, bell), faults)] = member

    for member in range(members):
        begin(member)
    kills = 0
    while running:
        pid = dice.choice(list(running))
        member = running.pop(pid)
        status = ended(children, pid, dice.uniform(0, 0.05))
        assert status in (0, -9)
        kills += status == -9
        if status:
            begin(member)
    os.close(bell)
    done: Counter[int] = Counter()
    for member in range(members):
        raw = (tmp_path / f"done.{member}").read_bytes()
        done.update(int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8))
    assert sorted(done) == list(range(events))
    assert max(done.values()) == 1
    assert kills >= 5 * min(SCALE, 1)
    print(f"{kills} kills, {events} events among {members} members, 0 lost, 0 doubled")

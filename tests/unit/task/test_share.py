"""A share group at the table: two members, every event to one of them, and a member killed before every single call it makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from efsupervisor.conf.schema import InputSpec
from efsupervisor.journal import Claims, Writer
from efsupervisor.messages import InEdge
from efsupervisor.states import Mode, Protocol
from efsupervisor.system import REAL, short_id
from efsupervisor.task.event import EventStdIn
from tests.unit.journal.fakes import Machine, StopAt
from tests.unit.task.table import BOOT, Sitting, Table

LINES = [b"event %d\n" % number for number in range(8)]


class Group:
    """Two tables on one edge."""

    def __init__(self, folder: Path, window: int) -> None:
        self.edge = folder / "flows" / ("a" * 16)
        producer = folder / "tasks" / short_id("p")
        for made in (self.edge, producer, folder / "m1", folder / "m2"):
            made.mkdir(parents=True)
        self.journal = str(producer / "out")
        writer = Writer(self.journal, system=REAL, boot_id=BOOT)
        writer.append(b"".join(LINES))
        writer.close()
        assert Claims.create(str(self.edge), system=REAL, start=0)
        spec = InputSpec(protocol=Protocol.EVENT, window=window)
        self.tables = [Table(folder / f"m{member}", EventStdIn, spec=spec) for member in (1, 2)]
        for member, table in enumerate(self.tables, 1):
            edge = InEdge(id="a" * 16, producer="p", folder=str(self.edge), journal=self.journal, mode=Mode.SHARE, member=member)
            table.inputs = [edge]

    def leave(self, sitting: Sitting) -> None:
        """The first member leaves the group, as its worker is told by the Core, whose edge.json says so."""
        members = [{"id": sitting.table.paths.id, "member": 1}]
        (self.edge / "edge.json").write_text(json.dumps({"producer": "p", "mode": Mode.SHARE, "consumers": [], "departed": members}))
        sitting.table.inputs = []
        rewire(sitting)

    def write(self, *more: bytes) -> None:
        """The producer goes on."""
        writer = Writer(self.journal, system=REAL, boot_id=BOOT)
        writer.append(b"".join(more))
        writer.close()

    def floor(self) -> int:
        """Every event below is acknowledged."""
        claims = Claims(str(self.edge), system=REAL, member=9)
        try:
            with claims.locked() as mine:
                assert mine
                return claims.floor()
        finally:
            claims.close()

    def received(self) -> list[bytes]:
        """All lines that arrived anywhere."""
        return sorted(line for table in self.tables for program in table.programs for line in program.received.splitlines(keepends=True))

    def close(self) -> None:
        """Give everything back."""
        for table in self.tables:
            table.close()


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[list[Group]]:
    """Groups that are closed at the end."""
    made: list[Group] = []
    yield made
    for group in made:
        group.close()


def make(groups: list[Group], tmp_path: Path, window: int = 2) -> Group:
    folder = tmp_path / f"group{len(groups)}"
    folder.mkdir()
    groups.append(Group(folder, window))
    return groups[-1]


def rewire(sitting: Sitting) -> None:
    """The worker is told the inputs that its table has now."""
    if not sitting.killed:
        sitting.watcher.seat.wiring = sitting.table.wiring
        sitting.do(sitting.watcher.rewired)
        sitting.turn()


def work(sittings: list[Sitting], rounds: int = 40) -> None:
    """Both members answer in turn."""
    for _ in range(rounds):
        for sitting in sittings:
            if sitting.table.program is None:
                sitting.begin()
            elif sitting.table.program.alive:
                sitting.table.program.answer_all()
            sitting.table.clock.now += 0.01
            sitting.turn()


def test_every_event_goes_to_one_member_and_both_get_some(groups: list[Group], tmp_path: Path) -> None:
    group = make(groups, tmp_path)
    sittings = [Sitting(table) for table in group.tables]
    work(sittings)
    assert group.received() == LINES
    assert all(table.program is not None and table.program.received for table in group.tables)
    for sitting in sittings:
        sitting.rest()


def test_a_member_never_claims_more_than_its_window(groups: list[Group], tmp_path: Path) -> None:
    group = make(groups, tmp_path, window=3)
    lazy = Sitting(group.tables[0])
    lazy.begin()
    assert lazy.watcher.figures().outstanding == 3
    other = Sitting(group.tables[1])
    work([other])
    program = group.tables[1].program
    assert program is not None
    assert program.received == b"".join(LINES[3:])
    assert group.floor() == 0
    for sitting in (lazy, other):
        sitting.rest()


def test_what_a_dead_program_did_not_acknowledge_comes_back_to_the_group(groups: list[Group], tmp_path: Path) -> None:
    group = make(groups, tmp_path, window=4)
    first, second = (Sitting(table) for table in group.tables)
    first.begin()
    program = group.tables[0].program
    assert program is not None
    program.read()
    program.say(b"\n")
    program.die()
    first.end()
    work([second])
    other = group.tables[1].program
    assert other is not None
    assert other.received == b"".join(LINES[1:])
    for sitting in (first, second):
        sitting.rest()


def test_a_worker_that_takes_over_keeps_what_its_program_holds(groups: list[Group], tmp_path: Path) -> None:
    group = make(groups, tmp_path, window=4)
    first = Sitting(group.tables[0])
    first.begin()
    first.leave()
    second = Sitting(group.tables[1])
    work([second])
    other = group.tables[1].program
    assert other is not None
    assert other.received == b"".join(LINES[4:])  # what the first one's program holds is not given away
    again = Sitting(group.tables[0])
    work([again, second])
    assert group.received() == LINES
    for sitting in (again, second):
        sitting.rest()


def test_a_member_killed_before_any_call_costs_the_group_nothing(groups: list[Group], tmp_path: Path) -> None:
    for number in count():
        group = make(groups, tmp_path)
        other, doomed = Sitting(group.tables[1]), Sitting(group.tables[0], Machine(StopAt(number)))
        work([doomed, other], 6)
        was_killed = doomed.spare()
        if was_killed:
            doomed = Sitting(group.tables[0])
        work([doomed, other], 12)
        assert group.received() == LINES, f"killed before call {number}"
        for sitting in (doomed, other):
            sitting.rest()
        group.close()
        if not was_killed:
            break
    assert number > 50


def test_a_group_whose_members_wait_has_heard_of_everything_they_acknowledged(groups: list[Group], tmp_path: Path) -> None:
    """A producer that is held back by max_lag would else wait for members that wait for it."""
    group = make(groups, tmp_path)
    sittings = [Sitting(table) for table in group.tables]
    work(sittings)
    assert group.floor() == len(b"".join(LINES))
    for sitting in sittings:
        sitting.turn()
        sitting.table.clock.now += 1.1
        sitting.turn()
    assert [sitting.watcher.figures().lag_bytes for sitting in sittings] == [0, 0]
    for sitting in sittings:
        sitting.rest()


def test_a_member_that_leaves_and_comes_again_is_given_nothing_twice(groups: list[Group], tmp_path: Path) -> None:
    group = make(groups, tmp_path)
    edges, sitting = list(group.tables[0].inputs), Sitting(group.tables[0])
    program = None
    for number in range(3):
        work([sitting])
        program = group.tables[0].program
        group.leave(sitting)
        group.write(b"more %d\n" % number)
        work([sitting])
        group.tables[0].inputs = list(edges)
        rewire(sitting)
    work([sitting])
    assert program is not None
    assert group.received() == sorted([*LINES, *(b"more %d\n" % number for number in range(3))])
    sitting.rest()


def test_a_member_that_comes_again_while_events_are_out_keeps_them(groups: list[Group], tmp_path: Path) -> None:
    group = make(groups, tmp_path)
    edges, sitting = list(group.tables[0].inputs), Sitting(group.tables[0])
    sitting.begin()
    group.leave(sitting)
    assert sitting.watcher.figures().outstanding == 2
    group.tables[0].inputs = edges
    rewire(sitting)
    work([sitting])
    assert group.received() == LINES
    sitting.rest()


def test_a_group_that_was_begun_anew_while_events_of_the_old_one_are_out_gives_the_member_its_events(groups: list[Group], tmp_path: Path) -> None:
    group = make(groups, tmp_path)
    edges, sitting = list(group.tables[0].inputs), Sitting(group.tables[0])
    sitting.begin()
    group.leave(sitting)
    (group.edge / "claims").unlink()
    assert Claims.create(str(group.edge), system=REAL, start=len(b"".join(LINES)))
    group.tables[0].inputs = edges
    rewire(sitting)
    group.write(b"new 1\n", b"new 2\n", b"new 3\n")
    work([sitting])
    assert group.received() == sorted([*LINES[:2], b"new 1\n", b"new 2\n", b"new 3\n"])
    assert group.floor() == len(b"".join(LINES)) + 18
    sitting.rest()


def test_a_member_killed_before_any_call_of_leaving_costs_the_group_nothing(groups: list[Group], tmp_path: Path) -> None:
    for number in count():
        group = make(groups, tmp_path)
        other, doomed = Sitting(group.tables[1]), Sitting(group.tables[0], Machine(StopAt(number)))
        doomed.begin()
        group.leave(doomed)
        work([doomed], 4)
        was_killed = doomed.spare()
        if was_killed:
            doomed = Sitting(group.tables[0])
        work([doomed, other], 20)
        assert group.received() == LINES, f"killed before call {number}"
        assert group.floor() == len(b"".join(LINES)), f"killed before call {number}"
        for sitting in (doomed, other):
            sitting.rest()
        group.close()
        if not was_killed:
            break
    assert number > 50

"""Claims: members that are killed anywhere never have the same event twice, and none is forgotten."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.errors import JournalError
from efsupervisor.journal import Claim, Claims
from efsupervisor.journal import claims as room
from efsupervisor.journal.claimlog import Kind, Record, pack
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Killed, Machine, Refuse, StopAt

A, B, C, D = (Claim(at, 10) for at in (100, 110, 120, 130))


def group(folder: Path, start: int = 100) -> str:
    folder.mkdir(exist_ok=True, mode=0o700)
    Claims.create(str(folder), system=REAL, start=start)
    return str(folder)


OPEN: list[Claims] = []


def member(folder: str, number: int, system: object = REAL) -> Claims:
    """One member's view; on the real machine it is closed at the end of the test, on a scripted one `bury` gives its descriptors back."""
    made = Claims(folder, system=system, member=number)  # type: ignore[arg-type]
    if system is REAL:
        OPEN.append(made)
    return made


def close_all() -> None:
    """Close every view that is still open."""
    while OPEN:
        OPEN.pop().close()


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """No test leaves a descriptor."""
    yield
    close_all()


def test_a_group_begins_once_and_at_its_start(tmp_path: Path) -> None:
    folder = group(tmp_path)
    with member(folder, 1).locked() as mine:
        assert mine
    one = member(folder, 1)
    with one.locked():
        assert (one.next, one.floor(), one.free(), one.held(1), one.held_base(1)) == (100, 100, [], [], 0)
        one.claim(1, [A])
    assert not Claims.create(folder, system=REAL, start=7)
    with one.locked():
        assert one.next == 110


def test_what_one_member_takes_the_others_do_not_see_as_free(tmp_path: Path) -> None:
    folder = group(tmp_path)
    one, two = member(folder, 1), member(folder, 2)
    with one.locked():
        one.claim(5, [A, B])
    with two.locked():
        assert (two.next, two.floor(), two.held(5)) == (120, 100, [])
        two.claim(9, [C])
        two.acknowledged(9, 1)
    with one.locked():
        assert (one.held(5), one.next, one.floor()) == ([A, B], 130, 100)
        one.acknowledged(5, 1)
        assert (one.held(5), one.held_base(5), one.floor()) == ([B], 1, 110)
        one.acknowledged(5, 2)
        assert one.floor() == 130


def test_the_lock_is_never_waited_for(tmp_path: Path) -> None:
    folder = group(tmp_path)
    one, two = member(folder, 1), member(folder, 2)
    with one.locked() as first, two.locked() as second:
        assert (first, second) == (True, False)
    with two.locked() as second:
        assert second


def test_the_lock_is_released_when_the_block_fails(tmp_path: Path) -> None:
    folder = group(tmp_path)
    one, two = member(folder, 1), member(folder, 2)
    with pytest.raises(ZeroDivisionError), one.locked():
        raise ZeroDivisionError
    with two.locked() as mine:
        assert mine


def test_a_dead_programs_events_come_back_once_and_oldest_first(tmp_path: Path) -> None:
    folder = group(tmp_path)
    one, two = member(folder, 1), member(folder, 2)
    with one.locked():
        one.claim(5, [A, B, C])
    with two.locked():
        two.claim(1, [D])
        assert two.give_back(1, 0) == [D]
    with one.locked():
        assert one.give_back(5, 1) == [B, C]
        assert one.give_back(5, 1) == one.give_back(5, 0) == []
        assert (one.free(), one.floor(), one.held(5)) == ([B, C, D], 110, [])
        one.claim(6, [B])
        assert (one.free(), one.held(6), one.held_base(6)) == ([C, D], [B], 0)
        assert one.next == 140


def test_the_core_speaks_for_a_member_that_is_gone(tmp_path: Path) -> None:
    folder = group(tmp_path)
    one, core = member(folder, 1), member(folder, 0)
    with one.locked():
        one.claim(5, [A, B])
        one.acknowledged(5, 1)
    with core.locked():
        assert core.give_back(5, 1, member=1) == [B]
        assert core.give_back(5, 1, member=1) == []
    with one.locked():
        one.claim(6, [B, C])
    with core.locked():
        assert core.member_gone(1) == [B, C]
        assert core.member_gone(1) == []
        assert (core.free(), core.floor()) == ([B, C], 110)


def test_a_return_with_more_acknowledged_than_the_log_knew_frees_only_the_rest(tmp_path: Path) -> None:
    one = member(group(tmp_path), 1)
    with one.locked():
        one.claim(5, [A, B, C])
        one.acknowledged(5, 1)
        assert one.give_back(5, 3) == []
        assert one.floor() == 130


@pytest.mark.parametrize("kept", range(81))
def test_a_torn_record_is_as_if_never_written_and_does_no_harm_later(tmp_path: Path, kept: int) -> None:
    folder = group(tmp_path)
    one = member(folder, 1)
    with one.locked():
        one.claim(5, [A, B])
    path = tmp_path / "claims"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 80 + kept])
    whole = kept // 40
    two = member(folder, 2)
    with two.locked():
        assert two.next == 100 + 10 * whole
        two.claim(1, [Claim(two.next, 7)])
    three = member(folder, 1)
    with three.locked():
        assert three.held(5) == [A, B][:whole]
        assert three.next == 107 + 10 * whole


def test_old_bytes_behind_a_torn_record_never_come_to_life(tmp_path: Path) -> None:
    folder = group(tmp_path)
    path = tmp_path / "claims"
    ghost = pack(Record(Kind.CLAIM, 7, 7, claim=Claim(500, 5)))
    path.write_bytes(path.read_bytes() + b"\xff" * 40 + ghost)
    one = member(folder, 1)
    with one.locked():
        one.claim(5, [A])
    two = member(folder, 7)
    with two.locked():
        assert (two.held(7), two.next) == ([], 110)


def test_a_checkpoint_keeps_the_state_and_others_follow_it(tmp_path: Path) -> None:
    folder = group(tmp_path)
    one, two = member(folder, 1), member(folder, 2)
    with two.locked():
        two.claim(3, [Claim(100, 10), Claim(110, 10)])
        two.acknowledged(3, 1)
        two.claim(4, [Claim(120, 5, framing=1)])
        two.give_back(4, 0)
    inode = (tmp_path / "claims").stat().st_ino
    offset = 125
    largest = 0
    while (tmp_path / "claims").stat().st_ino == inode:
        with one.locked():
            base = one.held_base(8)
            events = [Claim(offset + 10 * number, 10) for number in range(500)]
            one.claim(8, events)
            one.acknowledged(8, base + 499 + (base > 0))
            offset += 5000
            largest = max(largest, (tmp_path / "claims").stat().st_size)
    assert largest + 60_000 > 1 << 20
    assert (tmp_path / "claims").stat().st_size < 30_000
    for look in (one, two, member(folder, 2)):
        with look.locked():
            assert look.next == offset
            assert look.free() == [Claim(120, 5, framing=1)]
            assert look.floor() == 110
    with two.locked():
        assert (two.held(3), two.held_base(3)) == ([Claim(110, 10)], 1)
    with one.locked():
        assert len(one.held(8)) == 1


def test_a_large_state_is_not_written_again_at_each_append(tmp_path: Path) -> None:
    folder = group(tmp_path)
    machine = Machine()
    one = member(folder, 1, machine)
    with one.locked():
        for at in range(30):
            one.claim(1, [Claim(at * 10_000 + number * 10, 10) for number in range(1000)])
    assert machine.calls.count("rename") == 0
    assert (tmp_path / "claims").stat().st_size > 1 << 20


def test_a_disk_that_is_full_changes_nothing_and_later_it_goes_on(tmp_path: Path) -> None:
    folder = group(tmp_path)
    refuse = Refuse("pwrite")
    machine = Machine(refuse)
    one = member(folder, 1, machine)
    with one.locked(), pytest.raises(OSError, match="No space"):
        one.claim(5, [A])
    machine.script = lambda name: 50 if name == "pwrite" else None
    with one.locked(), pytest.raises(OSError, match="No space"):
        one.claim(5, [A, B])
    machine.script = lambda name: None
    with one.locked():
        assert (one.held(5), one.next) == ([], 100)
        one.claim(5, [A])
        assert one.held(5) == [A]
    one.close()
    assert machine.descriptors() == 0


def test_a_checkpoint_that_fails_leaves_the_file_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_CHECKPOINT_BYTES", 400)
    folder = group(tmp_path)
    machine = Machine(Refuse("rename"))
    one = member(folder, 1, machine)
    with one.locked():
        for number in range(40):
            one.claim(5, [Claim(100 + number * 10, 10)])
            one.acknowledged(5, number + 1)
    assert 1 <= machine.script.refused < 10  # type: ignore[attr-defined]
    two = member(folder, 1)
    with two.locked():
        assert (two.next, two.floor(), two.held_base(5)) == (500, 500, 40)


def test_a_file_without_a_beginning_is_set_aside_and_the_group_begun_again(tmp_path: Path) -> None:
    folder = group(tmp_path)
    (tmp_path / "claims").write_bytes(b"")
    with pytest.raises(JournalError, match="no beginning"), member(folder, 1).locked():
        pytest.fail("locked without a state")
    assert Claims.create(folder, system=REAL, start=70)
    one = member(folder, 1)
    with one.locked() as mine:
        assert (mine, one.next) == (True, 70)
    assert (tmp_path / "claims.damaged").exists()


class Model:
    """What a group must be, in the plainest words: each event is new, with a holder, free, or done."""

    def __init__(self) -> None:
        self.next = 0
        self.free: list[Claim] = []
        self.given: dict[tuple[int, int], list[Claim]] = {}
        self.done: dict[tuple[int, int], int] = {}

    def take(self, who: tuple[int, int], count: int, length: int) -> list[Claim]:
        events = sorted(self.free)[:count]
        while len(events) < count:
            at = max([self.next, *(event.offset + event.length for event in events)])
            events.append(Claim(at, length))
        return events

    def claim(self, who: tuple[int, int], events: list[Claim]) -> None:
        for event in events:
            if event in self.free:
                self.free.remove(event)
            self.next = max(self.next, event.offset + event.length)
        self.given.setdefault(who, []).extend(events)

    def floor(self) -> int:
        held = [event.offset for who, events in self.given.items() for event in events[self.done.get(who, 0) :]]
        return min([*held, *(event.offset for event in self.free)], default=self.next)


STEP = st.tuples(
    st.sampled_from(["claim", "ack", "die"]),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 9),
    st.one_of(st.none(), st.integers(0, 14)),
    st.sampled_from([0, 1, 39, 40, 55]),
)


@settings(max_examples=150)
@given(steps=st.lists(STEP, max_size=25))
def test_members_that_are_killed_at_any_call_agree_with_the_model(steps: list[tuple[str, int, int, int, int | None, int]]) -> None:
    model, lives, acknowledged = Model(), dict.fromkeys((1, 2, 3), 1), dict.fromkeys((1, 2, 3), 0)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_CHECKPOINT_BYTES", 300)
        Claims.create(folder, system=REAL, start=0)
        open_views: dict[int, Claims] = {}
        for action, number, count, length, kill_at, torn in steps:
            who = (number, lives[number])
            machine = Machine()
            if kill_at is None:
                view = open_views.setdefault(number, member(folder, number))
            else:
                view = member(folder, number, machine)
                machine.script = StopAt(kill_at, torn)
            wanted = model.take(who, count, length)
            held = len(model.given.get(who, [])) - acknowledged[number]
            acknowledged[number] += min(count, held) if action == "ack" else 0
            with contextlib.suppress(Killed), view.locked() as mine:
                assert mine
                if action == "claim":
                    view.claim(lives[number], wanted)
                elif action == "ack":
                    view.acknowledged(lives[number], acknowledged[number])
                else:
                    view.give_back(lives[number], acknowledged[number])
            machine.bury()
            # What a successor of a killed member does: it looks, and says again what must be said.
            heir = member(folder, number)
            with heir.locked() as mine:
                assert mine
                if action == "claim":
                    took = heir.held_base(who[1]) + len(heir.held(who[1])) - len(model.given.get(who, []))
                    assert took == len(wanted) or kill_at is not None
                    model.claim(who, wanted[:took])
                elif action == "ack":
                    heir.acknowledged(who[1], acknowledged[number])
                    model.done[who] = acknowledged[number]
                else:
                    heir.give_back(who[1], acknowledged[number])
                    model.free += model.given.pop(who, [])[acknowledged[number] :]
                    model.done.pop(who, None)
                    lives[number] += 1
                    acknowledged[number] = 0
            heir.close()
            for look in (*open_views.values(), member(folder, number)):
                with look.locked():
                    assert (look.next, look.free(), look.floor()) == (model.next, sorted(model.free), model.floor())
            with (last := member(folder, number)).locked():
                mine_now = model.given.get((number, lives[number]), [])
                assert last.held(lives[number]) == mine_now[last.held_base(lives[number]) :]
        close_all()


def test_a_kill_at_every_call_of_a_checkpoint_leaves_one_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_CHECKPOINT_BYTES", 400)
    for number in itertools.count():
        folder = group(tmp_path / str(number))
        machine = Machine()
        one = member(folder, 1, machine)
        done, taken = True, 0
        machine.script = StopAt(number)
        try:
            for taken in range(12):
                with one.locked():
                    one.claim(5, [Claim(100 + taken * 10, 10)])
                    one.acknowledged(5, taken)
        except Killed:
            done = False
        machine.bury()
        two = member(folder, 1)
        with two.locked() as mine:
            assert mine
            claimed = two.held_base(5) + len(two.held(5))
            assert claimed in (taken, taken + 1)
            assert two.next == 100 + claimed * 10
            assert two.floor() == 100 + two.held_base(5) * 10
        two.close()
        if done:
            assert (Path(folder) / "claims").stat().st_size < 1000
            return

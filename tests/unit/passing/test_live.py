"""The live view: the last events of every stream that moved, what is not shown counted, and places kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.queue import LOOK_S, QueueLive
from efsupervisor.journal import Claims
from efsupervisor.messages import TaskStatus
from efsupervisor.messages.call import Passed, Passing
from efsupervisor.messages.core import FlowRow, FlowsReply, FlowsRequest, StatusReply, StatusRequest
from efsupervisor.passing import live
from efsupervisor.passing.edges import Ref, paths
from efsupervisor.passing.live import DIRECTIONS, Live, streams
from efsupervisor.passing.place import MAX_STREAMS
from efsupervisor.states import Framing, Goal, Mode, State
from efsupervisor.system import REAL
from tests.unit.interface.fake_house import FakeHouse, run
from tests.unit.passing.flows import Folder


class View:
    """Somebody who watches."""

    def __init__(self, here: Folder, tasks: Sequence[str] = ("p", "c", "d"), directions: Sequence[str] = DIRECTIONS, limit: int = 200) -> None:
        self._here = here
        self._tasks = tasks
        self._directions = directions
        self._limit = limit
        self.since = ""
        assert self.look() == []

    def passing(self) -> list[Passed]:
        every = streams(self._tasks, self._here.refs, self._directions)
        answer = Live(self._here.var, REAL).look(every, self._tasks, self.since, self._limit)
        self.since = answer.next
        return answer.rows

    def look(self) -> list[tuple[str, str, bytes, int]]:
        """(task, direction, data, missed) of each row."""
        return [(row.task, row.direction, row.data, row.missed) for row in self.passing()]


@pytest.fixture
def lay(tmp_path: Path) -> Iterator[Callable[..., Folder]]:
    """Makes folders with edges."""
    made: list[Folder] = []

    def make(**more: Any) -> Folder:
        made.append(Folder(tmp_path, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def lines(first: int, count: int) -> bytes:
    return b"".join(b"%06d\n" % number for number in range(first, first + count))


def test_what_was_there_before_is_not_shown_and_what_comes_is_in_order(lay: Any) -> None:
    here = lay()
    here.produce(lines(0, 5))
    here.deliver(7, 14)
    view = View(here)
    here.produce(lines(5, 2))
    here.write(paths(here.var, "c").err_journal, b"oops\n")
    here.deliver(14, 28)
    assert view.look() == [
        ("p", "out", b"000005", 0), ("p", "out", b"000006", 0),
        ("c", "in", b"000002", 0), ("c", "in", b"000003", 0), ("c", "err", b"oops", 0),
    ]  # fmt: skip
    assert view.look() == []


def test_an_event_that_is_not_whole_comes_when_it_is(lay: Any) -> None:
    here = lay()
    view = View(here)
    here.produce(b"one\ntw")
    assert view.look() == [("p", "out", b"one", 0)]
    assert view.look() == []
    here.produce(b"o\n")
    assert view.look() == [("p", "out", b"two", 0)]


@pytest.mark.parametrize("count", [11, 1203, 40_000])
def test_what_does_not_fit_is_counted_and_the_last_is_shown(lay: Any, count: int) -> None:
    here = lay()
    view = View(here, limit=10)
    here.produce(lines(0, count))
    found = view.look()
    assert [row[2] for row in found] == [b"%06d" % number for number in range(count - 10, count)]
    assert [row[3] for row in found] == [count - 10, *[0] * 9]


def test_a_long_event_is_shown_by_its_beginning_and_its_length(lay: Any) -> None:
    here = lay()
    view = View(here)
    here.produce(b"a\n" + b"x" * 300_000 + b"\n")
    (row,) = view.passing()
    assert (row.data, row.length, row.missed) == (b"x" * live.BEGINNING, 300_000, 1)
    here.produce(b"y" * 1000 + b"\nz\n")
    assert [(len(each.data), each.length) for each in view.passing()] == [(200, 1000), (1, 1)]


def test_streams_that_found_no_room_come_first_in_the_next_look(lay: Any) -> None:
    here = lay()
    view = View(here, directions=["out"], limit=1)
    for name in ("p", "c", "d"):
        here.write(paths(here.var, name).out_journal, name.encode() + b"\n")
    assert sorted(data for _ in range(3) for _task, _way, data, _missed in view.look()) == [b"c", b"d", b"p"]
    assert view.look() == []


def test_a_stream_that_never_rests_leaves_the_others_their_turn(lay: Any) -> None:
    here = lay()
    view = View(here, directions=["out"], limit=1)
    here.write(paths(here.var, "d").out_journal, b"d\n")
    seen = []
    for number in range(3):
        here.produce(lines(number, 1))
        seen += [row[0] for row in view.look()]
    assert "d" in seen and "p" in seen


def test_only_the_tasks_and_directions_that_were_asked_for_are_looked_at(lay: Any) -> None:
    here = lay()
    view = View(here, tasks=["c"], directions=["in"])
    here.produce(lines(0, 2))
    here.write(paths(here.var, "c").out_journal, b"result\n")
    here.deliver(0, 7)
    assert view.look() == [("c", "in", b"000000", 0)]


def test_an_event_that_is_given_again_is_shown_again(lay: Any) -> None:
    here = lay()
    here.produce(lines(0, 3))
    here.deliver(0, 14)
    view = View(here, directions=["in"])
    here.deliver(7, 7)  # the program died with one event
    assert view.look() == []
    here.deliver(7, 21)
    assert [row[2] for row in view.look()] == [b"000001", b"000002"]


def test_events_of_the_own_input_queue_are_given_too(lay: Any) -> None:
    here = lay()
    view = View(here)
    own = next(ref for ref in here.refs if not ref.producer and ref.consumers == ("c",))
    here.write(own.journal, b"put by hand\n")
    here.deliver(0, 12, ref=own)
    assert view.look() == [("c", "in", b"put by hand", 0)]


def test_members_of_a_group_are_shown_with_what_each_was_given(lay: Any) -> None:
    here = lay(mode=Mode.SHARE, consumers=("c", "d"))
    here.produce(lines(0, 4))
    here.claim(0, (0, 7))
    view, of_d = View(here, directions=["in"]), View(here, tasks=["d"], directions=["in"])
    here.claim(1, (7, 7), (14, 7))
    here.claim(0, (21, 7))
    assert view.look() == [("d", "in", b"000001", 0), ("d", "in", b"000002", 0), ("c", "in", b"000003", 0)]
    assert of_d.look() == [("d", "in", b"000001", 0), ("d", "in", b"000002", 0)]
    assert view.look() == []


def test_a_claims_log_that_was_written_anew_is_said_to_hide_some(lay: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = lay(mode=Mode.SHARE, consumers=("c", "d"))
    here.produce(lines(0, 3))
    view = View(here, directions=["in"])
    here.claim(0, (0, 7))
    group = Claims(here.ref.folder, system=REAL, member=0)
    monkeypatch.setattr("efsupervisor.journal.claims._SHRINKS_TO", 0)
    with group.locked() as mine:
        assert mine
        group._checkpoint()
    group.close()
    assert view.look() == [("c", "in", b"", -1)]
    here.claim(0, (7, 7))
    assert view.look() == [("c", "in", b"000001", 0)]


def test_an_answer_is_bounded_whatever_passes(lay: Any) -> None:
    here = lay()
    view = View(here, limit=1000)
    here.produce(b"".join(b"\xff" * 190 + b"\n" for _ in range(5000)))
    rows = view.passing()
    assert 50 < len(rows) < 200
    assert rows[0].missed == 5000 - len(rows)
    assert len(msgspec.json.encode(Passing(rows=rows))) < live.ROOM


def test_too_many_streams_are_refused_with_what_to_do() -> None:
    names = [f"t{number}" for number in range(MAX_STREAMS)]
    assert len(streams(names, [], ["out"])) == MAX_STREAMS
    with pytest.raises(EfError, match="name tasks, or one direction") as raised:
        streams(names, [], ["out", "err"])
    assert raised.value.code is Code.USAGE


def test_the_verb_waits_for_something_to_pass_and_not_for_ever(lay: Any) -> None:
    here = lay()
    looks: list[float] = []

    def core(request: object) -> list[Any]:
        if isinstance(request, StatusRequest):
            return [StatusReply(id=request.id, tasks=[TaskStatus(name="p", state=State.RUNNING, goal=Goal.ACT)])]
        assert isinstance(request, FlowsRequest)
        return [FlowsReply(id=request.id, rows=[FlowRow(flow="f", producer="p", consumers=["c"], id=here.ref.id)])]

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            here.produce(b"at last\n")

    first = run(QueueLive(wait_s=0), FakeHouse(core, var=here.var))
    assert isinstance(first, Passing) and first.rows == []
    found = run(QueueLive(since=first.next, wait_s=3), FakeHouse(core, var=here.var, on_pause=pause))
    assert isinstance(found, Passing) and [row.data for row in found.rows] == [b"at last"]
    assert looks[:2] == [LOOK_S, LOOK_S] and len(looks) == 3 and looks[2] < LOOK_S, "and before the answer for as long as looking cost"
    nothing = run(QueueLive(since=found.next, wait_s=1), FakeHouse(core, var=here.var, on_pause=lambda _s: None))
    assert isinstance(nothing, Passing) and nothing.rows == [] and nothing.next


def test_an_edge_that_is_not_there_is_no_stream_that_moves(lay: Any) -> None:
    here = lay()
    here.refs = [Ref(here.var, "f" * 16, "p", ("c", "d"), Mode.SHARE), Ref(here.var, "e" * 16, "p", ("c",), Mode.BROAD)]
    view = View(here)
    assert view.look() == []


def test_netstrings_are_walked_and_a_stretch_that_is_too_long_for_that_is_said_to_hide_some(lay: Any) -> None:
    here = lay()
    writer = here.writer(paths(here.var, "p").out_journal)
    writer.frame(Framing.NETSTRING)
    view = View(here, directions=["out"], limit=2)
    here.produce(b"3:one,3:t\no,5:three,4:fo")
    assert view.look() == [("p", "out", b"t\no", 1), ("p", "out", b"three", 0)]
    assert view.look() == []
    here.produce(b"ur,")
    assert view.look() == [("p", "out", b"four", 0)]
    here.produce(b"1000:" + b"x" * 1000 + b",")
    assert [(row.length, len(row.data)) for row in view.passing()] == [(1000, live.BEGINNING)]
    here.produce(b"".join(b"1000:" + b"y" * 1000 + b"," for _ in range(100)))
    assert view.look() == [("p", "out", b"", -1)]
    here.produce(b"4:last,")
    assert view.look() == [("p", "out", b"last", 0)]


def test_events_that_end_with_a_zero_byte_are_told_apart_by_it(lay: Any) -> None:
    here = lay()
    writer = here.writer(paths(here.var, "p").out_journal)
    writer.frame(Framing.NUL)
    view = View(here, directions=["out"])
    here.produce(b"one\ntwo\0three\0")
    assert [row[2] for row in view.look()] == [b"one\ntwo", b"three"]

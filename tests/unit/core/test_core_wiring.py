"""From a configuration to edges, their folders and each task's Wiring."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from efsupervisor.conf.schema import Config, FlowSpec, InputSpec, TaskSpec
from efsupervisor.core.wiring import Edge, EdgeFile, Member, Wirer, edge_id, edges, seated
from efsupervisor.journal import Claims, Reader, Writer
from efsupervisor.messages import Wiring
from efsupervisor.states import Framing, Mode
from efsupervisor.system import REAL, short_id
from efsupervisor.task.paths import own_edge_id


def spec(name: str, **more: object) -> TaskSpec:
    return TaskSpec(name=name, command=["cat"], **more)  # type: ignore[arg-type]


def config(*flows: FlowSpec, tasks: str = "p c d") -> Config:
    return Config(source="/etc/x.yaml", tasks=[spec(name) for name in tasks.split()], flows=list(flows))


def flow(mode: Mode = Mode.BROAD, start: str = "end", consumers: str = "c d", producers: str = "p", **more: object) -> FlowSpec:
    return FlowSpec(name="f", producers=producers.split(), consumers=consumers.split(), mode=mode, start=start, **more)  # type: ignore[arg-type]


@pytest.fixture
def var(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "flows").mkdir()
    return tmp_path


def wire(var: Path, what: Config) -> dict[str, Wiring]:
    wirings = Wirer(str(var), "namespace", "/log", REAL).wire(what)
    return {wiring.spec.name: wiring for wiring in wirings.values()}


def cursor(folder: str, who: str) -> int:
    return int.from_bytes(Path(folder, f"cursor.{who}").read_bytes(), "little")


def written(var: Path, name: str, data: bytes) -> None:
    folder = var / "tasks" / short_id(name)
    folder.mkdir(exist_ok=True)
    writer = Writer(str(folder / "out"), system=REAL)
    writer.append(data)
    writer.close()


# Which edges there are ---------------------------------------------------------------------------------------------------------------------


def test_a_broad_flow_is_one_edge_for_each_pair_of_producer_and_consumer() -> None:
    found = [edge for edge in edges(config(flow(producers="p q", consumers="c d"), tasks="p q c d")) if edge.producer]
    assert [(edge.producer, edge.consumers) for edge in found] == [("p", ("c",)), ("p", ("d",)), ("q", ("c",)), ("q", ("d",))]
    assert len({edge.id for edge in found}) == 4


def test_a_share_flow_is_one_edge_for_each_producer_with_all_its_consumers() -> None:
    found = [edge for edge in edges(config(flow(Mode.SHARE))) if edge.producer]
    assert [(edge.producer, edge.consumers) for edge in found] == [("p", ("c", "d"))]


def test_a_task_that_can_take_events_has_an_input_queue_of_its_own_and_no_other_task_has() -> None:
    what = Config(source="", tasks=[spec("p"), spec("c"), spec("asks", input=InputSpec(framing=Framing.NUL))], flows=[flow(consumers="c")])
    own = [edge for edge in edges(what) if not edge.producer]
    assert [(edge.consumers, edge.framing) for edge in own] == [(("c",), Framing.LINES), (("asks",), Framing.NUL)]


def test_the_name_of_an_edge_depends_on_who_takes_part_and_on_no_spelling() -> None:
    assert edge_id("F", "P", "C") == edge_id("f", "p", "c")
    assert len({edge_id("f", "p", "c"), edge_id("f", "c", "p"), edge_id("fp", "", "c"), edge_id("f", "p"), edge_id("g", "p", "c")}) == 5
    assert len(bytes.fromhex(edge_id("f", "p", "c"))) == 8


def test_a_task_called_input_does_not_share_a_folder_with_an_input_queue() -> None:
    what = Config(source="", tasks=[spec("input"), spec("c")], flows=[FlowSpec(name="input", producers=["input"], consumers=["c"])])
    assert len({edge.id for edge in edges(what)}) == len(edges(what)) == 2


# What each worker is told --------------------------------------------------------------------------------------------------------------------


def test_producer_and_consumer_see_the_same_edge_from_both_ends(var: Path) -> None:
    told = wire(var, config(flow(max_lag=1234, overflow="drop-oldest")))
    out, seen = told["p"].outputs[0], told["c"].inputs[0]
    assert out.id == seen.id
    assert out.folder == seen.folder
    assert out.consumers == [("c", told["c"].task_dir)]
    assert seen.producer_dir == told["p"].task_dir
    assert seen.journal == told["p"].task_dir + "/out"
    assert (out.max_lag, seen.max_lag, out.overflow) == (1234, 1234, "drop-oldest")


def test_an_own_input_queue_is_an_edge_without_a_producer(var: Path) -> None:
    own = wire(var, config(flow()))["c"].inputs[-1]
    assert (own.producer, own.producer_dir) == ("", "")
    assert own.journal.endswith(short_id("c") + "/input")


def test_members_of_a_share_group_have_different_numbers(var: Path) -> None:
    told = wire(var, config(flow(Mode.SHARE)))
    assert sorted(told[name].inputs[0].member for name in "cd") == [0, 1]
    assert told["p"].outputs[0].consumers == [("c", told["c"].task_dir), ("d", told["d"].task_dir)]


# Where a new edge begins ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "expected"), [("end", 12), ("begin", 0), ("0", 0), ("6", 6), ("8", 6), ("5", 0), ("12", 12), ("4096", 12)]
)  # an offset within an event is its beginning, one beyond the end is the end
def test_a_new_edge_begins_where_its_flow_says(var: Path, start: str, expected: int) -> None:
    written(var, "p", b"older\nnewer\n")
    told = wire(var, config(flow(start=start)))
    assert cursor(told["c"].inputs[0].folder, short_id("c")) == expected


def test_a_new_edge_at_the_end_begins_with_the_record_that_is_being_written(var: Path) -> None:
    written(var, "p", b"older\nhalf of a rec")
    told = wire(var, config(flow(start="end")))
    assert cursor(told["c"].inputs[0].folder, short_id("c")) == 6


def test_an_edge_that_exists_keeps_the_cursor_its_consumer_has_moved(var: Path) -> None:
    folder = wire(var, config(flow(start="begin")))["c"].inputs[0].folder
    path = Path(folder, f"cursor.{short_id('c')}")
    path.write_bytes((77).to_bytes(8, "little"))
    written(var, "p", b"more\n")
    wire(var, config(flow(start="end")))
    assert cursor(folder, short_id("c")) == 77


def test_a_crash_before_the_cursor_was_written_does_not_move_the_beginning(var: Path) -> None:
    written(var, "p", b"older\n")
    folder = wire(var, config(flow()))["c"].inputs[0].folder
    Path(folder, f"cursor.{short_id('c')}").unlink()
    written(var, "p", b"written after the edge was made\n")
    wire(var, config(flow()))
    assert cursor(folder, short_id("c")) == 6


def test_a_share_group_begins_where_its_flow_says_and_only_once(var: Path) -> None:
    written(var, "p", b"older\n")
    folder = wire(var, config(flow(Mode.SHARE)))["c"].inputs[0].folder
    written(var, "p", b"newer\n")
    wire(var, config(flow(Mode.SHARE)))
    group = Claims(folder, system=REAL, member=0)
    with group.locked() as locked:
        assert locked
        assert group.next == 6
    group.close()


def test_a_group_whose_claims_were_lost_with_the_power_begins_again_where_all_was_acknowledged(var: Path) -> None:
    written(var, "p", b"one\ntwo\nthree\n")
    folder = wire(var, config(flow(Mode.SHARE, start="begin")))["c"].inputs[0].folder
    Path(folder, "cursor.group").write_bytes((4).to_bytes(8, "little"))
    Path(folder, "claims").write_bytes(b"")
    wire(var, config(flow(Mode.SHARE, start="begin")))
    group = Claims(folder, system=REAL, member=0)
    with group.locked() as locked:
        assert locked
        assert group.next == 4
    group.close()


def test_an_input_queue_is_read_from_its_beginning_although_events_were_put_before(var: Path) -> None:
    folder = var / "tasks" / short_id("c")
    folder.mkdir()
    writer = Writer(str(folder / "input"), system=REAL)
    writer.append(b"put early\n")
    writer.close()
    own = wire(var, config(flow()))["c"].inputs[-1]
    assert cursor(own.folder, short_id("c")) == 0
    reader = Reader(own.journal, system=REAL)
    assert reader.end() == 10
    reader.close()


# Member numbers ------------------------------------------------------------------------------------------------------------------------------


def group(*consumers: str) -> Edge:
    return Edge("0" * 16, "f", "p", consumers, Mode.SHARE, True)


def numbers(file: EdgeFile) -> dict[str, int]:
    return {member.name: member.member for member in file.consumers}


def test_a_number_is_never_given_to_another_task() -> None:
    first = seated(group("a", "b"), None, 0)
    second = seated(group("b", "c"), first, 0)
    third = seated(group("c", "d", "a"), second, 0)
    assert numbers(first) == {"a": 0, "b": 1}
    assert numbers(second) == {"b": 1, "c": 2}
    assert numbers(third) == {"c": 2, "d": 3, "a": 0}
    assert third.departed == [Member(name="b", id=short_id("b"), member=1)]


def test_the_same_consumers_make_the_same_file() -> None:
    first = seated(group("a", "b"), None, 5)
    assert seated(group("a", "b"), first, 5) == first
    assert msgspec.json.decode(msgspec.json.encode(first), type=EdgeFile) == first


def test_a_tasks_own_queue_has_the_id_that_its_worker_knows_it_by() -> None:
    alone = Config(source="/etc/x.yaml", tasks=[spec("하나", input=InputSpec())])
    assert [edge.id for edge in edges(alone)] == [own_edge_id(short_id("하나"))]

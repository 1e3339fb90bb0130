"""What each verb asks of the Core and makes of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import Code, ConfigError, EfError
from efsupervisor.interface import conf, daemon, flow, group, queue, resource, stdin, task
from efsupervisor.interface.help import HelpTopic
from efsupervisor.messages import core
from efsupervisor.messages.call import About, Difference, Done, Events, Flows, Groups, Piece, Settings, Specs, Tasks, Text
from efsupervisor.states import Goal, State
from tests.unit.interface.fake_house import FakeHouse, run

ROW = core.TaskStatus(name="a", state=State.RUNNING, goal=Goal.ACT)


def detail(name: str, origin: str = "added") -> core.TaskDetail:
    return core.TaskDetail(spec=TaskSpec(name=name, command=["x"], priority=5), origin=origin)


def core_of(request: Any) -> list[core.Reply]:
    """A Core with the tasks a (of the file) and b (added)."""
    match request:
        case core.StatusRequest():
            return [core.StatusReply(id=request.id, tasks=[ROW], more=True), core.StatusReply(id=request.id, tasks=[])]
        case core.SpecsRequest():
            known = {"a": detail("a", "file"), "b": detail("b")}
            if request.names and request.names[0] not in known:
                raise EfError("no task has this name", Code.NO_SUCH_TASK)
            return [core.SpecsReply(id=request.id, tasks=[known[name] for name in request.names or known])]
        case core.FlowsRequest():
            rows = [core.FlowRow(flow="f", producer="x", consumers=[name]) for name in ("a", "b")]
            return [core.FlowsReply(id=request.id, rows=rows)]
        case core.GroupsRequest():
            return [core.GroupsReply(id=request.id, rows=[core.GroupRow(name="G", tasks=["a"]), core.GroupRow(name="h", tasks=["b"])])]
        case core.SettingsRequest():
            rows = [core.SettingRow(key=key, value="1") for key in ("web.port", "web.host", "history")]
            return [core.SettingsReply(id=request.id, rows=rows)]
        case core.RereadRequest():
            change = core.Change(noun="task", name="a", what="changed")
            return [core.DifferenceReply(id=request.id, changes=[change], applied=request.apply)]
        case core.VersionRequest():
            return [core.VersionReply(id=request.id, version="1", pid=9, since_wall=2.0)]
        case core.ServicesRequest():
            rows = [core.ServiceRow(name="web", state=State.BACKOFF)]
            return [core.ServicesReply(id=request.id, rows=rows, ailments=["full"])]
        case core.ReadRequest():
            return [core.ReadReply(id=request.id, offset=3, data=b"x\n", next=5, end=9)]
        case _:
            return [core.DoneReply(id=request.id, outcomes=[core.Outcome(task="a", ok=True)])]


@pytest.fixture
def house() -> FakeHouse:
    return FakeHouse(core_of)


def test_status_is_all_frames_of_the_core(house: FakeHouse) -> None:
    assert run(task.TaskStatusVerb(names=["a"]), house) == Tasks(rows=[ROW])


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        (task.Act(names=["a"], wait=False), core.ActRequest(id="call", names=["a"], wait=False)),
        (task.Trm(names=["a"]), core.TrmRequest(id="call", names=["a"])),
        (task.Restart(names=["a"]), core.RestartRequest(id="call", names=["a"])),
        (task.TaskDel(names=["a"]), core.DelTaskRequest(id="call", names=["a"])),
        (flow.FlowDel(names=["f"]), core.DelFlowRequest(id="call", names=["f"])),
        (group.GroupDel(names=["g"]), core.DelGroupRequest(id="call", names=["g"])),
        (queue.QueueClear(names=["a"]), core.ClearRequest(id="call", names=["a"])),
        (conf.ConfSet(key="k"), core.SetSettingRequest(id="call", key="k")),
        (stdin.StdinPut(task="a", text="ö"), core.PutRequest(id="call", task="a", put_id="call", data="ö".encode())),
        (stdin.StdinPut(task="a", data=b"\xff", put_id="p"), core.PutRequest(id="call", task="a", put_id="p", data=b"\xff")),
        (daemon.DaemonShutdown(), core.ShutdownRequest(id="call")),
    ],
)
def test_a_change_is_one_request_with_the_calls_id(house: FakeHouse, verb: Any, request_: object) -> None:
    assert run(verb, house) == Done(rows=[core.Outcome(task="a", ok=True)])
    assert house.asked == [request_]


def test_an_event_is_text_or_data_not_both(house: FakeHouse) -> None:
    with pytest.raises(EfError) as raised:
        run(stdin.StdinPut(task="a", text="x", data=b"y"), house)
    assert raised.value.code is Code.USAGE
    assert house.asked == []


def test_an_added_task_is_changed_where_it_was_said(house: FakeHouse) -> None:
    run(task.TaskSet(task="b", settings={"startsecs": "0"}), house)
    added = house.asked[-1]
    assert isinstance(added, core.AddTaskRequest)
    assert (added.replace, added.spec) == (True, TaskSpec(name="b", command=["x"], priority=5, startsecs=0.0))


def test_a_task_of_the_file_is_changed_there(house: FakeHouse) -> None:
    with pytest.raises(EfError, match="configuration file") as raised:
        run(task.TaskSet(task="a", settings={"startsecs": "0"}), house)
    assert raised.value.code is Code.BAD_STATE


def test_a_task_that_does_not_exist_is_made_when_its_program_is_said(house: FakeHouse) -> None:
    with pytest.raises(EfError) as raised:
        run(task.TaskSet(task="new", settings={"startsecs": "0"}), house)
    assert raised.value.code is Code.NO_SUCH_TASK
    run(task.TaskSet(task="new", program=["y"]), house)
    assert house.asked[-1] == core.AddTaskRequest(id="call.3", spec=TaskSpec(name="new", command=["y"]), replace=False)


def test_a_wrong_setting_reaches_nobody(house: FakeHouse) -> None:
    with pytest.raises(ConfigError):
        run(task.TaskAdd(task="t", settings={"comand": "x"}), house)
    assert house.asked == []


def test_specs_are_shown(house: FakeHouse) -> None:
    assert run(task.TaskShow(names=["b"]), house) == Specs(rows=[detail("b")])


def test_a_queue_shows_the_edges_that_end_at_the_named_tasks(house: FakeHouse) -> None:
    shown = run(queue.QueueShow(names=["a"]), house)
    assert isinstance(shown, Flows)
    assert [row.consumers for row in shown.rows] == [["a"]]


def test_groups_are_found_in_any_case_and_unknown_ones_are_named(house: FakeHouse) -> None:
    shown = run(group.GroupShow(names=["g"]), house)
    assert isinstance(shown, Groups)
    assert [row.name for row in shown.rows] == ["G"]
    with pytest.raises(EfError, match="G, h"):
        run(group.GroupShow(names=["i"]), house)


def test_settings_are_shown_by_key_and_by_section(house: FakeHouse) -> None:
    shown = run(conf.ConfShow(keys=["web", "history"]), house)
    assert isinstance(shown, Settings)
    assert [row.key for row in shown.rows] == ["web.port", "web.host", "history"]
    with pytest.raises(EfError, match=r"web\.port"):
        run(conf.ConfShow(keys=["web.prot"]), house)


def test_an_update_applies_and_a_reread_does_not(house: FakeHouse) -> None:
    for verb, applied in ((conf.ConfReread(), False), (conf.ConfUpdate(), True)):
        answer = run(verb, house)
        assert isinstance(answer, Difference)
        assert (answer.applied, len(answer.rows)) == (applied, 1)


def test_a_text_is_checked_without_the_core(house: FakeHouse) -> None:
    assert isinstance(run(conf.ConfCheck(text="tasks: {a: {command: x}}"), house), Text)
    with pytest.raises(ConfigError, match="comand"):
        run(conf.ConfCheck(text="tasks: {a: {comand: x}}"), house)
    assert house.asked == []


def test_about_is_not_ready_while_a_sibling_that_is_wanted_does_not_run(house: FakeHouse) -> None:
    about = run(daemon.DaemonVersion(), house)
    assert isinstance(about, About)
    assert (about.ready, about.pid, about.ailments) == (False, 9, ["full"])


def test_a_log_is_read_as_a_piece(house: FakeHouse) -> None:
    assert run(task.TaskLog(task="a"), house) == Piece(task="a", stream="out", offset=3, data=b"x\n", next=5, end=9)


def test_the_daemons_log_is_read_by_lines_and_by_offset(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / daemon.LOG).write_bytes(b"one\ntwo\nthree\n")
    house = FakeHouse(core_of, str(tmp_path))
    assert run(daemon.DaemonLog(lines=2), house) == Piece(task="", stream="daemon", offset=4, data=b"two\nthree\n", next=14, end=14)
    assert run(daemon.DaemonLog(offset=8), house) == Piece(task="", stream="daemon", offset=8, data=b"three\n", next=14, end=14)
    after_rotation = run(daemon.DaemonLog(offset=99), house)
    assert isinstance(after_rotation, Piece)
    assert after_rotation.offset == 0


def events_of(request: Any) -> list[core.Reply]:
    """A Core that knows the events 1 to 12 and tells at most five in one answer; every second one is of task a."""
    if request.since is None:
        return [core.EventsReply(id=request.id, rows=[], next=13)]
    numbers = range(max(1, request.since), min(13, max(1, request.since) + 5))
    rows = [core.EventRow(seq=number, wall=1.0, what="state", task="ab"[number % 2]) for number in numbers]
    return [core.EventsReply(id=request.id, rows=[row for row in rows if row.task in (request.names or "ab")], next=numbers[-1] + 1)]


def test_without_a_number_the_last_events_are_told() -> None:
    answer = run(daemon.DaemonEvents(limit=3), FakeHouse(events_of))
    assert isinstance(answer, Events)
    assert ([row.seq for row in answer.rows], answer.next) == ([10, 11, 12], 13)
    answer = run(daemon.DaemonEvents(limit=2, names=["a"]), FakeHouse(events_of))
    assert isinstance(answer, Events)
    assert [row.seq for row in answer.rows] == [10, 12]


def test_with_a_number_or_a_wait_one_question_is_asked() -> None:
    for verb in (daemon.DaemonEvents(since=4), daemon.DaemonEvents(wait_s=9.0)):
        house = FakeHouse(events_of)
        run(verb, house)
        assert [(each.since, each.wait_s) for each in house.asked] == [(verb.since, verb.wait_s)]


def test_a_collector_that_is_not_there_is_said(house: FakeHouse) -> None:
    with pytest.raises(EfError) as raised:
        run(resource.ResourceShow(names=["a"], samples=3), house)
    assert raised.value.code is Code.NOT_RUNNING
    assert house.queries[0][0] == "resource"


def test_help_is_in_the_callers_language_or_the_one_that_was_said(house: FakeHouse) -> None:
    assert run(HelpTopic(topic=["flow", "add"]), house) == Text(text="flow add in en\n")
    assert run(HelpTopic(language="ko"), house) == Text(text=" in ko\n")

"""Every method of supervisord's interface: what it asks for, what it gives, and its faults."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.core.web.xmlrpc.methods import METHODS
from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Writer
from efsupervisor.messages.core import Change, Outcome
from efsupervisor.states import State
from efsupervisor.system import REAL
from tests.unit.core.web.xmlrpc.fakes import Desk

PARTS = {"name": "web", "group": "web"}


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    found.middle.task("web")
    found.middle.task("off", State.STOPPED, groups=["g"])
    found.middle.task("up", groups=["g"], priority=1)
    return found


@pytest.mark.skipif(importlib.util.find_spec("supervisor") is None, reason="the package supervisor cannot be had")
def test_names_parameters_and_types_are_those_of_supervisord() -> None:
    from supervisor.rpcinterface import SupervisorNamespaceRPCInterface  # type: ignore[import-untyped]
    from supervisor.xmlrpc import SystemNamespaceRPCInterface  # type: ignore[import-untyped]

    theirs = {}
    for space, interface in (("supervisor", SupervisorNamespaceRPCInterface), ("system", SystemNamespaceRPCInterface)):
        for name, function in vars(interface).items():
            if not name.startswith("_") and inspect.isfunction(function):
                params = list(inspect.signature(function).parameters.values())[1:]
                required = sum(each.default is inspect.Parameter.empty for each in params)
                said = [re.split(r"\s+", line.strip())[1] for line in (function.__doc__ or "").splitlines() if re.match(r"\s*@param", line)]
                theirs[f"{space}.{name}"] = (len(params), required, said)
    ours = {name: (len(each.params), each.required, [kind for kind, _ in each.params]) for name, each in METHODS.items()}
    assert set(ours) == set(theirs)
    assert {name: each for name, each in ours.items() if each != theirs[name]} == {}


def test_what_the_supervisor_is(desk: Desk) -> None:
    assert desk.call("getAPIVersion") == desk.call("getVersion") == "3.0"
    assert desk.call("getSupervisorVersion") == "4.3.0"
    assert desk.call("getIdentification") == "supervisor"
    assert desk.call("getState") == {"statecode": 1, "statename": "RUNNING"}
    assert desk.call("getPID") == 321


def test_a_process_is_described_with_every_field(desk: Desk) -> None:
    found = desk.call("getProcessInfo", "web")
    assert found["description"] == "pid 4711, uptime 0:01:05"
    assert {key: found[key] for key in ("name", "group", "state", "statename", "pid", "exitstatus", "spawnerr", "stop")} == {
        **PARTS, "state": 20, "statename": "RUNNING", "pid": 4711, "exitstatus": 0, "spawnerr": "", "stop": 0,
    }  # fmt: skip
    assert found["now"] - found["start"] == 65
    assert desk.call("getProcessInfo", "g:off")["description"] == "Not started"
    assert [each["name"] for each in desk.call("getAllProcessInfo")] == ["off", "up", "web"]
    assert desk.fault("getProcessInfo", "g:*") == (10, "BAD_NAME: g:*")
    assert desk.fault("getProcessInfo", "nobody") == (10, "BAD_NAME: nobody")


def test_configuration_has_the_29_fields(desk: Desk) -> None:
    rows = desk.call("getAllConfigInfo")
    assert [(row["group"], row["name"], row["inuse"]) for row in rows] == [("g", "off", True), ("g", "up", True), ("web", "web", True)]
    assert {len(row) for row in rows} == {29}


def test_starting_asks_for_act_and_says_how_it_went(desk: Desk) -> None:
    assert desk.call("startProcess", "g:off") is True
    assert desk.middle.changing == [("act", {"names": ["off"], "wait": True})]
    assert desk.fault("startProcess", "web") == (60, "ALREADY_STARTED: web")
    desk.middle.wrong["off"] = Outcome(task="off", ok=False, code=Code.TASK_FAILED, sentence="FATAL: exit status 3")
    assert desk.fault("startProcess", "g:off") == (50, "SPAWN_ERROR: g:off")
    desk.middle.wrong["off"] = Outcome(task="off", ok=False, code=Code.TASK_FAILED, sentence="EXITED: exit status 3")
    assert desk.fault("startProcess", "g:off") == (40, "ABNORMAL_TERMINATION: g:off")
    assert desk.call("startProcessGroup", "g") == [{"name": "off", "group": "g", "status": 40, "description": "ABNORMAL_TERMINATION: g:off"}]
    assert desk.call("startProcess", "g:*") == desk.call("startAllProcesses")


def test_a_first_failure_is_told_while_the_task_is_tried_again(desk: Desk) -> None:
    desk.middle.held.add("act")
    bodies = desk.begin("supervisor.startProcess", "g:off")
    assert bodies == []
    desk.middle.task("off", State.BACKOFF, groups=["g"])
    desk.loop.turn()
    assert b"SPAWN_ERROR: g:off" in bodies[0]


def test_a_program_that_is_not_there_is_not_started(desk: Desk, tmp_path: Path) -> None:
    desk.middle.task("none", State.STOPPED, command=["/nowhere/x"])
    assert desk.fault("startProcess", "none") == (20, "NO_FILE: can't find command '/nowhere/x'")
    (tmp_path / "x").write_text("")
    desk.middle.task("data", State.STOPPED, command=[str(tmp_path / "x")])
    assert desk.fault("startProcess", "data")[0] == 21
    assert desk.middle.changing == []


def test_stopping_and_signals(desk: Desk) -> None:
    assert desk.call("stopProcess", "web", False) is True
    assert desk.call("stopProcessGroup", "g") == [{"name": "up", "group": "g", "status": 80, "description": "OK"}]
    assert desk.fault("stopProcess", "g:off") == (70, "NOT_RUNNING: g:off")
    assert desk.call("signalProcess", "web", "HUP") is True
    assert desk.call("signalProcess", "web", 1) is True
    assert desk.fault("signalProcess", "web", "NOPE") == (11, "BAD_SIGNAL: NOPE")
    assert desk.fault("signalProcess", "g:off", "HUP") == (70, "NOT_RUNNING: g:off")
    assert desk.call("signalAllProcesses", "HUP") == [
        {"name": "up", "group": "g", "status": 80, "description": "OK"}, {**PARTS, "status": 80, "description": "OK"},
    ]  # fmt: skip
    assert desk.middle.changing == [
        ("trm", {"names": ["web"], "wait": False}), ("trm", {"names": ["up"], "wait": True}), ("task.signal", {"names": ["web"], "signal": "HUP"}),
        ("task.signal", {"names": ["web"], "signal": "1"}), ("task.signal", {"names": ["up", "web"], "signal": "HUP"}),
    ]  # fmt: skip


def test_groups_are_found_in_what_differs(desk: Desk) -> None:
    desk.middle.changes = [
        Change(noun="task", name="web", what="removed"), Change(noun="task", name="up", what="changed"),
        Change(noun="task", name="n1", what="added", group="new"), Change(noun="setting", name="web.port", what="changed"),
    ]  # fmt: skip
    assert desk.call("reloadConfig") == [[["new"], ["g"], ["web"]]]
    assert [row["inuse"] for row in desk.call("getAllConfigInfo") if row["group"] == "new"] == [False]
    desk.middle.refused["conf.reread"] = EfError("line 3: no", Code.CONFIG)
    assert desk.fault("reloadConfig") == (92, "CANT_REREAD: line 3: no")


def test_groups_come_and_go(desk: Desk) -> None:
    assert desk.fault("addProcessGroup", "web") == (90, "ALREADY_ADDED: web")
    assert desk.fault("addProcessGroup", "new") == (10, "BAD_NAME: new")
    assert desk.fault("removeProcessGroup", "g") == (91, "STILL_RUNNING: g")
    assert desk.fault("removeProcessGroup", "new") == (10, "BAD_NAME: new")
    desk.middle.task("up", State.STOPPED, groups=["g"])
    assert desk.call("removeProcessGroup", "g") is True
    assert desk.middle.changing[-1] == ("conf.remove", {"names": ["up", "off"]})


def test_a_group_is_removed_when_it_is_not_listed_any_more_so_that_it_can_be_added_again_at_once(desk: Desk) -> None:
    desk.middle.task("up", State.STOPPED, groups=["g"])
    desk.middle.lingering = True
    bodies = desk.begin("supervisor.removeProcessGroup", "g")
    for _ in range(3):
        assert bodies == []
        desk.loop.turn()
    desk.middle.gone(["up", "off"])
    desk.loop.turn()
    assert len(bodies) == 1 and b"<boolean>1" in bodies[0]


@pytest.fixture
def logged(tmp_path: Path) -> Desk:
    writer = Writer(str(tmp_path / "t" / "out"), system=REAL) if (tmp_path / "t").mkdir() is None else None
    assert writer is not None
    writer.append("öne\ntwo \x1b[1m\n".encode())
    writer.close()
    (tmp_path / "log").write_bytes(b"main log\n")
    found = Desk(tmp_path / "log")
    found.middle.task("t", folder=str(tmp_path / "t"))
    found.middle.task("never", State.STOPPED)
    return found


def test_logs_are_read_from_either_end_and_never_break_a_character(logged: Desk) -> None:
    assert logged.call("readProcessStdoutLog", "t", 0, 0) == "öne\ntwo \ufffd[1m\n"
    assert logged.call("readProcessLog", "t", -9, 0) == "two \ufffd[1m\n"
    assert logged.call("readProcessLog", "t", 1, 3) == "ne"
    assert logged.call("readProcessLog", "t", 0, 1) == ""
    assert logged.call("tailProcessStdoutLog", "t", 0, 4) == ["[1m\n", 14, True]
    assert logged.call("tailProcessLog", "t", 14, 100) == ["", 14, False]
    assert logged.fault("readProcessLog", "t", -1, 5) == (3, "BAD_ARGUMENTS")
    assert logged.fault("readProcessLog", "never", 0, 0)[0] == 20
    assert logged.call("tailProcessStderrLog", "never", 0, 100) == ["", 0, False]
    assert logged.call("readLog", -4, 0) == "log\n"
    assert logged.call("clearLog") is True
    assert logged.call("readMainLog", 0, 0) == ""
    assert Desk().fault("readLog", 0, 0)[0] == 20


def test_logs_are_cleared(desk: Desk) -> None:
    assert desk.call("clearProcessLogs", "web") is True
    desk.middle.wrong["off"] = Outcome(task="off", ok=False, code=Code.SYSTEM, sentence="no room")
    rows = {row["name"]: row for row in desk.call("clearAllProcessLogs")}
    assert rows["off"] == {"name": "off", "group": "g", "status": 30, "description": "FAILED: no room"}
    assert rows["web"]["status"] == 80


def test_lines_go_to_stdin_one_by_one(desk: Desk) -> None:
    assert desk.call("sendProcessStdin", "web", "a\nb\n") is True
    assert desk.middle.changing == [("stdin.put", {"task": "web", "text": "a"}), ("stdin.put", {"task": "web", "text": "b"})]
    assert desk.fault("sendProcessStdin", "g:off", "x") == (70, "NOT_RUNNING: g:off")
    assert desk.fault("sendProcessStdin", "web", ["x"]) == (2, "INCORRECT_PARAMETERS")
    desk.middle.refused["stdin.put"] = EfError("takes no events", Code.NO_INPUT)
    assert desk.fault("sendProcessStdin", "web", "x")[0] == 20


def test_an_end_that_was_asked_for_ends_all_answers_but_one(desk: Desk) -> None:
    assert desk.call("shutdown") is True
    assert desk.fault("getState") == desk.fault("startProcess", "web") == (6, "SHUTDOWN_STATE")
    assert desk.call("sendRemoteCommEvent", "t", "d") is True
    assert desk.middle.changing[-1] == ("daemon.emit", {"topic": "t", "text": "d"})


def test_an_end_that_somebody_else_asked_for_is_seen(desk: Desk) -> None:
    desk.middle.ending = True
    assert desk.fault("getState") == (6, "SHUTDOWN_STATE")


def test_a_reload_of_a_bad_file_is_a_fault(desk: Desk) -> None:
    assert desk.call("restart") is True
    desk.middle.refused["daemon.reload"] = EfError("line 3: no", Code.CONFIG)
    assert desk.fault("restart") == (92, "CANT_REREAD: line 3: no")


@pytest.mark.parametrize("name", ["supervisor.nope", "supervisor._house", "nope", "a.b.c", "supervisor.house.system", "system.__class__", ""])
def test_what_is_not_in_the_table_is_unknown(desk: Desk, name: str) -> None:
    bodies = desk.begin(name)
    assert b"<int>1</int>" in bodies[0] and b"UNKNOWN_METHOD" in bodies[0]


@pytest.mark.parametrize(
    ("name", "params"),
    [("getState", (1,)), ("startProcess", ()), ("startProcess", (1.5,)), ("readLog", ("x", 0)), ("readLog", (None, 0)), ("stopProcess", ("a", 1, 2))],
)
def test_wrong_parameters_are_refused(desk: Desk, name: str, params: tuple[Any, ...]) -> None:
    assert desk.fault(name, *params) == (2, "INCORRECT_PARAMETERS")


def test_many_calls_in_one_are_answered_in_order_with_bare_values(desk: Desk) -> None:
    calls: list[Any] = [
        {"methodName": "supervisor.getVersion", "params": []}, {"methodName": "supervisor.nope"}, {"methodName": "system.multicall", "params": [[]]},
        {"params": []}, {"methodName": "supervisor.getPID"}, 7,
    ]  # fmt: skip
    found = desk.call("system.multicall", calls)
    assert found[0] == "3.0" and found[4] == 321
    assert [each["faultCode"] for each in (found[1], found[2], found[3], found[5])] == [1, 2, 2, 2]
    assert desk.fault("system.multicall", 7) == (2, "INCORRECT_PARAMETERS")


def test_methods_describe_themselves(desk: Desk) -> None:
    assert desk.call("system.listMethods") == sorted(METHODS)
    assert desk.call("system.methodSignature", "supervisor.startProcess") == ["boolean", "string", "boolean"]
    assert "@param string name" in desk.call("system.methodHelp", "supervisor.startProcess")
    assert desk.fault("system.methodSignature", "nope") == (4, "SIGNATURE_UNSUPPORTED")


def test_a_crowd_of_pollers_costs_one_question(desk: Desk) -> None:
    for _ in range(50):
        desk.call("getAllProcessInfo")
    assert [verb for verb, _ in desk.middle.asked] == ["task.status", "task.show"]
    desk.loop.now += 0.06
    desk.call("getAllProcessInfo")
    assert [verb for verb, _ in desk.middle.asked] == ["task.status", "task.show", "task.status"]

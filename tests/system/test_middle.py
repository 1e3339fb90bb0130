"""The middle interface beside a real supervisor: every verb works through middle.sock, and its death loses and doubles nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor.errors import Code
from efsupervisor.messages import FailedReply
from efsupervisor.messages.call import About, Call, Difference, Done, Events, Flows, Groups, Piece, Recovered, Runs, Schedules, Settings, Specs, Tasks
from efsupervisor.states import State
from tests.support import processes
from tests.support.middle import Door
from tests.support.supervisor import Supervisor
from tests.support.wait import until

UPPER = [
    sys.executable,
    "-c",
    "import sys\nfor line in sys.stdin:\n    print(line.strip().upper(), flush=True)\n    print('', file=sys.stderr, flush=True)\n",
]
TASKS: dict[str, dict[str, Any]] = {
    "sleeper": {"command": "sleep 100000", "startsecs": 0},
    "idle": {"command": "sleep 100000", "startsecs": 0, "autostart": False},
    "upper": {"command": UPPER, "startsecs": 0, "input": {"protocol": "event"}},
}

SERVICES = {"services": True, "web": {"enabled": False}, "resource": {"enabled": False}, "result": {"enabled": False}}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, TASKS, supervisor=SERVICES) as supervisor:
        supervisor.await_state("sleeper", State.RUNNING)
        supervisor.await_state("upper", State.RUNNING)
        supervisor.await_service("middle")
        yield supervisor


def door(supervisor: Supervisor) -> Door:
    """A connection to middle.sock, as soon as somebody listens there."""

    def connected() -> Door | None:
        try:
            return Door(str(supervisor.var / "run" / "middle.sock"))
        except OSError:
            return None

    return until(connected, 15, lambda: f"the middle interface listens\n{supervisor.story()}")


def ok(answer: Any) -> Any:
    """The answer, which is no failure and holds none."""
    assert not isinstance(answer, FailedReply), answer
    if isinstance(answer, Done):
        assert all(row.ok for row in answer.rows), answer
    return answer


def test_tasks_are_looked_at_started_stopped_and_restarted(running: Supervisor) -> None:
    with door(running) as line:
        status = ok(line.call("task.status", {"names": ["sleeper"]}))
        assert isinstance(status, Tasks)
        pid = status.rows[0].pid
        ok(line.call("act", {"names": ["idle"]}))
        assert running.row("idle").state is State.RUNNING
        assert line.say("trm idle") == ["OK : idle at rest"] or running.row("idle").state is State.STOPPED
        ok(line.call("restart", {"names": ["sleeper"]}))
        assert running.row("sleeper").pid != pid
        specs = ok(line.call("task.show", {"names": ["upper"]}))
        assert isinstance(specs, Specs)
        assert specs.rows[0].spec.command == UPPER
        assert "RUNNING" in line.say("shw status sleeper")[0]
        assert line.say("act nobody")[0].startswith("NOK : nobody ")


def test_a_task_is_added_changed_used_and_removed(running: Supervisor) -> None:
    with door(running) as line:
        ok(line.call("task.add", {"task": "added", "program": ["sh", "-c", "echo hello; sleep 1000"], "settings": {"startsecs": "0"}}))
        running.await_state("added", State.RUNNING)
        until(lambda: b"hello" in running.output("added"), 10, "it wrote")
        log = ok(line.call("task.log", {"task": "added"}))
        assert isinstance(log, Piece)
        assert log.data == b"hello\n"
        ok(line.call("task.set", {"task": "added", "settings": {"stopwaitsecs": "3s"}}))
        specs = ok(line.call("task.show", {"names": ["added"]}))
        assert (specs.rows[0].spec.stopwaitsecs, specs.rows[0].origin) == (3.0, "added")
        wrong = line.call("task.add", {"task": "x", "settings": {"comand": "y"}})
        assert isinstance(wrong, FailedReply)
        assert (wrong.code, 'did you mean "command"?' in wrong.sentence) == (Code.CONFIG, True)
        ok(line.call("task.del", {"names": ["added"]}))
        until(lambda: "added" not in running.status(), 10, "it is forgotten")


def test_flows_groups_and_schedules_come_and_go(running: Supervisor) -> None:
    with door(running) as line:
        ok(line.call("task.add", {"task": "source", "program": ["sh", "-c", "echo one; echo two"], "settings": {"kind": "job", "autostart": "no"}}))
        ok(line.call("flow.add", {"flow": "f", "producers": ["source"], "consumers": ["upper"], "settings": {"start": "begin"}}))
        flows = ok(line.call("flow.show", {"names": ["f"]}))
        assert isinstance(flows, Flows)
        assert [(row.producer, row.consumers) for row in flows.rows] == [("source", ["upper"])]
        ok(line.call("act", {"names": ["source"]}))
        until(lambda: running.output("upper") == b"ONE\nTWO\n", 15, lambda: f"the events arrive: {running.output('upper')!r}\n{running.story()}")
        history = ok(line.call("task.history", {"names": ["source"]}))
        assert isinstance(history, Runs)
        assert [row.task for row in history.rows] == ["source"]
        assert isinstance(ok(line.call("queue.show", {"names": ["upper"]})), Flows)
        ok(line.call("flow.del", {"names": ["f"]}))
        ok(line.call("group.set", {"group": "g", "tasks": ["sl*", "idle"]}))
        groups = ok(line.call("group.show"))
        assert isinstance(groups, Groups)
        assert sorted(groups.rows[0].members) == ["idle", "sleeper"]
        ok(line.call("group.del", {"names": ["g"]}))
        ok(line.call("schedule.set", {"schedule": "night", "cron": "0 3 * * *", "act": ["idle"]}))
        schedules = ok(line.call("schedule.show"))
        assert isinstance(schedules, Schedules)
        assert schedules.rows[0].next_wall > time.time()
        ok(line.call("schedule.del", {"names": ["night"]}))


def test_events_are_put_once_and_acknowledged(running: Supervisor) -> None:
    with door(running) as line:
        for _ in range(3):
            ok(line.call("stdin.put", {"task": "upper", "text": "hello", "put_id": "only once"}))
        ok(line.call("stdin.put", {"task": "upper", "text": "bye"}))
        until(lambda: running.output("upper") == b"HELLO\nBYE\n", 15, lambda: f"the events arrive: {running.output('upper')!r}\n{running.story()}")
        until(lambda: ok(line.call("stdin.show", {"names": ["upper"]})).rows[0].acknowledged == 2, 10, "they are acknowledged")
        ok(line.call("trm", {"names": ["upper"]}))
        ok(line.call("stdin.put", {"task": "upper", "text": "12345"}))
        queues = ok(line.call("queue.show", {"names": ["upper"]}))
        assert isinstance(queues, Flows)
        assert [(row.flow, row.consumers, row.lag_bytes) for row in queues.rows] == [("", ["upper"], 6)]
        assert ok(line.call("flow.show")).rows == []
        assert line.say("shw queue upper") == ["OK : input queue: -> upper broad, lag 6 bytes"]
        ok(line.call("queue.clear", {"names": ["upper"]}))
        assert ok(line.call("queue.show", {"names": ["upper"]})).rows[0].lag_bytes == 0


def test_settings_differences_events_log_and_services_are_shown(running: Supervisor) -> None:
    with door(running) as line:
        settings = ok(line.call("conf.show", {"keys": ["history"]}))
        assert isinstance(settings, Settings)
        ok(line.call("conf.set", {"key": "history", "value": "1234"}))
        assert ok(line.call("conf.show", {"keys": ["history"]})).rows[0].value == "1234"
        assert isinstance(ok(line.call("conf.reread")), Difference)
        assert line.say("shw check")[0].startswith("OK : the configuration file is fine")
        events = ok(line.call("daemon.events", {"since": 0, "names": ["sleeper"]}))
        assert isinstance(events, Events)
        assert "RUNNING" in [row.after for row in events.rows]
        about = ok(line.call("daemon.version"))
        assert isinstance(about, About)
        assert about.pid == running.core_pid
        assert "middle" in [row.name for row in about.services]
        assert b"conf.set history: done" in ok(line.call("daemon.log", {"lines": 1000})).data
        assert line.say("hlp act")[0].startswith("OK : ")


def test_a_long_poll_is_answered_when_something_happens_and_holds_up_nobody(running: Supervisor) -> None:
    with door(running) as waiting, door(running) as line:
        since = ok(line.call("daemon.events")).next
        fields = msgspec.Raw(msgspec.json.encode({"since": since, "wait_s": 30, "names": ["idle"]}))
        waiting.send(Call(id="poll", verb="daemon.events", fields=fields, deadline_s=0))
        ok(line.call("act", {"names": ["idle"]}))
        answer = waiting.answer("poll")
        assert isinstance(answer, Events)
        assert {row.task for row in answer.rows} == {"idle"}


def test_a_recovery_runs_beside_the_live_task_and_leaves_nothing(running: Supervisor) -> None:
    with door(running) as line:
        before = running.row("upper")
        answer = ok(line.call("recovery.run", {"task": "upper", "text": "try this", "timeout_s": 20}, deadline_s=0))
        assert isinstance(answer, Recovered)
        assert (answer.ended, answer.exit_status, answer.acknowledged, answer.out) == (True, 0, True, b"TRY THIS\n")
        after = running.row("upper")
        assert (after.pid, after.delivered, after.restarts) == (before.pid, before.delivered, before.restarts)
        assert running.output("upper") == b""
        assert sorted(running.status()) == ["idle", "sleeper", "upper"]


def test_a_recovery_that_hangs_is_ended_by_its_timeout(running: Supervisor) -> None:
    with door(running) as line:
        ok(line.call("task.add", {"task": "deaf", "program": ["sleep", "100000"], "settings": {"autostart": "no", "input.protocol": "event"}}))
        answer = ok(line.call("recovery.run", {"task": "deaf", "text": "x", "timeout_s": 0.5}, deadline_s=0))
        assert isinstance(answer, Recovered)
        assert (answer.ended, answer.acknowledged) == (False, False)
        assert sorted(running.status()) == ["deaf", "idle", "sleeper", "upper"]
        ok(line.call("task.del", {"names": ["deaf"]}))


def test_a_recovery_that_fails_tells_why(running: Supervisor) -> None:
    with door(running) as line:
        dying = {"task": "dying", "program": ["sh", "-c", "read line; echo no $line >&2; exit 3"], "settings": {"autostart": "no"}}
        ok(line.call("task.add", dying))
        ok(line.call("task.set", {"task": "dying", "settings": {"input.protocol": "event", "kind": "job"}}))
        answer = ok(line.call("recovery.run", {"task": "dying", "text": "x", "timeout_s": 20}, deadline_s=0))
        assert isinstance(answer, Recovered)
        assert (answer.ended, answer.acknowledged, answer.err) == (True, False, b"no x\n")
        assert answer.exit_status is not None
        assert os.waitstatus_to_exitcode(answer.exit_status) == 3
        ok(line.call("task.del", {"names": ["dying"]}))


def test_calls_repeated_over_kills_of_the_middle_interface_happen_once_each(running: Supervisor) -> None:
    """Each call is begun, cut off by SIGKILL of the middle interface, and said again with its id to the next one, twice."""
    pid = running.await_service("middle")
    for number in range(6):
        calls = {
            uuid.uuid4().hex: ("task.add", {"task": f"added-{number}", "program": ["sleep", "1000"], "settings": {"startsecs": "0"}}),
            uuid.uuid4().hex: ("stdin.put", {"task": "upper", "text": f"event {number}"}),
        }
        with door(running) as line:
            for call_id, (verb, fields) in calls.items():
                line.send(Call(id=call_id, verb=verb, fields=msgspec.Raw(msgspec.json.encode(fields))))
            processes.send(pid, signal.SIGKILL)
        pid = running.await_service("middle", other_than=pid)
        with door(running) as again:
            for _ in range(2):
                for call_id, (verb, fields) in calls.items():
                    ok(again.call(verb, fields, id=call_id))
    expected = b"".join(b"EVENT %d\n" % number for number in range(6))
    until(lambda: running.output("upper") == expected, 15, lambda: f"each arrives once: {running.output('upper')!r}\n{running.story()}")
    running.await_state("added-5", State.RUNNING)
    assert sorted(name for name in running.status() if name.startswith("added-")) == [f"added-{number}" for number in range(6)]


@pytest.mark.alone
def test_a_stopped_core_is_told_in_time(running: Supervisor) -> None:
    with door(running) as line:
        ok(line.call("daemon.version"))
        processes.send(running.core_pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            about = line.call("daemon.version")
            assert isinstance(about, About)
            assert not about.ready
            failure = line.call("task.status", deadline_s=1.0)
            assert isinstance(failure, FailedReply)
            assert failure.code is Code.TIMEOUT
            assert time.monotonic() - begun < 5.0
        finally:
            processes.send(running.core_pid, signal.SIGCONT)
        assert isinstance(ok(line.call("task.status")), Tasks)


def test_a_shutdown_is_answered_before_everything_ends(running: Supervisor) -> None:
    with door(running) as line:
        ok(line.call("daemon.shutdown", deadline_s=0))
    running.await_core_end()

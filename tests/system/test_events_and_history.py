"""What happened can be asked: transitions with their cause, alerts, every ended run; and a request that comes again happens once."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import uuid
from pathlib import Path
from typing import Any

from efsupervisor import messages
from efsupervisor.errors import Code
from efsupervisor.states import State
from tests.support.asking import add, ask, done, events, runs, spec
from tests.support.supervisor import Supervisor
from tests.support.wait import until

SLEEPER: dict[str, Any] = {"command": "sleep 100000", "startsecs": 0, "backoff_s": 0.001}
GRUMBLER: dict[str, Any] = {
    "command": ["sh", "-c", "echo >&2 'not an acknowledgement'; while read -r line; do echo >&2 'cannot do '$line; echo >&2; done"],
    "startsecs": 0,
    "input": {"protocol": "event"},
}


def told(supervisor: Supervisor, task: str) -> list[tuple[str, str]]:
    return [(row.before, row.after) for row in events(supervisor, names=[task], what=["state"])]


# Events --------------------------------------------------------------------------------------------------------------------------------------


def test_each_transition_is_one_event_with_its_cause_and_one_line_in_the_log(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor:
        pid = supervisor.await_state("A", State.RUNNING).pid
        ask(supervisor, messages.TrmRequest, messages.DoneReply, names=["A"], asked_by="ada of the web")
        found = events(supervisor, names=["A"])
        assert [(row.what, row.before, row.after) for row in found] == [
            ("state", "STOPPED", "STARTING"),
            ("state", "STARTING", "RUNNING"),
            ("state", "RUNNING", "STOPPING"),
            ("state", "STOPPING", "STOPPED"),
        ]
        assert [row.seq for row in found] == sorted(row.seq for row in found)
        assert found[0].sentence == "asked by autostart"
        assert (found[1].pid, found[2].sentence) == (pid, "asked by ada of the web")
        assert f"task A: RUNNING -> STOPPING (asked by ada of the web) pid {pid}" in supervisor.story()


def test_the_death_of_a_program_is_never_told_as_a_start_that_somebody_asked_for(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER | {"autostart": False}, "B": SLEEPER | {"command": "false", "startsecs": 5}}) as supervisor:
        ask(supervisor, messages.ActRequest, messages.DoneReply, names=["A"], asked_by="ada of the web")
        pid = supervisor.await_state("A", State.RUNNING).pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: ("RUNNING", "STARTING") in told(supervisor, "A"), 10, supervisor.story)
        causes = {(row.task, row.before, row.after): row.sentence for row in events(supervisor, what=["state"])}
        assert causes["A", "STOPPED", "STARTING"] == "asked by ada of the web"
        assert causes["A", "RUNNING", "STARTING"] == "killed by SIGKILL"
        supervisor.await_state("B", State.FATAL)
        causes = {(row.task, row.before, row.after): row.sentence for row in events(supervisor, what=["state"])}
        assert causes["B", "BACKOFF", "STARTING"] == "the delay before another try is over"
        story = supervisor.story()
        assert "task A: RUNNING -> STARTING (killed by SIGKILL)" in story
        assert "task B: BACKOFF -> STARTING (the delay before another try is over)" in story


def test_a_poll_is_answered_when_something_happens_and_with_nothing_when_its_time_is_over(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor, supervisor.connect(30) as client:
        supervisor.await_state("A", State.RUNNING)
        client.send(messages.encode(messages.EventsRequest(id="1", since=None, wait_s=20, names=["A"])))
        supervisor.trm("A")
        reply = messages.decode(client.recv(messages.MAX_FRAME), messages.Reply)
        assert isinstance(reply, messages.EventsReply)
        assert [row.after for row in reply.rows][:1] == ["STOPPING"]
        nothing = ask(supervisor, messages.EventsRequest, messages.EventsReply, since=None, wait_s=0.3)
        assert (nothing.rows, nothing.lost) == ([], 0)
        later = ask(supervisor, messages.EventsRequest, messages.EventsReply, since=reply.next, wait_s=5, names=["A"])
        assert [row.after for row in later.rows] == (["STOPPED"] if reply.rows[-1].after == "STOPPING" else [])


def test_an_alert_is_an_event_that_outlives_the_core_and_numbers_never_come_again(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"E": GRUMBLER}) as supervisor:
        done(supervisor, messages.PutRequest, task="E", put_id="1", data=b"this\n")

        def alerts() -> list[messages.EventRow]:
            return [row for row in events(supervisor, what=["message"]) if any("cannot do this" in line for line in row.lines)]

        (alert,) = until(alerts, 20, supervisor.story)
        assert (alert.task, alert.event) == ("E", b"this\n")
        last = ask(supervisor, messages.EventsRequest, messages.EventsReply, since=None).next
        until(lambda: _saved_alerts(supervisor), 10, "the alert is on disk")
        for end in (supervisor.kill_core, supervisor.stop):
            end()
            supervisor.start()
            assert [row.seq for row in alerts()] == [alert.seq]
            following = ask(supervisor, messages.EventsRequest, messages.EventsReply, since=None).next
            assert following >= last
            last = following


def _saved_alerts(supervisor: Supervisor) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{supervisor.var}/lib/state.sqlite?mode=ro", uri=True)) as state:
        return int(state.execute("SELECT count(*) FROM alerts").fetchone()[0])


def test_alerts_of_a_time_without_a_core_are_told_to_the_next_one_with_their_own_time(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"E": {**GRUMBLER, "command": ["sh", "-c", "while sleep 0.3; do echo >&2 word; done"]}}) as supervisor:
        until(lambda: events(supervisor, what=["message"]), 20, supervisor.story)
        supervisor.kill_core()
        began = len(supervisor.output("E", "err"))
        until(lambda: len(supervisor.output("E", "err")) > began + 20, 20, "the program says more meanwhile")
        supervisor.start()
        since = ask(supervisor, messages.VersionRequest, messages.VersionReply).since_wall
        early = until(lambda: [row for row in events(supervisor, what=["message"]) if 0 < row.wall < since], 20, supervisor.story)
        assert len(early) > 2


# History -------------------------------------------------------------------------------------------------------------------------------------


def test_every_run_is_in_the_history_also_those_that_ended_without_a_core(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER, "J": {"command": ["sh", "-c", "echo out; exit 3"], "kind": "job", "autostart": False}}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        supervisor.kill_program("A")
        until(lambda: len(runs(supervisor, "A")) == 1, 10, supervisor.story)
        supervisor.kill_core()
        for number in (3, 4):
            supervisor.kill_program("A")
            until(lambda number=number: _lives(supervisor, "A") >= 2 * number - 1, 10, "another life begins")  # type: ignore[misc]
        supervisor.start()
        until(lambda: len(runs(supervisor, "A")) == 3, 10, supervisor.story)
        assert [row.incarnation for row in runs(supervisor, "A")] == [3, 2, 1]
        assert {row.exit_status for row in runs(supervisor, "A")} <= {9, None}
        supervisor.act("J")
        (row,) = until(lambda: runs(supervisor, "J"), 10, supervisor.story)
        assert (row.exit_status, row.out_bytes, row.state) == (3 << 8, 4, supervisor.row("J").state.value)
        assert [each.task for each in runs(supervisor)][:1] == ["J"]


def _lives(supervisor: Supervisor, task: str) -> int:
    return int((supervisor.task_dir(task) / "lives").stat().st_size) // 64


# Requests ------------------------------------------------------------------------------------------------------------------------------------


def test_a_request_that_comes_again_happens_once_and_both_get_the_answer(tmp_path: Path) -> None:
    slow = {"command": "sleep 100000", "startsecs": 1.5, "autostart": False}
    with Supervisor(tmp_path, {"S": slow}) as supervisor, supervisor.connect(30) as first, supervisor.connect(30) as second:
        for client in (first, second):
            client.send(messages.encode(messages.RestartRequest(id="one", names=["S"])))
        answers = [messages.decode(client.recv(messages.MAX_FRAME), messages.Reply) for client in (first, second)]
        assert answers[0] == answers[1]
        assert supervisor.row("S").incarnation == 1
        assert supervisor.ask(messages.RestartRequest(id="one", names=["S"])) == answers[0]
        assert supervisor.row("S").incarnation == 1
        other = supervisor.ask(messages.TrmRequest(id="one", names=["S"]))
        assert isinstance(other, messages.FailedReply) and other.code is Code.BAD_REQUEST
        assert supervisor.row("S").state is State.RUNNING


def test_a_request_whose_connection_broke_is_answered_on_the_next(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {}) as supervisor:
        request = messages.AddTaskRequest(id=uuid.uuid4().hex, spec=spec(supervisor, "X", ["sleep", "100000"]))
        with supervisor.connect() as client:
            client.send(messages.encode(request))
            until(lambda: "X" in supervisor.status(), 10, supervisor.story)
        for _ in range(2):  # without the memory: "task X exists already"
            reply = supervisor.ask(request)
            assert isinstance(reply, messages.DoneReply) and reply.outcomes[0].ok


def test_a_restart_is_a_new_life_and_starts_what_rests(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER, "B": {**SLEEPER, "autostart": False}}) as supervisor:
        pid = supervisor.await_state("A", State.RUNNING).pid
        reply = ask(supervisor, messages.RestartRequest, messages.DoneReply, names=["[ab]", "nobody"])
        assert {outcome.task: outcome.ok for outcome in reply.outcomes} == {"A": True, "B": True, "nobody": False}
        rows = supervisor.status()
        assert {row.state for row in rows.values()} == {State.RUNNING}
        assert rows["A"].pid != pid
        assert told(supervisor, "A")[-4:] == [("RUNNING", "STOPPING"), ("STOPPING", "STOPPED"), ("STOPPED", "STARTING"), ("STARTING", "RUNNING")]


def test_a_stop_that_comes_into_a_restart_wins(tmp_path: Path) -> None:
    slow = {"command": ["sh", "-c", "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.05; done"], "startsecs": 0}
    with Supervisor(tmp_path, {"S": slow}) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        done(supervisor, messages.RestartRequest, names=["S"], wait=False)
        supervisor.await_state("S", State.STOPPING)
        supervisor.trm("S")
        assert supervisor.row("S").state is State.STOPPED


def test_names_are_groups_and_patterns_wherever_tasks_are_named(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {name: {**SLEEPER, "autostart": False} for name in ("web.1", "web.2", "db")}) as supervisor:
        add(supervisor, "extra", ["sleep", "100000"])
        supervisor.act("web.*")
        assert {name for name, row in supervisor.status().items() if row.state is State.RUNNING} >= {"web.1", "web.2"}
        assert set(supervisor.status("*b*")) == {"web.1", "web.2", "db"}
        assert supervisor.trm("all", "x*").outcomes[0].sentence == "no task matches this pattern"

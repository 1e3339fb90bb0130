"""Flows seen from outside while they run: figures, who holds whom back, cycles that stand still, and what passes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from efsupervisor import messages
from efsupervisor.conf.schema import FlowSpec
from efsupervisor.journal import Reader
from efsupervisor.states import State
from efsupervisor.system import REAL, short_id
from tests.support.asking import done, events
from tests.support.screen import Screen
from tests.support.supervisor import Supervisor
from tests.support.wait import until

FAST: dict[str, Any] = {"command": ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; done"], "startsecs": 0, "output": {"keep_bytes": "10MiB"}}
STEADY: dict[str, Any] = {"command": ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"], "startsecs": 0}
CAT: dict[str, Any] = {"command": "cat", "startsecs": 0, "input": {"protocol": "stream"}}
ACKS: dict[str, Any] = {
    "command": ["sh", "-c", "while read -r line; do echo $line; echo >&2; done"], "startsecs": 0, "input": {"protocol": "event", "window": 4},
}  # fmt: skip
DEAF: dict[str, Any] = {"command": ["sleep", "100000"], "startsecs": 0, "input": {"protocol": "stream"}}


def efctl(supervisor: Supervisor, *words: str, status: int = 0) -> str:
    """What efctl prints."""
    argv = [sys.executable, "-m", "efsupervisor.cli", "--var", str(supervisor.var), *words]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == status, f"{ran.stdout}\n{ran.stderr}\n{supervisor.story()}"
    return ran.stdout


def figures(supervisor: Supervisor, *names: str) -> dict[str, dict[str, Any]]:
    """The rows of `efctl flow status`, by flow and consumers."""
    rows = json.loads(efctl(supervisor, "flow", "status", "--over", "0.5", "--json", *names))["rows"]
    return {f"{row['flow']}:{','.join(row['consumers'])}": row for row in rows}


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_figures_of_flows_and_their_picture(tmp_path: Path) -> None:
    tasks = {"P": STEADY, "C": CAT, "W1": ACKS, "W2": ACKS, "S": {**ACKS, "autostart": False}}
    flows = {
        "f": {"from": "P", "to": ["C", "S"]},
        "w": {"from": "P", "to": ["W1", "W2"], "mode": "share"},
    }
    with Supervisor(tmp_path, tasks, flows) as supervisor:
        until(lambda: len(supervisor.output("W1")) > 100 and len(supervisor.output("C")) > 100, 20, supervisor.story)
        rows = figures(supervisor)
        assert set(rows) == {"f:C", "f:S", "w:W1,W2"}
        for name in ("f:C", "w:W1,W2"):
            row = rows[name]
            assert row["in_events_s"] > 5 and row["in_bytes_s"] > row["in_events_s"], row
            assert row["out_events_s"] > 5 and row["lag_exact"] and row["acknowledged_bytes"] > 100, row
        resting = rows["f:S"]
        assert resting["lag_events"] > 20 and resting["out_bytes_s"] == 0 and resting["in_flight"] == 0
        assert resting["lag_events"] <= supervisor.output("P").count(b"\n")
        until(lambda: 2 < figures(supervisor, "f")["f:S"]["oldest_s"] < 60, 20, "its oldest event gets older")
        text = efctl(supervisor, "flow", "graph")
        assert "[P]   RUNNING" in text and "[S]   STOPPED" in text and "w share -> W1, W2" in text and "──▶ [C]" in text
        assert "|" in efctl(supervisor, "flow", "graph", "--ascii") and efctl(supervisor, "flow", "graph", "--ascii", "w").isascii()
        assert '"P" -> "C" [label="f"];' in efctl(supervisor, "flow", "graph", "--dot")
        assert "-> W1, W2 share in" in efctl(supervisor, "exec", "shw rate w")


def test_figures_are_drawn_again_until_they_were_seen_enough_and_outlive_the_core(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"P": STEADY, "C": CAT}, {"f": {"from": "P", "to": "C"}}) as supervisor:
        command = [sys.executable, "-m", "efsupervisor.cli", "--var", str(supervisor.var), "flow", "status", "--watch", "--over", "0.3"]
        with Screen(command, supervisor.clean_environment | {"TERM": "xterm"}, supervisor.folder, 60) as terminal:
            assert all(len(line.removeprefix("asking")) <= 60 for line in terminal.see("IN EV/S").splitlines())
            supervisor.kill_core()
            terminal.see("not running")
            supervisor.start()
            terminal.see("IN EV/S")
            terminal.type("q")
            assert terminal.ended() == 0
        assert terminal.raw.count("\x1b[?1049h") == terminal.raw.count("\x1b[?1049l") == 1


def test_a_worker_at_rest_is_not_woken_by_whoever_looks_at_its_flows(tmp_path: Path) -> None:
    tasks = {"P": {"command": ["sh", "-c", "seq 1 100; exec sleep 100000"], "startsecs": 0}, "C": CAT, "W": ACKS}
    with Supervisor(tmp_path, tasks, {"f": {"from": "P", "to": "C"}, "w": {"from": "P", "to": "W", "mode": "share"}}) as supervisor:
        until(lambda: supervisor.output("C").count(b"\n") == 100 == supervisor.output("W").count(b"\n"), 20, supervisor.story)
        workers = {name: supervisor.row(name).worker_pid for name in tasks}

        def woken() -> list[int]:
            """Times that each worker went to sleep by itself."""
            lines = [Path(f"/proc/{pid}/status").read_text() for pid in workers.values()]
            return [int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in lines]

        def quiet() -> bool:
            before = woken()
            figures(supervisor)
            efctl(supervisor, "live", "--once")
            return woken() == before

        until(quiet, 60, lambda: f"{woken()}")
        rows = figures(supervisor)
        assert {name: (row["lag_bytes"], row["in_flight_bytes"]) for name, row in rows.items()} == {"f:C": (0, 0), "w:W": (0, 0)}


def test_a_slow_consumer_holds_its_producer_back_is_named_and_let_go_when_it_catches_up(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"P": FAST, "C": DEAF, "D": CAT}, {"f": {"from": "P", "to": ["C", "D"], "max_lag": "256KiB"}}) as supervisor:
        until(lambda: supervisor.row("P").blocked_by == ["C"], 20, supervisor.story)
        pid = supervisor.program_pid("P")
        until(lambda: state_of(pid) == "S", 10, "it waits in write")
        size = len(supervisor.output("P"))
        assert "held back by C" in efctl(supervisor, "status", "P")
        why = efctl(supervisor, "why", "P")
        assert "it is held back by its consumer C" in why and "C is RUNNING" in why
        row = figures(supervisor)["f:C"]
        assert row["held_since"] > 1e9 and row["in_bytes_s"] == 0 and row["lag_bytes"] >= 256 << 10
        assert "holds its producer back for" in efctl(supervisor, "flow", "status")
        assert len(supervisor.output("P")) == size, "nothing comes while it is held back"
        supervisor.trm("C")
        until(lambda: supervisor.row("C").state is State.STOPPED, 20, supervisor.story)
        assert "held back by C" in efctl(supervisor, "status", "P"), "a stopped consumer holds back too"
        until(lambda: "C is STOPPED" in efctl(supervisor, "why", "P"), 20, "and its state is told")
        supervisor.write({"P": FAST, "C": {**CAT}, "D": CAT}, {"f": {"from": "P", "to": ["C", "D"], "max_lag": "256KiB"}}, {})
        efctl(supervisor, "update", "-y")
        supervisor.act("C")
        until(lambda: len(supervisor.output("P")) > size + (1 << 20), 30, supervisor.story)
        until(lambda: supervisor.row("P").blocked_since == 0.0 or supervisor.row("P").blocked_by, 10, "since when is told while it is so")
        got = supervisor.output("C").split(b"\n")[:-1]
        first = int(got[0])
        assert [int(line) for line in got] == list(range(first, first + len(got)))


def test_a_consumer_that_failed_for_good_holds_back_and_is_named(tmp_path: Path) -> None:
    failing = {"command": ["sh", "-c", "exit 3"], "startretries": 0, "startsecs": 5, "input": {"protocol": "stream"}}
    with Supervisor(tmp_path, {"P": FAST, "C": failing}, {"f": {"from": "P", "to": "C", "max_lag": "64KiB"}}) as supervisor:
        supervisor.await_state("C", State.FATAL)
        until(lambda: supervisor.row("P").blocked_by == ["C"], 20, supervisor.story)
        assert "C is FATAL" in efctl(supervisor, "why", "P")


def test_a_consumer_that_drops_the_oldest_is_told_once_and_counted_and_gets_whole_lines(tmp_path: Path) -> None:
    slow = {"command": ["sh", "-c", "while read -r line; do echo $line; sleep 0.02; done"], "startsecs": 0, "input": {"protocol": "stream"}}
    steady = {"command": ["sh", "-c", "i=0; while :; do i=$((i+1)); printf '%0100d\\n' $i; done"], "startsecs": 0, "output": {"keep_bytes": "1MiB"}}
    with Supervisor(tmp_path, {"P": steady, "C": slow}, {"f": {"from": "P", "to": "C", "max_lag": "64KiB", "overflow": "drop-oldest"}}) as supervisor:
        until(lambda: supervisor.row("C").dropped_bytes > 1 << 20, 60, supervisor.story)
        assert not supervisor.row("P").blocked_by
        assert "bytes of its input dropped" in efctl(supervisor, "status", "C")
        assert figures(supervisor)["f:C"]["dropped_bytes"] > 1 << 20
        told = [event for event in events(supervisor) if event.what == "dropped"]
        assert len(told) == 1 and told[0].task == "C" and "the oldest" in told[0].sentence
        lines = supervisor.output("C").split(b"\n")[:-1]
        assert {len(line) for line in lines} == {100}, "no record is torn"
        numbers = [int(line) for line in lines]
        assert numbers == sorted(numbers)


def test_a_resting_consumer_that_drops_the_oldest_does_not_keep_the_whole_journal(tmp_path: Path) -> None:
    writer = {**FAST, "output": {"segment_bytes": "256KiB", "keep_bytes": "512KiB"}}
    flows = {"f": {"from": "P", "to": "C", "max_lag": "64KiB", "overflow": "drop-oldest", "start": "begin"}}
    with Supervisor(tmp_path, {"P": writer, "C": {**CAT, "autostart": False}}, flows) as supervisor:
        out = supervisor.var / "tasks" / short_id("P") / "out"
        reader = Reader(str(out), system=REAL)
        until(lambda: reader.end() > 8 << 20, 60, supervisor.story)
        assert reader.end() - reader.first() < 4 << 20
        reader.close()
        supervisor.act("C")
        until(lambda: len(supervisor.output("C")) > 1000, 30, supervisor.story)
        until(lambda: supervisor.row("C").dropped_bytes > 0, 30, supervisor.story)


def test_a_cycle_that_is_full_is_told_to_stand_still_and_goes_on_with_more_room(tmp_path: Path) -> None:
    doubling = {"command": ["sh", "-c", "while read -r line; do echo $line; echo $line; done"], "startsecs": 0, "input": {"protocol": "stream"}}
    first = FlowSpec(name="there", producers=["A"], consumers=["B"], max_lag=4096)
    back = FlowSpec(name="back", producers=["B"], consumers=["A"], max_lag=4096, cycle=True)
    with Supervisor(tmp_path, {"A": doubling, "B": doubling}) as supervisor:
        done(supervisor, messages.AddFlowRequest, flow=first)
        done(supervisor, messages.AddFlowRequest, flow=back)
        supervisor.await_state("A", State.RUNNING)
        done(supervisor, messages.PutRequest, task="A", put_id="1", data=b"x" * 500 + b"\n")
        until(lambda: "stands still" in supervisor.row("A").health, 60, supervisor.story)
        assert "A -> B -> A wait for each other" in efctl(supervisor, "why", "A")
        assert {event.task for event in events(supervisor) if event.what == "standstill"} == {"A", "B"}
        size = len(supervisor.output("A"))
        done(supervisor, messages.AddFlowRequest, flow=FlowSpec(name="there", producers=["A"], consumers=["B"], max_lag=1 << 20), replace=True)
        until(lambda: len(supervisor.output("A")) > size + 4096, 30, supervisor.story)
        text = efctl(supervisor, "flow", "graph")
        assert "back -> A" in text and "there -> B" in text


def test_the_live_view_shows_what_passes_in_every_direction_and_tasks_notice_nothing(tmp_path: Path) -> None:
    talks = {**ACKS, "command": ["sh", "-c", "while read -r line; do echo did $line; echo oops >&2; echo >&2; done"]}
    with Supervisor(tmp_path, {"P": STEADY, "C": talks}, {"f": {"from": "P", "to": "C"}}) as supervisor:
        supervisor.await_state("C", State.RUNNING)
        until(lambda: len(supervisor.output("C")) > 100, 20, supervisor.story)
        argv = [sys.executable, "-m", "efsupervisor.cli", "--var", str(supervisor.var), "live", "--json"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as watching:
            assert watching.stdout is not None
            rows = [json.loads(watching.stdout.readline()) for _ in range(300)]  # a look tells stream by stream
            watching.send_signal(signal.SIGINT)
        seen = {(row["task"], row["direction"]) for row in rows}
        assert seen == {("P", "out"), ("C", "in"), ("C", "out"), ("C", "err")}
        given = [int(row["data_text"]) for row in rows if row["direction"] == "in"]
        assert given == list(range(given[0], given[0] + len(given))) and all(row["missed"] == 0 for row in rows)
        text = efctl(supervisor, "live", "--once", "-d", "in", "C")
        assert "stdin -> task   C  " in text and "stdout" not in text
        assert efctl(supervisor, "live", "--once", "nobody", status=3) == ""


@pytest.mark.parametrize("limit", [5])
def test_what_the_live_view_cannot_show_is_counted(tmp_path: Path, limit: int) -> None:
    with Supervisor(tmp_path, {"P": FAST}) as supervisor:
        supervisor.await_state("P", State.RUNNING)
        argv = [sys.executable, "-m", "efsupervisor.cli", "--var", str(supervisor.var), "live", "--json", "-n", str(limit)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as watching:
            assert watching.stdout is not None
            rows = [json.loads(watching.stdout.readline()) for _ in range(6 * limit)]
            watching.send_signal(signal.SIGINT)
    numbers = [int(row["data_text"]) for row in rows]
    assert any(row["missed"] for row in rows)
    for row, number, before in zip(rows[1:], numbers[1:], numbers, strict=False):
        assert number == before + 1 + row["missed"], "each gap is as long as it is said to be"

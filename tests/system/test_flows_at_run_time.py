"""Flows that are added and deleted while events flow: nothing is lost, doubled or mixed up, and untouched programs do not notice."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor import messages
from efsupervisor.conf.check_flows import WHY_NOT
from efsupervisor.conf.schema import FlowSpec, InputSpec
from efsupervisor.errors import Code
from efsupervisor.states import Mode, Protocol, State
from tests.support.asking import add, ask, done, flow, refused
from tests.support.supervisor import Supervisor
from tests.support.wait import until

COUNTER: dict[str, Any] = {"command": ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; done"], "startsecs": 0, "output": {"keep_bytes": "10MiB"}}
SLOW: dict[str, Any] = {**COUNTER, "command": ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.002; done"]}
EATER: dict[str, Any] = {"command": "cat", "startsecs": 0, "input": {"protocol": "stream"}}
ACKS: dict[str, Any] = {
    "command": ["sh", "-c", "while read -r line; do echo $line; echo >&2; done"],
    "startsecs": 0,
    "input": {"protocol": "event", "window": 4},
}


def numbers(supervisor: Supervisor, task: str) -> list[int]:
    """Whole lines of a task's output."""
    return [int(line) for line in supervisor.output(task).split(b"\n")[:-1]]


def grows(supervisor: Supervisor, task: str, by: int = 50) -> None:
    """Wait until more has come."""
    before = len(numbers(supervisor, task))
    until(lambda: len(numbers(supervisor, task)) >= before + by, 30, supervisor.story)


@pytest.mark.parametrize("eater", [EATER, ACKS], ids=["stream", "event"])
def test_a_flow_that_is_added_taken_away_and_added_again_gives_whole_stretches_in_order(tmp_path: Path, eater: dict[str, Any]) -> None:
    with Supervisor(tmp_path, {"P": SLOW, "C": eater}) as supervisor:
        for name in ("P", "C"):
            supervisor.await_state(name, State.RUNNING)
        pids = {name: supervisor.program_pid(name) for name in ("P", "C")}
        for _ in range(3):
            assert "restarted" not in done(supervisor, messages.AddFlowRequest, flow=flow("f", "P", "C"))
            grows(supervisor, "C")
            done(supervisor, messages.DelFlowRequest, names=["f"])
            until(lambda: supervisor.row("C").outstanding == 0, 10, "what is out is acknowledged")
            count = len(numbers(supervisor, "P"))
            until(lambda count=count: len(numbers(supervisor, "P")) > count + 20, 10, "something passes by meanwhile")  # type: ignore[misc]
        got = numbers(supervisor, "C")
        gaps = [(a, b) for a, b in itertools.pairwise(got) if b != a + 1]
        assert len(gaps) == 2, gaps
        assert all(b > a for a, b in gaps)
        assert {name: supervisor.program_pid(name) for name in pids} == pids


def test_a_flow_from_the_beginning_brings_everything_that_the_journal_has(tmp_path: Path) -> None:
    job = {"command": ["seq", "1", "20000"], "kind": "job"}
    with Supervisor(tmp_path, {"P": job, "C": EATER}) as supervisor:
        supervisor.await_state("P", State.EXITED)
        supervisor.await_state("C", State.RUNNING)
        done(supervisor, messages.AddFlowRequest, flow=flow("f", "P", "C", start="begin"))
        until(lambda: numbers(supervisor, "C") == list(range(1, 20_001)), 20, supervisor.story)


def test_a_second_consumer_does_not_disturb_the_first(tmp_path: Path) -> None:
    first = {"f": {"from": "P", "to": "C", "start": "begin", "max_lag": "64KiB"}}
    with Supervisor(tmp_path, {"P": COUNTER, "C": ACKS, "D": EATER}, first) as supervisor:
        grows(supervisor, "C", 500)
        for number in range(4):
            done(supervisor, messages.AddFlowRequest, flow=flow(f"g{number}", "P", "D", max_lag=1 << 16))
            grows(supervisor, "D", 500)
            done(supervisor, messages.DelFlowRequest, names=[f"g{number}"])
        got = numbers(supervisor, "C")
        assert got == list(range(1, len(got) + 1))


def test_a_share_group_that_grows_and_shrinks_gives_each_event_to_one(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"P": SLOW, "C": ACKS, "D": ACKS}) as supervisor:
        shared = FlowSpec(name="s", producers=["P"], consumers=["C"], mode=Mode.SHARE)
        done(supervisor, messages.AddFlowRequest, flow=shared)
        grows(supervisor, "C")
        done(supervisor, messages.AddFlowRequest, flow=FlowSpec(name="s", producers=["P"], consumers=["C", "D"], mode=Mode.SHARE), replace=True)
        grows(supervisor, "D")
        grows(supervisor, "C", 10)
        done(supervisor, messages.AddFlowRequest, flow=FlowSpec(name="s", producers=["P"], consumers=["D"], mode=Mode.SHARE), replace=True)
        until(lambda: supervisor.row("C").outstanding == 0, 10, "what is out is acknowledged")
        grows(supervisor, "D", 200)
        supervisor.trm("P")

        def whole() -> bool:
            got = sorted(numbers(supervisor, "C") + numbers(supervisor, "D"))
            return got == list(range(got[0], got[0] + len(got))) and got[-1] == numbers(supervisor, "P")[-1]

        until(whole, 20, lambda: f"{_gaps(supervisor)}\n{supervisor.story()}")


@pytest.mark.parametrize("eater", [EATER, ACKS], ids=["stream", "event"])
def test_a_flow_that_goes_on_at_an_offset_goes_on_at_the_very_event(tmp_path: Path, eater: dict[str, Any]) -> None:
    with Supervisor(tmp_path, {"P": SLOW, "C": eater, "D": EATER}) as supervisor:
        done(supervisor, messages.AddFlowRequest, flow=flow("f", "P", "C", start="begin"))
        grows(supervisor, "C")
        done(supervisor, messages.DelFlowRequest, names=["f"])
        until(lambda: supervisor.row("C").outstanding == 0, 10, "what is out is acknowledged")
        settled: list[int] = []
        until(lambda: settled[-1:] == [len(supervisor.output("C"))] or settled.append(len(supervisor.output("C"))), 10, "it has written all it read")
        grows(supervisor, "P", 20)
        offset = len(supervisor.output("C"))  # it writes what it reads
        done(supervisor, messages.AddFlowRequest, flow=flow("f", "P", "C", start=str(offset)))
        done(supervisor, messages.AddFlowRequest, flow=flow("g", "P", "D", start=str(offset + 1)))
        grows(supervisor, "C")
        grows(supervisor, "D")
        got = numbers(supervisor, "C")
        assert got == list(range(1, len(got) + 1))
        assert numbers(supervisor, "D")[0] == supervisor.output("P")[:offset].count(b"\n") + 1, "inside an event its beginning counts"


def test_producers_that_come_and_go_mix_no_records_and_keep_their_order(tmp_path: Path) -> None:
    def counting(letter: str) -> dict[str, Any]:
        count = f"i=0; while :; do i=$((i+1)); printf '{letter} %0{{}}d\\n' $i; sleep 0.001; done"
        return {**SLOW, "command": ["sh", "-c", count.format(5000 if letter == "B" else 5)]}

    with Supervisor(tmp_path, {"A": counting("A"), "B": counting("B"), "C": EATER}) as supervisor:
        wanted = FlowSpec(name="f", producers=["A"], consumers=["C"], start="begin")
        done(supervisor, messages.AddFlowRequest, flow=wanted)
        for number in range(6):
            producers = ["A", "B"] if number % 2 == 0 else ["A"]
            done(supervisor, messages.AddFlowRequest, flow=msgspec.structs.replace(wanted, producers=producers), replace=True)
            before = supervisor.output("C").count(b"\n")
            until(lambda before=before: supervisor.output("C").count(b"\n") > before + 100, 20, supervisor.story)  # type: ignore[misc]
        lines = supervisor.output("C").split(b"\n")[:-1]
        assert {(line[:1], len(line)) for line in lines} == {(b"A", 7), (b"B", 5002)}, "no record is torn or mixed with another"
        of_a = [int(line[2:]) for line in lines if line.startswith(b"A")]
        assert of_a == list(range(1, len(of_a) + 1)), "an edge that stays loses nothing and doubles nothing"
        of_b = [int(line[-9:]) for line in lines if line.startswith(b"B")]
        restarts = [place for place in range(1, len(of_b)) if of_b[place] != of_b[place - 1] + 1]
        assert all(of_b[place] == 1 for place in restarts) and len(restarts) <= 2, "one that comes again begins anew"


def _gaps(supervisor: Supervisor) -> list[tuple[int, int]]:
    got = sorted(numbers(supervisor, "C") + numbers(supervisor, "D"))
    return [(a, b) for a, b in itertools.pairwise(got) if b != a + 1]


def test_a_task_without_input_is_restarted_for_its_first_flow_and_that_is_said(tmp_path: Path) -> None:
    plain = {"command": ["sh", "-c", "cat; sleep 100000"], "startsecs": 0}
    with Supervisor(tmp_path, {"P": SLOW, "C": plain}) as supervisor:
        supervisor.await_state("C", State.RUNNING)
        pid = supervisor.program_pid("C")
        assert "C restarted" in done(supervisor, messages.AddFlowRequest, flow=flow("f", "P", "C"))
        until(lambda: len(numbers(supervisor, "C")) > 20, 20, supervisor.story)
        assert supervisor.program_pid("C") != pid


def test_a_flow_that_closes_a_cycle_is_refused_with_the_files_sentence(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": EATER, "B": EATER}, {"f": {"from": "A", "to": "B"}}) as supervisor:
        failed = refused(supervisor, messages.AddFlowRequest, flow=flow("g", "B", "A"))
        assert failed.code is Code.CONFIG
        assert failed.sentence == f"flows.g.to: closes a cycle: A -> B -> A; {WHY_NOT}"


def test_a_task_that_is_part_of_a_flow_is_not_deleted_before_the_flow(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"P": SLOW}) as supervisor:
        add(supervisor, "C", ["cat"], input=InputSpec(protocol=Protocol.STREAM))
        done(supervisor, messages.AddFlowRequest, flow=flow("f", "P", "C"))
        (outcome,) = ask(supervisor, messages.DelTaskRequest, messages.DoneReply, names=["C"]).outcomes
        assert outcome.code is Code.REFUSED and "flow f" in outcome.sentence
        done(supervisor, messages.DelFlowRequest, names=["f"])
        done(supervisor, messages.DelTaskRequest, names=["C"])


def test_rows_of_flows_show_who_is_behind_and_who_is_held_back(tmp_path: Path) -> None:
    tasks = {"P": COUNTER, "C": {**EATER, "autostart": False}, "D": EATER}
    flows = {"slow": {"from": "P", "to": "C", "max_lag": "64KiB", "start": "begin"}, "fast": {"from": "P", "to": "D"}}
    with Supervisor(tmp_path, tasks, flows) as supervisor:

        def rows() -> dict[str, messages.FlowRow]:
            return {row.flow: row for row in ask(supervisor, messages.FlowsRequest, messages.FlowsReply).rows}

        until(lambda: rows()["slow"].held_back and rows()["slow"].lag_bytes >= 64 << 10, 20, lambda: str(rows()))
        assert not rows()["fast"].held_back
        assert [row.flow for row in ask(supervisor, messages.FlowsRequest, messages.FlowsReply, names=["f*"]).rows] == ["fast"]
        assert refused(supervisor, messages.FlowsRequest, names=["none"]).code is Code.NO_SUCH_TASK


def test_what_waits_in_a_queue_is_skipped_when_its_task_rests(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"Q": {**EATER, "autostart": False}}) as supervisor:
        for number in range(3):
            done(supervisor, messages.PutRequest, task="Q", put_id=f"a{number}", data=b"old\n")
        assert "12 bytes" in done(supervisor, messages.ClearRequest, names=["Q"])
        done(supervisor, messages.PutRequest, task="Q", put_id="b", data=b"new\n")
        supervisor.act("Q")
        until(lambda: supervisor.output("Q") == b"new\n", 10, supervisor.story)
        (outcome,) = ask(supervisor, messages.ClearRequest, messages.DoneReply, names=["Q"]).outcomes
        assert outcome.code is Code.BAD_STATE

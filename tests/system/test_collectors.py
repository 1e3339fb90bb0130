"""Collectors against web servers that are slow, dead, answer 500 or half an answer, while the collectors themselves are killed."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.receiver import Receiver, moody
from tests.support.supervisor import Supervisor
from tests.support.wait import until

COUNTER = {"command": ["sh", "-c", 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo "line $i"; [ $((i % 40)) = 0 ] && sleep 0.1; done; sleep 600']}
COMPLAINER = {
    "command": ["sh", "-c", 'while read -r line; do echo "cannot do $line" >&2; echo >&2; done'],
    "input": {"protocol": "event"},
}


def supervisor(folder: Path, tasks: dict[str, Any], **settings: Any) -> Supervisor:
    return Supervisor(folder, tasks, supervisor={"services": True, "web": {"enabled": False}, **settings})


def posting(receiver: Receiver, **urls: str) -> dict[str, Any]:
    return {
        "result": {name: receiver.url(path) for name, path in urls.items()},
        "post": {"allow_private": ["127.0.0.1"], "timeout_s": 0.4, "retry_max_s": 0.5, "batch": 50},
    }


def texts(receiver: Receiver, task: str) -> list[str]:
    return [record["text"] for record in receiver.records("result") if record["task"] == task]


def test_results_are_read_where_nobody_posts_them(tmp_path: Path) -> None:
    with supervisor(tmp_path, {"C": {"command": ["sh", "-c", "echo one; echo two; sleep 600"]}}) as made:
        made.await_service("result")
        done = until(lambda: (run := made.efctl("result", "C")).returncode == 0 and b"two" in run.stdout and run, 15, made.story)
        assert b"one" in done.stdout


def test_what_the_machine_and_a_task_use_is_told(tmp_path: Path) -> None:
    burner = {"B": {"command": ["sh", "-c", "while :; do :; done"]}}
    with supervisor(tmp_path, burner, resource={"interval_s": 0.5}) as made:
        made.await_service("resource")

        def burning() -> bool:
            run = made.efctl("resource", "B", "--json")
            if run.returncode:
                return False
            rows = json.loads(run.stdout)["rows"]
            return bool(rows) and rows[0]["samples"][-1]["cpu"] > 5 and rows[0]["samples"][-1]["rss"] > 100_000

        until(burning, 20, lambda: f"{made.efctl('resource', 'B')}\n{made.story()}")


@pytest.mark.parametrize("seed", [1, 2])
def test_no_result_is_lost_or_doubled_whatever_the_server_does_and_whoever_is_killed(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    weights = {"good": 6.0, "500": 2.0, "slow": 0.7, "cut": 1.0, "deaf": 1.0}
    with Receiver(moody(seed, weights)) as receiver:
        tasks = {"C": {**COUNTER, "autostart": False}}
        with supervisor(tmp_path, tasks, **posting(receiver, url="result")) as made:
            made.await_service("result")
            assert made.efctl("act", "C").returncode == 0
            program = made.program_pid("C")
            end = time.monotonic() + 8
            while time.monotonic() < end:
                time.sleep(dice.uniform(0.05, 0.6))
                name = dice.choice(["result", "result", "middle", "host"])
                row = made.services().get(name)
                if row is not None and row.pid:
                    processes.send(row.pid, signal.SIGKILL)
                if dice.random() < 0.15:
                    receiver.stop()
                    time.sleep(0.3)
                    receiver.start()
            receiver.mood = lambda: "good"
            wanted = [f"line {number}" for number in range(1, 2001)]
            until(lambda: len(texts(receiver, "C")) >= len(wanted), 60, lambda: f"{len(texts(receiver, 'C'))} lines arrived\n{made.story()}")
            assert texts(receiver, "C") == wanted
            assert receiver.contradictions == []
            assert made.program_pid("C") == program
    assert receiver.tries > len(receiver.batches), "no post was ever tried again: this run proves nothing"


def test_an_alert_reaches_the_server_within_a_second(tmp_path: Path) -> None:
    with Receiver() as receiver, supervisor(tmp_path, {"E": COMPLAINER}, **posting(receiver, alert_url="alert")) as made:
        made.await_service("result")
        time.sleep(1)
        took: list[float] = []
        for number in range(5):
            began = time.time()
            assert made.efctl("put", "E", f"event {number}").returncode == 0
            until(lambda: any(f"event {number}" in str(record) for record in receiver.records("alerts")), 10, made.story)  # noqa: B023
            took.append(max(receiver.arrived.values()) - began)
        record = receiver.records("alerts")[-1]
        assert record["task"] == "E"
        assert record["what"] == "message"
        assert record["lines"][-1] == "cannot do event 4"
        assert record["event"] == {"text": "event 4\n"}
        assert sorted(took)[2] < 1.0, took


def test_no_alert_is_lost_or_doubled_while_collector_core_and_server_die(tmp_path: Path) -> None:
    dice = random.Random(3)
    with Receiver(moody(3, {"good": 5, "500": 2, "cut": 1})) as receiver, supervisor(
        tmp_path, {"E": COMPLAINER}, **posting(receiver, alert_url="alert")
    ) as made:
        made.await_service("result")
        until(lambda: (tmp_path / "var" / "collector" / "alerts.json").exists(), 10, made.story)
        time.sleep(1)
        for number in range(40):
            run = made.efctl("put", "E", f"event {number}")
            assert run.returncode == 0, run
            if number % 8 == 3:
                row = made.services().get(dice.choice(["result", "middle"]))
                if row is not None and row.pid:
                    processes.send(row.pid, signal.SIGKILL)
            if number == 20:
                made.kill_core()
                made.start()
        receiver.mood = lambda: "good"

        def told() -> list[str]:
            said = [record["lines"][-1] for record in receiver.records("alerts") if record["what"] == "message"]
            return [line.rpartition(" ")[2] for line in said]

        until(lambda: told()[-1:] == ["39"], 40, lambda: f"{told()}\n{made.story()}")
        seqs = [record["seq"] for record in receiver.records("alerts")]
        assert seqs == sorted(set(seqs))
        assert receiver.contradictions == []


def test_looks_wait_on_disk_for_a_server_that_is_away_and_arrive_once(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.start()
    receiver.stop()
    settings = posting(receiver)
    settings["resource"] = {"interval_s": 0.2, "url": receiver.url("resource")}
    settings["result"] = {"enabled": False}
    with supervisor(tmp_path, {}, **settings) as made:
        made.await_service("resource")
        for _ in range(3):
            time.sleep(0.7)
            processes.send(made.services()["resource"].pid, signal.SIGKILL)
            made.await_service("resource")
        until(lambda: "posts of stream resource fail" in made.story(), 15, made.story)
        receiver.start()
        until(lambda: len(receiver.records("resource")) >= 8, 20, made.story)
        walls = [record["sample"]["time"] for record in receiver.records("resource")]
        assert walls == sorted(set(walls))
        receiver.stop()

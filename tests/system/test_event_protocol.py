"""The event protocol with real programs: what hangs, what dies of an event, who is to blame, what an alert tells."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from efsupervisor.states import State
from tests.support.supervisor import Supervisor
from tests.support.wait import until

QUICK: dict[str, Any] = {"startsecs": 0, "backoff_s": 0.001, "startretries": 1000, "restart_burst": 1000, "stopwaitsecs": 0.2}
SCRIPT = """
while IFS= read -r line; do
    echo "$line" >> "$1"
    case "$line" in
        hang*) echo "about to hang" >&2; while :; do sleep 1; done;;
        die*) echo "about to die" >&2; exit 3;;
        talk*) printf 'a message of \\377 bytes\\n' >&2;;
    esac
    echo >&2
done
"""


def tasks(folder: Path, events: list[str], **spec: Any) -> dict[str, Any]:
    (folder / "events").write_text("".join(f"{event}\n" for event in events))
    return {
        "P": {"command": ["cat", str(folder / "events")], "kind": "job"},
        "C": {"command": ["sh", "-c", SCRIPT, "sh", str(folder / "seen")], "input": {"protocol": "event", **spec}, **QUICK},
    }


FLOW = {"f": {"from": "P", "to": "C", "start": "begin"}}


def seen(folder: Path) -> list[str]:
    path = folder / "seen"
    return path.read_text().splitlines() if path.exists() else []


def letters(supervisor: Supervisor) -> list[dict[str, Any]]:
    return [json.loads(line) for line in supervisor.output("C", "dead").splitlines()]


def test_a_program_that_hangs_on_an_event_is_ended_and_the_event_is_given_again_and_then_set_aside(tmp_path: Path) -> None:
    events = ["one", "hang", "two"]
    with Supervisor(tmp_path, tasks(tmp_path, events, ack_timeout_s=0.4, max_deliveries=2), FLOW) as supervisor:
        until(lambda: seen(tmp_path)[-1:] == ["two"], 30, supervisor.story)
        assert seen(tmp_path) == ["one", "hang", "hang", "two"]
        (letter,) = letters(supervisor)
        assert (letter["offset"], letter["deliveries"]) == (4, 2)
        assert letter["reason"].startswith("not acknowledged within 0.4 s")
        assert letter["died"].startswith("killed by SIG")
        assert letter["lines"][-1] == "about to hang"
        told = supervisor.efctl("events", "--what", "unwell").stdout
        assert b"deemed hung" in told, told


def test_a_dead_letter_tells_how_the_program_died_and_what_it_said_last(tmp_path: Path) -> None:
    with Supervisor(tmp_path, tasks(tmp_path, ["die", "two"], max_deliveries=3), FLOW) as supervisor:
        until(lambda: seen(tmp_path)[-1:] == ["two"], 30, supervisor.story)
        assert seen(tmp_path) == ["die"] * 3 + ["two"]
        (letter,) = letters(supervisor)
        assert (letter["deliveries"], letter["died"], letter["lines"][-1]) == (3, "exit status 3", "about to die")


def test_a_poison_event_is_dropped_where_that_is_wanted(tmp_path: Path) -> None:
    with Supervisor(tmp_path, tasks(tmp_path, ["die", "two"], max_deliveries=2, on_poison="drop"), FLOW) as supervisor:
        until(lambda: seen(tmp_path)[-1:] == ["two"], 30, supervisor.story)
        assert seen(tmp_path) == ["die", "die", "two"]
        assert letters(supervisor) == []
        assert b"is dropped" in supervisor.efctl("events").stdout


def test_a_poison_event_stops_the_task_where_that_is_wanted_and_is_given_again_after_a_start(tmp_path: Path) -> None:
    with Supervisor(tmp_path, tasks(tmp_path, ["die", "two"], max_deliveries=2, on_poison="stop"), FLOW) as supervisor:
        row = supervisor.await_state("C", State.FATAL)
        assert "was delivered 2 times" in row.reason
        assert seen(tmp_path) == ["die", "die"]
        supervisor.act("C", wait=False)
        until(lambda: len(seen(tmp_path)) == 4, 20, supervisor.story)
        assert seen(tmp_path) == ["die"] * 4
        supervisor.await_state("C", State.FATAL)
        assert letters(supervisor) == []


def test_an_operator_who_restarts_a_task_blames_no_event(tmp_path: Path) -> None:
    with Supervisor(tmp_path, tasks(tmp_path, ["hang", "two"], max_deliveries=1), FLOW) as supervisor:
        for times in (1, 2, 3):
            until(lambda times=times: len(seen(tmp_path)) == times, 20, supervisor.story)  # type: ignore[misc]
            assert supervisor.efctl("restart", "C").returncode == 0
        until(lambda: len(seen(tmp_path)) == 4, 20, supervisor.story)
        assert seen(tmp_path) == ["hang"] * 4
        assert letters(supervisor) == []


def test_a_message_is_an_alert_with_the_event_in_progress_and_the_last_lines(tmp_path: Path) -> None:
    with Supervisor(tmp_path, tasks(tmp_path, ["one", "talk \u00e4", "two"]), FLOW) as supervisor:
        until(lambda: seen(tmp_path)[-1:] == ["two"], 30, supervisor.story)

        def told() -> list[dict[str, Any]]:
            done = supervisor.efctl("events", "--what", "message", "--json")
            return json.loads(done.stdout)["rows"] if done.returncode == 0 else []

        rows = until(told, 20, supervisor.story)
        assert len(rows) == 1, rows
        (row,) = rows
        assert row["task"] == "C"
        assert row["lines"] == ["a message of \\xff bytes"]
        assert base64.b64decode(row["event"]).decode() == "talk ä\n"
        assert supervisor.output("C", "err") == b"a message of \xff bytes\n"

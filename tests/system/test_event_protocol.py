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


def test_dead_letters_are_listed_shown_put_back_once_and_dropped(tmp_path: Path) -> None:
    script = SCRIPT.replace("exit 3", 'if [ ! -e "$1.mended" ]; then exit 3; fi')
    made = tasks(tmp_path, ["die one", "die two", "die three", "good"], max_deliveries=1)
    made["C"]["command"][2] = script
    with Supervisor(tmp_path, made, FLOW) as supervisor:
        until(lambda: seen(tmp_path)[-1:] == ["good"], 30, supervisor.story)
        until(lambda: supervisor.row("C").dead_letters == 3, 10, supervisor.story)

        def listed() -> list[dict[str, Any]]:
            done = supervisor.efctl("dlq", "ls", "--json")
            assert done.returncode == 0, done
            found = json.loads(done.stdout)
            rows: list[dict[str, Any]] = found["rows"] if isinstance(found, dict) else found
            return rows

        rows = listed()
        assert [base64.b64decode(row["event"]) for row in rows] == [b"die one\n", b"die two\n", b"die three\n"]
        assert rows[0]["died"] == "exit status 3"
        text = supervisor.efctl("dlq", "ls").stdout
        assert b"die two" in text and b"exit status 3" in text, text
        shown = supervisor.efctl("dlq", "show", "C", str(rows[1]["letter"])).stdout
        assert b"about to die" in shown and b"die two" in shown, shown
        (tmp_path / "seen.mended").touch()
        number = str(rows[0]["letter"])
        assert supervisor.efctl("dlq", "retry", "C", number).returncode == 0
        assert supervisor.efctl("dlq", "retry", "C", number).returncode == 0, "again is as good as once"
        until(lambda: seen(tmp_path)[-1:] == ["die one"], 20, supervisor.story)
        assert supervisor.efctl("dlq", "drop", "C", str(rows[1]["letter"])).returncode == 0
        refused = supervisor.efctl("dlq", "retry", "C", str(rows[1]["letter"]))
        assert (refused.returncode, b"was dropped already" in refused.stdout + refused.stderr) == (4, True), refused
        unknown = supervisor.efctl("dlq", "retry", "C", "5")
        assert (unknown.returncode, b"there is no dead letter 5" in unknown.stderr) == (3, True), unknown
        console = supervisor.efctl("exec", "set dlq C all")
        assert b"OK : " in console.stdout and b"put back" in console.stdout, console
        until(lambda: seen(tmp_path)[-1:] == ["die three"], 20, supervisor.story)
        assert listed() == []
        assert seen(tmp_path).count("die one") == 2
        assert b"none" in supervisor.efctl("exec", "shw dlq").stdout

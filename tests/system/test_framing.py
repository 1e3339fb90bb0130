"""Binary and multi-line events between real programs, in every framing, while programs, workers and the Core are killed."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import framed
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until

QUICK: dict[str, Any] = {"startsecs": 0, "backoff_s": 0.001, "startretries": 1000, "restart_burst": 1000}
COUNT = 400


def noted(path: Path) -> list[bytes]:
    return [bytes.fromhex(line) for line in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize(
    ("start", "to", "window"), [("netstring", "netstring", 4), ("nul", "netstring", 8), ("lines", "nul", 1)], ids=lambda value: str(value)
)
def test_framed_events_survive_kills_without_loss_or_change(tmp_path: Path, start: str, to: str, window: int) -> None:
    notes = tmp_path / "notes"
    tasks = {
        "P": {
            "command": program("framed", "write", start, COUNT, 0.004, tmp_path / "state"),
            "output": {"framing": start, "segment_bytes": 2048},
            **QUICK,
        },
        "C": {
            "command": program("framed", "read", to, notes),
            "input": {"protocol": "event", "framing": to, "window": window, "max_deliveries": 0},
            **QUICK,
        },
    }
    dice = random.Random(COUNT + window)
    of = framed.event if start == "netstring" else framed.plain
    wanted = [of(number) for number in range(COUNT)]
    with Supervisor(tmp_path, tasks, {"f": {"from": "P", "to": "C", "start": "begin"}}) as supervisor:
        for _ in range(12):
            time.sleep(dice.uniform(0.02, 0.15))
            match dice.randrange(4):
                case 0:
                    supervisor.kill_program("C")
                case 1:
                    supervisor.kill_worker("C")
                case 2:
                    supervisor.kill_worker("P")
                case _:
                    supervisor.kill_program("P")
        until(lambda: wanted[-1] in noted(notes), 60, lambda: f"{len(noted(notes))} {supervisor.status()}")
        got = noted(notes)
        assert set(got) == set(wanted), "nothing lost, nothing that was never written"
        firsts = list(dict.fromkeys(got))
        assert firsts == sorted(wanted, key=lambda each: each[:6])
        assert supervisor.row("C").dead_letters == 0
        listed = supervisor.efctl("tail", "P", "-n", "3", "--json")
        assert listed.returncode == 0, listed
        assert [row["text"][:6] for row in json.loads(listed.stdout)] == [each[:6].decode() for each in wanted[-3:]]


def test_multi_line_events_are_put_tried_and_shown(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    tasks = {"C": {"command": program("framed", "read", "netstring", notes), "input": {"protocol": "event", "framing": "netstring"}, **QUICK}}
    with Supervisor(tmp_path, tasks) as supervisor:
        done = supervisor.efctl("put", "C", "two\nlines")
        assert done.returncode == 0, done
        supervisor.trm("C")
        assert supervisor.efctl("put", "C", "at rest\n\nthree").returncode == 0
        supervisor.act("C")
        until(lambda: len(noted(notes)) == 2, 20, supervisor.story)
        assert noted(notes) == [b"two\nlines", b"at rest\n\nthree"]
        assert supervisor.output("C", "input") == b"9:two\nlines,14:at rest\n\nthree,"


def test_a_program_that_writes_no_netstrings_is_told_of_and_flows_again_when_it_is_mended(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    script = 'if [ -e "$1" ]; then printf "5:right,"; else touch "$1"; printf "4:good,not a netstring\\n"; fi; exec sleep 1000'
    tasks = {
        "P": {"command": ["sh", "-c", script, "sh", str(tmp_path / "once")], "output": {"framing": "netstring"}, **QUICK},
        "C": {"command": program("framed", "read", "netstring", notes), "input": {"protocol": "event", "framing": "netstring"}, **QUICK},
    }
    with Supervisor(tmp_path, tasks, {"f": {"from": "P", "to": "C", "start": "begin"}}) as supervisor:
        until(lambda: noted(notes) == [b"good"], 20, supervisor.story)
        until(lambda: b"is no netstring" in supervisor.efctl("events").stdout, 20, supervisor.story)
        assert supervisor.efctl("restart", "P").returncode == 0
        until(lambda: noted(notes) == [b"good", b"right"], 20, supervisor.story)


HUGE = 100 << 20


def test_an_event_of_100_mib_passes_a_stream_unchanged_and_is_a_dead_letter_of_an_event_consumer(tmp_path: Path) -> None:
    """Longer than max_lag: what is not ended yet holds nobody back."""
    script = f'printf "before\\n"; head -c {HUGE} /dev/zero | tr "\\0" x; sleep 0.5; printf "\\nafter\\n"; exec sleep 1000'
    tasks = {
        "P": {"command": ["sh", "-c", script], **QUICK},
        "S": {"command": ["sh", "-c", 'exec cat > "$1"', "sh", str(tmp_path / "copy")], "input": {"protocol": "stream"}, **QUICK},
        "E": {"command": program("framed", "read", "lines", tmp_path / "notes"), "input": {"protocol": "event"}, **QUICK},
    }
    with Supervisor(tmp_path, tasks, {"f": {"from": "P", "to": ["S", "E"], "start": "begin", "max_lag": "16MiB"}}) as supervisor:
        copy = tmp_path / "copy"
        until(lambda: copy.exists() and copy.stat().st_size == HUGE + 14, 120, lambda: f"{copy.stat()} {supervisor.status()}")
        with copy.open("rb") as file:
            assert file.read(10) == b"before\nxxx"
            file.seek(-10, 2)
            assert file.read() == b"xxx\nafter\n"
        until(lambda: noted(tmp_path / "notes") == [b"before", b"after"], 60, lambda: str(supervisor.status()))
        until(lambda: supervisor.row("E").dead_letters == 1, 20, lambda: str(supervisor.row("E")))
        (letter,) = map(json.loads, supervisor.output("E", "dead").splitlines())
        assert (letter["offset"], letter["length"]) == (7, HUGE + 1)
        assert len(letter["event"]) < 2 << 20
        peaks = {name: _peak_kib(process.pid) for name, process in supervisor.workers().items()}
        assert max(peaks.values()) < 200 << 10, peaks
        assert b"became a dead letter" in supervisor.efctl("events").stdout


def _peak_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmHWM")))

"""Flows between real programs: jobs that run to completion, programs that die in the middle of a line, lines of any size and any bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.errors import JournalError
from efsupervisor.journal import Reader
from efsupervisor.states import State
from efsupervisor.system import REAL
from tests.support import processes
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until

JOB: dict[str, Any] = {"kind": "job"}
QUICK: dict[str, Any] = {"startsecs": 0, "backoff_s": 0.001}


def test_yes_into_head_ends_both_jobs(tmp_path: Path) -> None:
    tasks = {"Y": {"command": "yes", **JOB}, "H": {"command": "head -n 1", **JOB}}
    with Supervisor(tmp_path, tasks, {"lines": {"from": "Y", "to": "H", "start": "begin"}}) as supervisor:
        head = supervisor.await_state("H", State.EXITED)
        assert (supervisor.output("H"), head.exit_status, head.finished) == (b"y\n", 0, True)
        yes = supervisor.await_state("Y", State.EXITED, State.STOPPED)
        assert yes.exit_known and yes.exit_status == signal.SIGPIPE, yes
        assert supervisor.program_now("Y") == 0


def words(path: Path, count: int) -> Path:
    """A file of words, many of them more than once."""
    dice = random.Random(5)
    path.write_text("".join(f"{dice.choice('abcdefghij')}{dice.randint(0, 40)} {dice.randint(0, 3)}\n" for _ in range(count)))
    return path


def test_cat_sort_uniq_as_a_flow_equals_the_shells_pipe(tmp_path: Path) -> None:
    source = words(tmp_path / "words", 40_000)
    plain = {"environment": {"LC_ALL": "C"}, **JOB}
    tasks = {"C": {"command": ["cat", str(source)], **plain}, "S": {"command": "sort", **plain}, "U": {"command": "uniq -c", **plain}}
    flows = {"one": {"from": "C", "to": "S", "start": "begin"}, "two": {"from": "S", "to": "U", "start": "begin"}}
    shell = subprocess.run(
        ["sh", "-c", 'cat "$1" | sort | uniq -c', "sh", str(source)], capture_output=True, check=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}
    )
    with Supervisor(tmp_path, tasks, flows) as supervisor:
        rows = {name: supervisor.await_state(name, State.EXITED) for name in tasks}
        assert supervisor.output("U") == shell.stdout
        assert {name: (row.exit_status, row.finished) for name, row in rows.items()} == dict.fromkeys(tasks, (0, True))


def test_the_exit_status_of_every_part_of_a_flow_is_shown(tmp_path: Path) -> None:
    source = words(tmp_path / "words", 100)
    tasks = {
        "C": {"command": ["cat", str(source)], **JOB},
        "G": {"command": ["grep", "no such word"], **JOB},
        "W": {"command": "wc -l", **JOB},
    }
    flows = {"one": {"from": "C", "to": "G", "start": "begin"}, "two": {"from": "G", "to": "W", "start": "begin"}}
    with Supervisor(tmp_path, tasks, flows) as supervisor:
        rows = {name: supervisor.await_state(name, State.EXITED) for name in tasks}
        statuses = {name: os.waitstatus_to_exitcode(row.exit_status) for name, row in rows.items() if row.exit_status is not None}
        assert statuses == {"C": 0, "G": 1, "W": 0}
        assert supervisor.output("W").strip() == b"0"


def numbered(path: Path, count: int) -> bytes:
    """A file of ten-byte lines."""
    path.write_bytes(b"".join(b"line %04d\n" % number for number in range(count)))
    return path.read_bytes()


@pytest.mark.parametrize(("protocol", "acks"), [("stream", 0), ("event", 1)])
def test_a_consumer_that_dies_in_the_middle_of_a_line_gets_that_line_again_from_its_start(tmp_path: Path, protocol: str, acks: int) -> None:
    data = numbered(tmp_path / "lines", 50)
    tasks = {
        "C": {"command": ["cat", str(tmp_path / "lines")], **JOB},
        "B": {
            "command": program("first_bite", tmp_path, "bytes=15" if protocol == "stream" else "bytes=5", f"acks={acks}"),
            "input": {"protocol": protocol},
            **QUICK,
        },
    }
    with Supervisor(tmp_path, tasks, {"lines": {"from": "C", "to": "B", "start": "begin"}}) as supervisor:
        second = tmp_path / "second"
        until(lambda: second.exists() and second.read_bytes().endswith(b"line 0049\n"), 20, lambda: supervisor.story())
        assert second.read_bytes() == (data[10:] if protocol == "stream" else data)
        assert (tmp_path / "first").read_bytes() == (data[:15] if protocol == "stream" else data[:5])


def test_a_stream_consumer_that_dies_inside_a_long_line_gets_it_again_from_its_start(tmp_path: Path) -> None:
    blob = b"x" * (5 << 20) + b"\nend\n"
    (tmp_path / "blob").write_bytes(blob)
    tasks = {"C": {"command": ["cat", str(tmp_path / "blob")], **JOB}, "B": {"command": program("gulp", tmp_path), **QUICK}}
    with Supervisor(tmp_path, tasks, {"lines": {"from": "C", "to": "B", "start": "begin"}}) as supervisor:
        pid, worker = supervisor.program_pid("B"), supervisor.worker_pid("B")
        until(lambda: _settled(pid), 20, "the pipe is full")
        processes.send(worker, signal.SIGSTOP)
        (tmp_path / "go").touch()
        until(lambda: not processes.alive(pid), 20, "the program has read all there was and died")
        processes.send(worker, signal.SIGCONT)
        second = tmp_path / "second"
        until(lambda: second.exists() and second.read_bytes().endswith(b"\nend\n"), 20, lambda: supervisor.story())
        assert len((tmp_path / "first").read_bytes()) >= 4096
        assert second.read_bytes() == blob


def _settled(pid: int) -> bool:
    """What is unread in a program's stdin is more than nothing and stays the same for a while."""
    with open(f"/proc/{pid}/fd/0", "rb") as pipe:
        before, looks = REAL.unread(pipe.fileno()), iter(range(40))
        until(lambda: REAL.unread(pipe.fileno()) != before or next(looks) == 39, 5)
        return REAL.unread(pipe.fileno()) == before > 0


def test_a_producer_killed_in_the_middle_of_a_line_leaves_a_flagged_fragment_that_nobody_receives(tmp_path: Path) -> None:
    script = 'if [ -e "$1" ]; then echo three; exec sleep 1000; fi; : > "$1"; printf "one\\ntwo\\nfrag"; kill -9 $$'
    tasks = {
        "P": {"command": ["sh", "-c", script, "sh", str(tmp_path / "lived")], **QUICK},
        "C": {"command": "cat"},
    }
    with Supervisor(tmp_path, tasks, {"lines": {"from": "P", "to": "C", "start": "begin"}}) as supervisor:
        until(lambda: supervisor.output("C").endswith(b"three\n"), 20, lambda: f"{supervisor.output('C')!r} {supervisor.story()}")
        assert supervisor.output("C") == b"one\ntwo\nthree\n"
        assert supervisor.output("P") == b"one\ntwo\nfragthree\n"
        reader = Reader(str(supervisor.journal("P")), system=REAL)
        try:
            fragments = [(fragment.start, fragment.end, bool(fragment.deliver)) for fragment in reader.fragments(0)]
        finally:
            reader.close()
        assert fragments == [(8, 12, False)]


def test_a_last_line_without_newline_of_a_job_that_ended_well_is_delivered(tmp_path: Path) -> None:
    tasks = {"P": {"command": ["printf", "one\\nlast"], **JOB}, "C": {"command": "cat", **JOB}}
    with Supervisor(tmp_path, tasks, {"lines": {"from": "P", "to": "C", "start": "begin"}}) as supervisor:
        supervisor.await_state("C", State.EXITED)
        assert supervisor.output("P") == b"one\nlast"
        assert supervisor.output("C") in (b"one\nlast", b"one\nlast\n")


def test_a_line_of_ten_mebibytes_and_bytes_that_are_no_text_pass_log_and_stream_unchanged(tmp_path: Path) -> None:
    dice = random.Random(11)
    blob = bytes(range(256)) * 400 + b"\xff\xfe\x80 not UTF-8 \xc3\x28\n" + dice.randbytes(300_000) + b"\n" + b"x" * (10 << 20) + b"\nend\n"
    (tmp_path / "blob").write_bytes(blob)
    digest = hashlib.sha256(blob).hexdigest()
    tasks = {"C": {"command": ["cat", str(tmp_path / "blob")], **JOB}, "T": {"command": "cat", **JOB}, "S": {"command": "sha256sum", **JOB}}
    flows = {"one": {"from": "C", "to": "T", "start": "begin"}, "two": {"from": "T", "to": "S", "start": "begin"}}
    with Supervisor(tmp_path, tasks, flows) as supervisor:
        supervisor.await_state("S", State.EXITED, deadline_s=60)
        assert hashlib.sha256(supervisor.output("C")).hexdigest() == digest
        assert hashlib.sha256(supervisor.output("T")).hexdigest() == digest
        assert supervisor.output("S").split()[0].decode() == digest


def test_an_event_above_the_limit_goes_to_the_dead_letters_and_the_next_ones_arrive(tmp_path: Path) -> None:
    (tmp_path / "events").write_bytes(b"small\n" + b"L" * 200_000 + b"\nsmall too\n")
    (tmp_path / "first").touch()  # no first bite
    tasks = {
        "P": {"command": ["cat", str(tmp_path / "events")], **JOB},
        "C": {
            "command": program("first_bite", tmp_path, "bytes=1", "acks=1"),
            "input": {"protocol": "event", "max_event": "64KiB", "window": 4},
            **QUICK,
        },
    }
    with Supervisor(tmp_path, tasks, {"events": {"from": "P", "to": "C", "start": "begin"}}) as supervisor:
        second = tmp_path / "second"
        until(lambda: second.exists() and second.read_bytes().endswith(b"small too\n"), 20, lambda: supervisor.story())
        assert second.read_bytes() == b"small\nsmall too\n"
        until(lambda: supervisor.row("C").dead_letters == 1, 10, lambda: str(supervisor.row("C")))
        assert supervisor.output("P") == (tmp_path / "events").read_bytes()
        (letter,) = map(json.loads, supervisor.output("C", "dead").splitlines())
        assert (letter["producer"], letter["offset"], letter["length"]) == ("P", 6, 200_001)


def test_a_poison_event_is_set_aside_after_its_deliveries_and_the_flow_goes_on(tmp_path: Path) -> None:
    script = 'while read -r line; do echo "$line" >> "$1"; [ "$line" = poison ] && kill -9 $$; echo >&2; done'
    (tmp_path / "events").write_bytes(b"good\npoison\nbetter\n")
    tasks = {
        "P": {"command": ["cat", str(tmp_path / "events")], **JOB},
        "C": {
            "command": ["sh", "-c", script, "sh", str(tmp_path / "seen")],
            "input": {"protocol": "event", "window": 8, "max_deliveries": 3},
            **QUICK,
            "startretries": 20,
        },
    }
    with Supervisor(tmp_path, tasks, {"events": {"from": "P", "to": "C", "start": "begin"}}) as supervisor:
        seen = tmp_path / "seen"
        until(lambda: seen.exists() and seen.read_text().endswith("better\n"), 20, lambda: f"{supervisor.row('C')} {supervisor.story()}")
        assert seen.read_text().split() == ["good", "poison", "poison", "poison", "better"]
        until(lambda: supervisor.row("C").dead_letters == 1, 10, lambda: str(supervisor.row("C")))
        (letter,) = map(json.loads, supervisor.output("C", "dead").splitlines())
        assert (base64.b64decode(letter["event"]), letter["producer"], letter["offset"], letter["deliveries"]) == (b"poison\n", "P", 5, 3)


def test_events_put_by_hand_arrive_once_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "first").touch()
    tasks = {"C": {"command": program("first_bite", tmp_path, "bytes=1", "acks=1"), "input": {"protocol": "event"}, **QUICK}}
    with Supervisor(tmp_path, tasks) as supervisor:
        for text in ("one", "two and a half", "drei äöü"):
            done = supervisor.efctl("put", "C", text)
            assert done.returncode == 0, done
        second = tmp_path / "second"
        until(lambda: second.exists() and second.read_bytes().count(b"\n") == 3, 20, lambda: supervisor.story())
        assert second.read_text(encoding="utf-8") == "one\ntwo and a half\ndrei äöü\n"


def test_a_journal_folder_that_is_a_link_is_refused_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{0:020d}.log").symlink_to(tmp_path / "target")
    with pytest.raises((JournalError, OSError)):
        Reader(str(elsewhere), system=REAL).read(0, 10)
    assert not (tmp_path / "target").exists()

"""efctl log with times and patterns: reads the journals' files itself, also while no supervisor runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from efsupervisor.cli import main
from efsupervisor.errors import TABLE, Code, EfError
from efsupervisor.interface.when import When, when
from efsupervisor.journal import Reader, Writer
from efsupervisor.journal.lines import LONGEST, lines
from efsupervisor.system import REAL, short_id

KST = timezone(timedelta(hours=9))
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=KST)
NS = 10**9
Efctl = Callable[..., tuple[int, str, str]]


@pytest.fixture
def efctl(folder: Path, capfd: pytest.CaptureFixture[str]) -> Efctl:
    def call(*words: str) -> tuple[int, str, str]:
        status = main.run(["--var", str(folder), *words])
        text = capfd.readouterr()
        return status, text.out, text.err

    return call


def task(folder: Path, name: str, minutes: dict[int, bytes], stream: str = "out", segment_bytes: int = 64) -> None:
    """A task that wrote at these minutes after noon, in small segments."""
    home = folder / "tasks" / short_id(name)
    home.mkdir(parents=True, exist_ok=True)
    (home / "task.json").write_text(json.dumps({"version": 1, "name": name, "id": short_id(name)}))
    writer = Writer(str(home / stream), system=REAL, segment_bytes=segment_bytes)
    for minute, data in minutes.items():
        writer.append(data)
        writer.index(int(NOON.timestamp() + 60 * minute) * NS)
    writer.close()


def at(minute: int) -> str:
    return (NOON + timedelta(minutes=minute)).isoformat()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0", When(offset=0)),
        ("4711", When(offset=4711)),
        ("0001-01-01T00:00+23:59", When(wall_ns=0)),
        ("90s", When(wall_ns=int(NOON.timestamp() - 90) * NS)),
        ("1h30m", When(wall_ns=int(NOON.timestamp() - 5400) * NS)),
        ("2026-11-24T12:00", When(wall_ns=int(NOON.timestamp()) * NS)),
        ("2026-11-24T03:00Z", When(wall_ns=int(NOON.timestamp()) * NS)),
        ("2026-11-24", When(wall_ns=int(NOON.timestamp() - 43200) * NS)),
        ("11:59:30", When(wall_ns=int(NOON.timestamp() - 30) * NS)),
        (" 2d ", When(wall_ns=int(NOON.timestamp() - 172800) * NS)),
        ("999999999w", When(wall_ns=0)),
    ],
)
def test_a_place_is_said_as_bytes_a_moment_or_how_long_ago(text: str, meant: When) -> None:
    assert when(text, NOON) == meant


@pytest.mark.parametrize("text", ["", "yesterday", "10x", "-5m", "2026-13-01", "25:00", "٣m", "1.5.5h", "9" * 40 + "m"])
def test_any_other_word_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(EfError) as caught:
        when(text, NOON)
    assert caught.value.code is Code.USAGE
    assert "say how long ago" in caught.value.message


def test_lines_between_two_times_are_found_across_segments(folder: Path, efctl: Efctl) -> None:
    task(folder, "web", {minute: b"minute %d %s\n" % (minute, b"x" * 30) for minute in range(10)})
    assert len(list((folder / "tasks" / short_id("web") / "out").glob("*.log"))) > 4
    status, out, err = efctl("log", "web", "--since", at(3), "--until", at(6))
    assert (status, err) == (0, "")
    assert re.findall(r"minute (\d)", out) == ["4", "5", "6"]
    assert re.findall(r"minute (\d)", efctl("log", "web", "--until", at(1))[1]) == ["0", "1"]
    assert re.findall(r"minute (\d)", efctl("log", "web", "--since", at(7), "-n", "2")[1]) == ["8", "9"]
    assert efctl("log", "web", "--since", at(60))[1] == ""


def test_a_pattern_finds_whole_lines_of_any_bytes_and_the_last_of_them(folder: Path, efctl: Efctl) -> None:
    task(folder, "web", {0: "오류 하나\nfine\n".encode(), 1: b"bad \xff\x00 error\nerror two\n", 2: b"error without end"})
    assert efctl("log", "web", "--grep", "오[류]")[1] == "오류 하나\n"
    assert efctl("log", "web", "--grep", "error", "-n", "2")[1] == "error two\nerror without end\n"
    assert efctl("log", "web", "--grep", "^error")[1] == "error two\nerror without end\n"
    assert efctl("log", "web", "--grep", "nothing of it") == (0, "", "")


def test_as_json_each_line_has_its_offset_and_the_time_of_its_note(folder: Path, efctl: Efctl) -> None:
    task(folder, "web", {0: b"one\n", 5: b"two \xff\n", 6: b"three\n"})
    rows = json.loads(efctl("log", "web", "--grep", "t", "--json")[1])
    assert [(row["task"], row["stream"], row["offset"], row["text"]) for row in rows] == [
        ("web", "out", 4, "two \\xff"), ("web", "out", 10, "three"),
    ]  # fmt: skip
    assert [datetime.fromisoformat(row["time"]) for row in rows] == [NOON + timedelta(minutes=5), NOON + timedelta(minutes=6)]


def test_other_streams_several_tasks_and_patterns_of_names(folder: Path, efctl: Efctl) -> None:
    task(folder, "web1", {0: b"a hit\n"}, stream="dead")
    task(folder, "web2", {0: b"b hit\nmiss\n"}, stream="dead")
    task(folder, "db", {0: b"c hit\n"}, stream="dead")
    assert efctl("log", "web*", "--stream", "dead", "--grep", "hit")[1] == "web1 | a hit\nweb2 | b hit\n"
    assert efctl("log", "all", "--stream", "dead", "--grep", "hit")[1].count("hit") == 3


def test_without_a_supervisor_the_last_lines_are_read_from_the_folder(folder: Path, efctl: Efctl) -> None:
    task(folder, "web", {0: b"one\ntwo\nthree\n"})
    assert efctl("log", "web", "-n", "2") == (0, "two\nthree\n", "")
    assert efctl("log", "web", "--all") == (0, "one\ntwo\nthree\n", "")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nobody", "--grep", "x"], Code.NO_SUCH_TASK, "no task nobody"),
        (["web", "--grep", "("], Code.USAGE, "no regular expression"),
        (["web", "--since", "soon"], Code.USAGE, "say how long ago"),
        (["web", "--since", "1h", "--until", "2h"], Code.USAGE, "the end comes before the beginning"),
        (["web", "--until", "1h", "-f"], Code.USAGE, "say one of them"),
        (["daemon", "--grep", "x"], Code.USAGE, "use grep"),
    ],
)
def test_what_cannot_be_looked_for_is_said_in_one_sentence(folder: Path, efctl: Efctl, words: list[str], code: Code, says: str) -> None:
    task(folder, "web", {0: b"one\n"})
    status, out, err = efctl("log", *words)
    assert (status, out) == (TABLE[code].exit_status, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--var", str(tmp_path / "none"), "log", "web", "--grep", "x"]) == TABLE[Code.SYSTEM].exit_status
    assert "cannot be read: No such file or directory" in capfd.readouterr().err


def test_a_pattern_that_never_ends_is_ended_by_ctrl_c(folder: Path) -> None:
    task(folder, "web", {0: b"a" * 4000 + b"b\n"})
    words = [sys.executable, "-m", "efsupervisor.cli", "--var", str(folder), "log", "web", "--grep", "(a|aa|a*)*c$"]
    asked = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            asked.wait(1.5)
        asked.send_signal(signal.SIGINT)
        _, err = asked.communicate(timeout=20)
    finally:
        asked.kill()
        asked.wait()
    assert asked.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in err


def test_a_line_longer_than_memory_should_hold_comes_in_parts(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, max_event=64 << 20)
    data = b"x" * (LONGEST * 2 + 5) + b"\nlast\n"
    writer.append(data)
    writer.close()
    reader = Reader(str(tmp_path / "j"), system=REAL)
    found = list(lines(reader, 0, len(data)))
    assert b"".join(line.data + b"\n" * line.whole for line in found) == data
    assert max(len(line.data) for line in found) < LONGEST * 2
    assert [line.offset for line in found] == [0, *(line.next for line in found[:-1])]
    reader.close()


def test_lines_are_found_around_what_retention_took(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=8)
    for number in range(8):
        writer.append(b"line %d\n" % number)
    os.unlink(tmp_path / "j" / f"{14:020d}.log")
    reader = Reader(str(tmp_path / "j"), system=REAL)
    assert [line.data for line in lines(reader, 0, 40)] == [b"line 0", b"line 1", b"line 4", b"line 5"]
    reader.close()
    writer.close()


def test_times_that_the_index_does_not_know_take_nothing_away(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    writer.append(b"one\n")
    reader = Reader(str(tmp_path / "j"), system=REAL)
    assert (reader.at_time(5), reader.by_time(5)) == (0, 4)
    writer.index(10)
    writer.append(b"two\n")
    assert (reader.by_time(5), reader.by_time(10), reader.by_time(11)) == (4, 4, 8)
    writer.index(10 + 60 * NS)
    assert (reader.by_time(11), reader.by_time(59 * NS), reader.by_time(61 * NS)) == (4, 8, 8)
    reader.close()
    writer.close()

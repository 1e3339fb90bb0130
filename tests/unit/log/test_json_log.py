"""The log as JSON, transitions in both formats, and settings that change while a process runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.log import MAX_LINE, Log, json_line
from efsupervisor.log.task import TaskLog
from efsupervisor.system import Real

WALL = 1_767_322_985_678_000_000


class Machine(Real):
    """The real machine at one instant, with pid 4711."""

    def wall_ns(self) -> int:
        return WALL

    def getpid(self) -> int:
        return 4711


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    made = Log(str(path), Machine(), form="json")
    yield made
    made.close()


def objects(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_one_object_that_leaves_out_what_is_empty(log: Log, path: Path) -> None:
    log.warning("the disk is full", task="web")
    log.error("bad")
    assert objects(path) == [
        {"time": "2026-01-02T03:03:05.678Z", "level": "warning", "pid": 4711, "task": "web", "sentence": "the disk is full"},
        {"time": "2026-01-02T03:03:05.678Z", "level": "error", "pid": 4711, "sentence": "bad"},
    ]


def test_a_transition_is_one_object_with_everything_by_itself(log: Log, path: Path) -> None:
    log.transition("web", "RUNNING", "BACKOFF", "exit status 1", 815)
    log.transition("web", "STARTING", "STOPPED")
    first, second = objects(path)
    assert list(first) == ["time", "level", "pid", "task", "from", "to", "cause", "sentence"]
    assert (first["pid"], first["task"], first["from"], first["to"], first["cause"]) == (815, "web", "RUNNING", "BACKOFF", "exit status 1")
    assert first["sentence"] == "RUNNING -> BACKOFF (exit status 1) pid 815"
    assert (second["pid"], "cause" in second, second["sentence"]) == (4711, False, "STARTING -> STOPPED")


def test_a_transition_is_one_line_for_people(path: Path) -> None:
    log = Log(str(path), Machine())
    log.transition("web", "RUNNING", "BACKOFF", "exit status 1", 815)
    log.transition("web", "STARTING", "STOPPED")
    log.close()
    assert [line.partition(" ")[2] for line in path.read_text().splitlines()] == [
        "INFO  task web: RUNNING -> BACKOFF (exit status 1) pid 815",
        "INFO  task web: STARTING -> STOPPED",
    ]


@given(st.text() | st.text(st.sampled_from("a\n\x1b\x7f\x85\u2028\u202e\udcff\U000e0001\"\\한")))
def test_any_text_is_one_printable_line_that_means_the_same(text: str) -> None:
    data = json_line(WALL, 20, text, 1, task=text)
    shown = data.decode()
    assert shown.endswith("\n") and shown[:-1].isprintable()
    meant = text.encode("utf-8", "backslashreplace").decode()
    decoded = json.loads(shown)
    assert (decoded["sentence"], decoded.get("task", "")) == (meant, meant)


def test_an_endless_sentence_is_cut_and_says_so() -> None:
    decoded = json.loads(json_line(0, 20, "x" * (MAX_LINE + 1000), 1))
    assert len(decoded["sentence"]) < MAX_LINE + 100
    assert decoded["sentence"].endswith(f"({MAX_LINE + 1000} characters)")


def test_lines_that_were_lost_are_said_in_the_format_too(path: Path) -> None:
    class Full(Machine):
        full = True

        def write(self, fd: int, data: object) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return os.write(fd, data)  # type: ignore[arg-type]

    machine = Full()
    log = Log(str(path), machine, form="json")
    log.info("lost")
    machine.full = False
    log.info("kept")
    log.close()
    assert [each["sentence"] for each in objects(path)] == ["log: 1 lines could not be written", "kept"]


def test_level_format_and_rotation_change_while_it_runs(log: Log, path: Path) -> None:
    log.info("json")
    log.configure(level="warning", form="text")
    log.info("not written")
    log.warning("text")
    log.configure(level="debug", form="json", max_bytes=10, backups=1)
    log.debug("rotated now")
    assert not path.exists()
    old = path.with_name("log.1").read_text().splitlines()
    assert [line[:1] for line in old] == ["{", "2", "{"]
    assert json.loads(old[2])["level"] == "debug"


def test_in_the_foreground_the_format_is_the_same(path: Path, tmp_path: Path) -> None:
    shown = os.open(tmp_path / "shown", os.O_WRONLY | os.O_CREAT)
    log = Log(str(path), Machine(), form="json", echo_fd=shown)
    log.info("both")
    log.echo("only shown", task="web")
    log.close()
    os.close(shown)
    assert [each["sentence"] for each in objects(tmp_path / "shown")] == ["both", "only shown"]
    assert len(objects(path)) == 1


def test_a_worker_says_its_tasks_name_and_follows_the_format(path: Path) -> None:
    log = Log(str(path), Machine())
    voice = TaskLog(log, "web")
    voice("WARN", "its disk is full")
    voice.transition("STARTING", "RUNNING", "", 815)
    voice.configure("error", "json")
    voice("INFO", "not written")
    voice("ERROR", "bad")
    log.close()
    first, second, third = path.read_text().splitlines()
    assert re.fullmatch(r"\S+ WARN  task web: its disk is full", first)
    assert second.endswith("INFO  task web: STARTING -> RUNNING pid 815")
    assert json.loads(third)["task"] == "web"

"""The daemon's log: whole lines, nothing a terminal would obey, rotation that loses nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.log import MAX_LINE, Log, line, neutral
from efsupervisor.system import Real

SHAPE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO |WARN |ERROR) .*\n\Z")


class Machine(Real):
    """The real machine, but a disk that takes `room` bytes (None: all) and a clock that stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.room: int | None = None
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def write(self, fd: int, data: Any) -> int:
        if self.room is None:
            return os.write(fd, data)
        taken = min(self.room, len(bytes(data)))
        self.room -= taken
        if not taken:
            raise OSError(28, "No space left on device")
        return os.write(fd, bytes(data)[:taken])


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def logs() -> Iterator[list[Log]]:
    made: list[Log] = []
    yield made
    for each in made:
        each.close()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.parametrize("sentence", ["plain", "two\nlines", "\x1b[31mred\x07", "\x00\x7f\x9b", "\u202eevil", "\udcff", "\u2028", "ä 한 \U0001f600"])
def test_a_line_is_one_line_and_nothing_in_it_can_be_obeyed(sentence: str) -> None:
    text = line(1_767_322_985_678_000_000, 20, sentence).decode()
    assert SHAPE.match(text)
    assert text[:-1].isprintable()


def test_what_can_be_shown_is_shown_as_it_is() -> None:
    assert neutral("ä 한 \\ plain") == "ä 한 \\ plain"
    assert neutral("a\x1bb\u202ec") == "a\\x1bb\\u202ec"


def test_an_endless_sentence_is_cut_and_says_so() -> None:
    text = line(0, 20, "x" * (MAX_LINE + 1000))
    assert len(text) < MAX_LINE + 100
    assert str(MAX_LINE + 1000).encode() in text


def test_the_level_decides_what_is_written(tmp_path: Path, machine: Machine, logs: list[Log]) -> None:
    log = Log(str(tmp_path / "log"), machine, level="warning")
    logs.append(log)
    log.debug("no")
    log.info("no")
    log.warning("yes")
    log.error("yes too")
    assert [text.partition(" ")[2] for text in lines(tmp_path / "log")] == ["WARN  yes", "ERROR yes too"]


def test_two_writers_share_a_file_and_both_follow_its_rotation(tmp_path: Path, machine: Machine, logs: list[Log]) -> None:
    path = tmp_path / "log"
    core, worker = Log(str(path), machine, max_bytes=500, backups=50), Log(str(path), machine)
    logs += [core, worker]
    for number in range(100):
        (core if number % 2 else worker).info(f"number {number}")
    files = [path, *tmp_path.glob("log.*")]
    assert len(files) > 5
    seen = [int(text.rpartition(" ")[2]) for each in files for text in lines(each)]
    assert sorted(seen) == list(range(100))
    assert all(each.stat().st_size < 1000 for each in files)


def test_only_so_many_old_files_are_kept(tmp_path: Path, machine: Machine, logs: list[Log]) -> None:
    log = Log(str(tmp_path / "log"), machine, max_bytes=100, backups=2)
    logs.append(log)
    for number in range(50):
        log.info(f"number {number}")
    assert {each.name for each in tmp_path.iterdir()} <= {"log", "log.1", "log.2"}
    assert lines(tmp_path / "log.1")


def test_a_rotation_that_fails_loses_no_line_and_is_tried_again_after_a_minute(tmp_path: Path, machine: Machine, logs: list[Log]) -> None:
    path, blocker = tmp_path / "log", tmp_path / "log.1"
    (blocker / "full").mkdir(parents=True)
    log = Log(str(path), machine, max_bytes=100, backups=1)
    logs.append(log)
    for number in range(20):
        log.info(f"number {number}")
    text = path.read_text()
    assert text.count("not rotated") == 1
    assert all(f"number {number}\n" in text for number in range(20))
    (blocker / "full").rmdir()
    blocker.rmdir()
    machine.now += 61
    log.info("after")
    assert "number 19" in blocker.read_text()


def test_a_log_that_was_moved_away_or_deleted_is_made_anew(tmp_path: Path, machine: Machine, logs: list[Log]) -> None:
    path = tmp_path / "log"
    log = Log(str(path), machine)
    logs.append(log)
    log.info("one")
    path.rename(tmp_path / "moved")
    log.info("two")
    path.unlink()
    log.info("three")
    assert [text.rpartition(" ")[2] for text in lines(path)] == ["three"]
    assert len(lines(tmp_path / "moved")) == 1


def test_a_line_goes_to_the_file_that_has_the_name_now_and_not_to_the_one_that_had_it(tmp_path: Path, machine: Machine, logs: list[Log]) -> None:
    path = tmp_path / "log"
    log = Log(str(path), machine)
    logs.append(log)
    log.info("one")
    path.rename(tmp_path / "log.1")
    path.write_text("")
    log.info("two")
    assert [text.rpartition(" ")[2] for text in lines(path)] == ["two"]
    assert len(lines(tmp_path / "log.1")) == 1


def test_a_full_disk_is_counted_and_said_afterwards_and_no_line_is_torn(tmp_path: Path, machine: Machine, logs: list[Log]) -> None:
    path = tmp_path / "log"
    log = Log(str(path), machine)
    logs.append(log)
    log.info("before")
    machine.room = 10
    for _ in range(5):
        log.info("this does not fit")
    machine.room = None
    log.info("after")
    written = lines(path)
    assert len(written) == 4  # before, ten bytes of a line, the count, after
    assert "5 lines could not be written" in written[2]
    assert written[3].endswith("after")


def test_a_log_that_cannot_be_opened_disturbs_nobody(tmp_path: Path, machine: Machine) -> None:
    log = Log(str(tmp_path / "missing" / "log"), machine)
    log.error("lost")
    log.close()
    assert not (tmp_path / "missing").exists()


def test_a_link_planted_as_the_log_is_not_followed(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    log = Log(str(tmp_path / "log"), machine)
    log.info("text")
    log.close()
    assert (tmp_path / "victim").read_text() == "mine"


def test_in_the_foreground_every_line_is_shown_too_and_an_echo_only_there(tmp_path: Path, machine: Machine, logs: list[Log]) -> None:
    shown = os.open(tmp_path / "shown", os.O_WRONLY | os.O_CREAT)
    log = Log(str(tmp_path / "log"), machine, echo_fd=shown)
    logs.append(log)
    log.info("both")
    log.echo("only shown")
    os.close(shown)
    assert [text.partition("  ")[2] for text in lines(tmp_path / "shown")] == ["both", "only shown"]
    assert len(lines(tmp_path / "log")) == 1

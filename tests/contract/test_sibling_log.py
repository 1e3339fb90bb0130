"""From a logger in a sibling to lines in the log of the host: whole, bounded, and without thread, lock or pickle between them."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from multiprocessing_logging import MultiProcessingHandler

from efsupervisor.core import sibling_log
from efsupervisor.core.sibling_log import MAX_RECORD, Ends, Listener, Record, SiblingHandler
from efsupervisor.log import MAX_LINE
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL


class Paper:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> object:
        if level not in ("debug", "info", "warning", "error"):
            raise AttributeError(level)
        return lambda sentence, task="": self.lines.append((level, sentence))


class Stage:
    """One sibling's two ways, both ends in this process."""

    def __init__(self) -> None:
        self.ends, self.paper, self.reactor = Ends(), Paper(), Reactor(REAL)
        self.handler = SiblingHandler(self.ends.their_records, bound_s=0.1)
        self.logger = logging.Logger("web")
        self.logger.addHandler(self.handler)
        self.listener = Listener("web", self.ends, self.reactor, self.paper)  # type: ignore[arg-type]
        self.buried = False

    @property
    def lines(self) -> list[tuple[str, str]]:
        for _ in range(20):
            self.reactor.turn(0)
        return self.paper.lines

    def bury(self) -> None:
        """The sibling is dead."""
        self.listener.close()
        self.buried = True

    def close(self) -> None:
        if not self.buried:
            self.bury()
        self.handler.close()
        os.close(self.ends.their_stderr)
        self.reactor.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_the_handler_is_one_of_multiprocessing_logging_without_its_thread_and_queue() -> None:
    before = set(threading.enumerate())
    stage = Stage()
    assert isinstance(stage.handler, MultiProcessingHandler)
    assert not hasattr(stage.handler, "queue")
    assert set(threading.enumerate()) <= before
    stage.close()


def test_records_become_lines_of_their_level_with_the_name_of_the_sibling(stage: Stage) -> None:
    stage.logger.debug("looking at %s", "it")
    stage.logger.info("%d requests", 7)
    stage.logger.warning("slow")
    stage.logger.error("the port is taken")
    stage.logger.critical("no more")
    assert stage.lines == [
        ("debug", "web: looking at it"),
        ("info", "web: 7 requests"),
        ("warning", "web: slow"),
        ("error", "web: the port is taken"),
        ("error", "web: no more"),
    ]


def test_a_logger_of_a_library_is_named_too(stage: Stage) -> None:
    library = logging.Logger("urllib3.pool")
    library.addHandler(stage.handler)
    library.warning("retry")
    assert stage.lines == [("warning", "web: urllib3.pool: retry")]


def test_a_traceback_is_written_line_by_line(stage: Stage) -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        stage.logger.exception("it fails")
    lines = stage.lines
    assert lines[0] == ("error", "web: it fails") and lines[1] == ("error", "web: Traceback (most recent call last):")
    assert lines[-1] == ("error", "web: ValueError: odd")


def test_a_record_that_cannot_be_formatted_disturbs_nobody(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.logger.info("%d", "no number")
    stage.logger.info("next")
    assert stage.lines == [("info", "web: next")]
    assert "Logging error" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["\udc80 no utf-8", "\0\x1b[31m", "x" * (MAX_LINE * 4), "\x01" * (MAX_LINE * 4), "끝" * (MAX_LINE * 4)], ids=range(5)
)
def test_whatever_the_text_is_it_arrives_as_a_bounded_record(stage: Stage, text: str) -> None:
    stage.logger.info("%s", text)
    stage.logger.info("next")
    lines = stage.lines
    assert len(lines) == 2 and len(lines[0][1]) <= MAX_LINE + 10 and lines[1] == ("info", "web: next")


@pytest.mark.alone
def test_a_sibling_waits_for_a_host_that_does_not_read_but_only_once_and_says_what_was_lost(stage: Stage) -> None:
    began = time.monotonic()
    count = 0
    while not stage.handler._late:
        stage.logger.info("record %d %s", count, "x" * 1000)
        count += 1
    waited_s = time.monotonic() - began
    for _ in range(1000):
        stage.logger.info("dropped")
    assert waited_s >= 0.1 and time.monotonic() - began - waited_s < 0.5, "only the first waits"
    assert [text.split()[2] for _level, text in stage.lines] == [str(number) for number in range(count - 1)]
    stage.paper.lines.clear()
    stage.logger.info("again")
    assert stage.lines == [("warning", "web: 1001 log records were lost, because they were not read in time"), ("info", "web: again")]


@pytest.mark.alone
def test_a_host_that_is_dead_does_not_hold_up_a_sibling(stage: Stage) -> None:
    theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    handler = SiblingHandler(theirs[1])
    theirs[0].close()
    began = time.monotonic()
    for _ in range(100):
        handler.emit(logging.LogRecord("web", logging.INFO, "", 0, "nobody reads", None, None))
    handler.close()
    assert time.monotonic() - began < 0.5


def test_threads_and_children_of_a_sibling_log_the_same_way(stage: Stage) -> None:
    threads = [threading.Thread(target=lambda number=number: [stage.logger.info("%d", number) for _ in range(20)]) for number in range(4)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pid = os.fork()
    if pid == 0:
        stage.logger.info("the child")
        os._exit(0)
    os.waitpid(pid, 0)
    lines = [text for _level, text in stage.lines]
    assert sorted(lines[:-1]) == sorted(f"web: {number}" for number in range(4) for _ in range(20))
    assert lines[-1] == "web: the child"


@pytest.mark.parametrize("frame", [b"{", b"\xff\xfe", b"[]", b'{"level":"x","text":1}', b"null", b"x" * MAX_RECORD], ids=range(6))
def test_a_frame_that_is_no_record_is_said_and_passed_over(stage: Stage, frame: bytes) -> None:
    stage.ends.their_records.send(frame)
    stage.logger.info("next")
    assert stage.lines == [("warning", f"web: a log record of {len(frame)} bytes that is none"), ("info", "web: next")]


def test_a_level_that_nobody_knows_is_written_as_the_nearest(stage: Stage) -> None:
    for level in (-5, 0, 25, 99):
        stage.ends.their_records.send(msgspec.json.encode(Record(level, str(level))))
    assert [level for level, _text in stage.lines] == ["debug", "debug", "info", "error"]


def test_what_a_sibling_prints_becomes_lines_also_the_last_one_without_an_end(stage: Stage) -> None:
    os.write(stage.ends.their_stderr, b"Fatal Python error: Aborted\n\n  File \"x\"\nhalf a li")
    assert stage.lines == [("warning", "web: Fatal Python error: Aborted"), ("warning", 'web:   File "x"')]
    os.write(stage.ends.their_stderr, b"ne\xff")
    stage.bury()
    assert stage.paper.lines[-1] == ("warning", "web: half a line\ufffd")


def test_the_last_records_of_a_dead_sibling_are_written(stage: Stage) -> None:
    for number in range(sibling_log.BURST * 3):
        stage.logger.info("%d", number)
    assert stage.paper.lines == []
    stage.bury()
    assert [text for _level, text in stage.paper.lines] == [f"web: {number}" for number in range(sibling_log.BURST * 3)]


def test_one_turn_of_the_loop_reads_a_bounded_number(stage: Stage) -> None:
    for number in range(sibling_log.BURST * 2):
        stage.logger.info("%d", number)
    stage.reactor.turn(0)
    assert len(stage.paper.lines) == sibling_log.BURST

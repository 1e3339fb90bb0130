"""The phrases of supervisord's main log, and the form of its lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from efsupervisor.conf.schema import DaemonSpec, TaskSpec
from efsupervisor.core.main_log import MainLog, line
from efsupervisor.core.phrases import Phrase, decoded, phrases
from efsupervisor.messages import Report
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL

SPEC = TaskSpec(name="x", command=["x"], exitcodes=(0, 2))
REST = Report(state=State.STOPPED, goal=Goal.TRM)


def report(state: State, pid: int = 0, incarnation: int = 1, status: int | None = None, reason: str = "") -> Report:
    return Report(state=state, goal=Goal.ACT, pid=pid, incarnation=incarnation, exit_status=status, reason=reason)


STARTING, RUNNING = report(State.STARTING, 12), report(State.RUNNING, 12)
SPAWNED = Phrase("info", "spawned: 'x' with pid 12")
SUCCESS = Phrase("info", "success: x entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (REST, STARTING, [SPAWNED]),
        (None, STARTING, [SPAWNED]),
        (None, RUNNING, []),
        (STARTING, STARTING, []),
        (STARTING, RUNNING, [SUCCESS]),
        (REST, RUNNING, [SPAWNED, SUCCESS]),
        (RUNNING, report(State.EXITED, status=0), [Phrase("info", "exited: x (exit status 0; expected)")]),
        (RUNNING, report(State.EXITED, status=2 << 8), [Phrase("info", "exited: x (exit status 2; expected)")]),
        (RUNNING, report(State.EXITED, status=1 << 8), [Phrase("warn", "exited: x (exit status 1; not expected)")]),
        (RUNNING, report(State.EXITED, status=9), [Phrase("warn", "exited: x (terminated by SIGKILL; not expected)")]),
        (STARTING, report(State.BACKOFF, status=0), [Phrase("warn", "exited: x (exit status 0; not expected)")]),
        (
            STARTING,
            report(State.FATAL, status=1 << 8),
            [
                Phrase("warn", "exited: x (exit status 1; not expected)"),
                Phrase("info", "gave up: x entered FATAL state, too many start retries too quickly"),
            ],
        ),
        (
            REST,
            report(State.BACKOFF, reason="'/x' cannot be executed: No such file or directory"),
            [Phrase("info", "spawnerr: '/x' cannot be executed: No such file or directory")],
        ),
        (
            RUNNING,
            report(State.STARTING, 13, 2, status=1 << 8),
            [Phrase("warn", "exited: x (exit status 1; not expected)"), Phrase("info", "spawned: 'x' with pid 13")],
        ),
        (RUNNING, report(State.STOPPING, 12), [Phrase("info", "waiting for x to stop")]),
        (report(State.STOPPING, 12), report(State.STOPPING, status=15), [Phrase("warn", "stopped: x (terminated by SIGTERM)")]),
        (report(State.STOPPING, status=15), report(State.STOPPED, status=15), []),
        (report(State.STOPPING, 12), report(State.STOPPED, status=0), [Phrase("info", "stopped: x (exit status 0)")]),
    ],
)
def test_two_reports_give_what_supervisord_would_have_said(before: Report | None, after: Report, said: list[Phrase]) -> None:
    assert phrases(before, after, SPEC) == said


def test_the_name_is_that_of_the_process() -> None:
    assert phrases(REST, STARTING, TaskSpec(name="g.x", command=["x"], process_name="x", group="g")) == [SPAWNED]


def test_a_status_in_supervisords_words() -> None:
    assert decoded(None) == (-1, "unknown termination cause")
    assert decoded(0x80 | 11) == (-1, "terminated by SIGSEGV (core dumped)")
    assert decoded(3 << 8) == (3, "exit status 3")


def test_a_line_has_supervisords_form_and_obeys_no_terminal() -> None:
    assert re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,678 WARN a\\x1bb\n", line(1_700_000_000_678_000_000, 30, "a\x1bb"))


def test_the_log_takes_its_level_its_file_and_who_may_read_it_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "main.log"
    log = MainLog(DaemonSpec(logfile=str(path), loglevel="warn", silent=True, nodaemon=True), REAL, 0o022)
    log.say("info", "no")
    log.say("warn", "yes")
    log.heard(20, "no", "x")
    log.heard(40, "trouble", "x")
    assert [each.split(" ", 2)[2] for each in path.read_text().splitlines()] == ["WARN yes", "ERRO x: trouble"]
    assert path.stat().st_mode & 0o777 == 0o644
    path.rename(tmp_path / "rotated")
    log.reopen()
    log.say("critical", "again")
    assert path.read_text().endswith(" CRIT again\n")


def test_a_log_that_cannot_be_opened_is_a_sentence_and_no_error(tmp_path: Path) -> None:
    log = MainLog(DaemonSpec(logfile=str(tmp_path / "no" / "main.log")), REAL, 0o022)
    assert "No such file or directory" in log.trouble
    log.say("info", "nothing happens")

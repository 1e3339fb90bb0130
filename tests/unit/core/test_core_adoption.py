"""What a new Core does with what an earlier one left: the table, case by case."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from efsupervisor.core.adoption import Facts, Judgement, first_report, found_folders, judge, starting, stranger
from efsupervisor.core.home import FIRST, Former
from efsupervisor.messages import Report
from efsupervisor.states import Goal, State
from efsupervisor.system import short_id

CLEAN = Former(existed=True, clean=True, same_boot=True)
CRASH = Former(existed=True, clean=False, same_boot=True)
POWER = Former(existed=True, clean=False, same_boot=False)

RUNNING = Report(state=State.RUNNING, goal=Goal.ACT)
STOPPING = Report(state=State.STOPPING, goal=Goal.TRM)
STOPPED = Report(state=State.STOPPED, goal=Goal.TRM)
EXITED = Report(state=State.EXITED, goal=Goal.ACT, finished=True)
FATAL = Report(state=State.FATAL, goal=Goal.ACT)
BACKOFF = Report(state=State.BACKOFF, goal=Goal.ACT)

START = Judgement(fork=True, goal=Goal.ACT, fresh=True)
GO_ON = Judgement(fork=True, goal=Goal.ACT)
FINISH_STOP = Judgement(fork=True, goal=Goal.TRM)
STAY_STOPPED = Judgement(fork=False, goal=Goal.TRM)
STAY_ENDED = Judgement(fork=False, goal=Goal.ACT)


def facts(
    former: Former, saved: Report | None, *, alive: bool = False, autostart: bool = True, configured: bool = True, intent: Goal | None = None
) -> Facts:
    return Facts(configured, autostart, former, saved, alive, intent)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        # a first start, and a task that is new since the last one
        (facts(FIRST, None), START),
        (facts(FIRST, None, autostart=False), STAY_STOPPED),
        (facts(CRASH, None), START),
        # after a clean end the configuration decides
        (facts(CLEAN, STOPPED), START),
        (facts(CLEAN, STOPPED, autostart=False), STAY_STOPPED),
        (facts(CLEAN, EXITED), START),
        (facts(CLEAN, FATAL), START),
        # but what an operator wanted of a task goes before that
        (facts(CLEAN, STOPPED, intent=Goal.TRM), STAY_STOPPED),
        (facts(CLEAN, STOPPED, intent=Goal.ACT, autostart=False), START),
        (facts(FIRST, None, intent=Goal.TRM), STAY_STOPPED),
        (facts(POWER, EXITED, intent=Goal.TRM), STAY_STOPPED),
        (facts(POWER, FATAL, intent=Goal.ACT, autostart=False), START),
        # a wish that was saved and not heard counts as heard; so does the second half of a restart
        (facts(CRASH, RUNNING, intent=Goal.TRM), FINISH_STOP),
        (facts(CRASH, RUNNING, intent=Goal.TRM, alive=True), FINISH_STOP),
        (facts(CRASH, STOPPED, intent=Goal.ACT, autostart=False), START),
        (facts(CRASH, STOPPING, intent=Goal.ACT), GO_ON),
        (facts(CRASH, FATAL, intent=Goal.ACT), STAY_ENDED),
        (facts(CRASH, EXITED, intent=Goal.ACT), STAY_ENDED),
        # after a crash the last goal decides
        (facts(CRASH, STOPPED), STAY_STOPPED),
        (facts(CRASH, RUNNING), GO_ON),
        (facts(CRASH, RUNNING, autostart=False), GO_ON),
        (facts(CRASH, BACKOFF), GO_ON),
        (facts(CRASH, STOPPING), FINISH_STOP),
        (facts(CRASH, EXITED), STAY_ENDED),
        (facts(CRASH, FATAL), STAY_ENDED),
        # after a crash of the machine what had ended begins anew, what an operator stopped does not
        (facts(POWER, RUNNING), GO_ON),
        (facts(POWER, STOPPED), STAY_STOPPED),
        (facts(POWER, EXITED), START),
        (facts(POWER, EXITED, autostart=False), STAY_STOPPED),
        (facts(POWER, FATAL), START),
        # a program that is alive always gets a worker
        (facts(CRASH, RUNNING, alive=True), GO_ON),
        (facts(CRASH, EXITED, alive=True), GO_ON),
        (facts(CRASH, None, alive=True), GO_ON),
        (facts(CRASH, STOPPED, alive=True), FINISH_STOP),
        (facts(CLEAN, RUNNING, alive=True, autostart=False), GO_ON),
        # a task that is not configured is stopped if anything of it runs, and left alone otherwise
        (facts(CRASH, RUNNING, alive=True, configured=False), FINISH_STOP),
        (facts(CRASH, RUNNING, configured=False), FINISH_STOP),
        (facts(CRASH, STOPPED, configured=False), STAY_STOPPED),
        (facts(POWER, RUNNING, configured=False), STAY_STOPPED),
        (facts(CLEAN, None, configured=False), STAY_STOPPED),
    ],
)
def test_a_task_without_a_worker_is_judged_by_what_was_left(case: Facts, expected: Judgement) -> None:
    assert judge(case) == expected


def every_case() -> list[Facts]:
    saved = [None, *(Report(state=state, goal=goal) for state in State for goal in Goal)]
    return [Facts(*row) for row in itertools.product((True, False), (True, False), (FIRST, CLEAN, CRASH, POWER), saved, (True, False), (None, *Goal))]


def test_no_case_leaves_a_living_program_without_a_worker() -> None:
    assert all(judge(case).fork for case in every_case() if case.program_is_alive)


def test_no_case_starts_what_is_not_configured() -> None:
    assert all(judge(case).goal is Goal.TRM for case in every_case() if not case.configured)


def test_no_case_starts_after_a_crash_what_an_operator_had_stopped() -> None:
    stopped = [case for case in every_case() if not case.former.clean and case.saved and case.saved.goal is Goal.TRM and case.intent is not Goal.ACT]
    assert stopped
    assert all(judge(case).goal is Goal.TRM for case in stopped)


def test_no_case_starts_what_an_operator_wants_stopped_and_every_rest_that_is_wanted_running_is_started_after_a_clean_end() -> None:
    assert all(judge(case).goal is Goal.TRM for case in every_case() if case.intent is Goal.TRM)
    wanted = [case for case in every_case() if case.intent is Goal.ACT and case.configured and case.former.clean and not case.program_is_alive]
    assert wanted
    assert all(judge(case) == START for case in wanted)


def test_a_start_from_rest_never_meets_a_living_program() -> None:
    assert not any(judge(case).fresh and case.program_is_alive for case in every_case())


def test_a_task_that_waits_for_its_first_worker_is_shown_as_starting() -> None:
    assert first_report(STOPPED, START).state is State.STARTING
    assert first_report(None, STAY_STOPPED).reason == "was never started"
    assert first_report(RUNNING, GO_ON) == RUNNING


def test_what_was_counted_before_a_start_is_still_shown_during_it() -> None:
    shown = starting(Report(state=State.EXITED, goal=Goal.ACT, incarnation=7, dead_letters=2, exit_status=256, pid=0))
    assert (shown.incarnation, shown.dead_letters, shown.exit_status) == (7, 2, 256)


def test_only_folders_with_names_of_ours_are_taken_for_tasks(tmp_path: Path) -> None:
    good = short_id("good")
    (tmp_path / good).mkdir()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / short_id("a file")).write_text("")
    (tmp_path / short_id("a link")).symlink_to(tmp_path / good)
    assert found_folders(str(tmp_path)) == [good]


def test_the_name_in_a_folder_is_believed_only_if_it_belongs_to_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / short_id("Import")
    folder.mkdir()
    assert stranger(str(folder)).name == folder.name
    (folder / "task.json").write_text('{"version": 1, "name": "Import", "id": "x"}')
    assert stranger(str(folder)).name == "Import"
    (folder / "task.json").write_text('{"name": "another"}')
    assert stranger(str(folder)).name == folder.name
    (folder / "task.json").write_text('{"name": 7')
    assert stranger(str(folder)).name == folder.name

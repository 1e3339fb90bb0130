"""What follows for a helper process: walked exhaustively, for the service host and the siblings alike."""

from __future__ import annotations

import itertools
import signal

import pytest

from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.core.keeping import TABLE, Effect, Input, Phase, Rhythm, host_rhythm, is_quick, sibling_rhythm, step, until_beat_s
from efsupervisor.states import State

USUAL = (SupervisorSpec().heartbeat_s, SupervisorSpec().heartbeat_deadline_s)
ALIVE = {Phase.STARTING, Phase.RUNNING, Phase.LEAVING, Phase.ABORTING, Phase.KILLED}
BY_KILL, BY_SEGV, BY_EXIT = signal.SIGKILL.value, signal.SIGSEGV.value, 1 << 8


def reached() -> dict[Phase, list[Input]]:
    """Every phase that can be reached from OFF, with the shortest way there."""
    ways: dict[Phase, list[Input]] = {Phase.OFF: []}
    queue = [Phase.OFF]
    while queue:
        phase = queue.pop(0)
        for happened in Input:
            following = step(phase, happened).phase
            if following not in ways:
                ways[following] = [*ways[phase], happened]
                queue.append(following)
    return ways


def test_every_phase_is_reached_and_has_a_row() -> None:
    assert set(reached()) == set(Phase) == set(TABLE)


def test_no_cell_changes_nothing() -> None:
    assert [(phase, happened) for phase, row in TABLE.items() for happened, cell in row.items() if cell == (phase, None)] == []


def test_a_process_is_forked_only_when_there_is_none() -> None:
    for phase, happened in itertools.product(Phase, Input):
        if step(phase, happened).effect is Effect.FORK:
            assert phase not in ALIVE or happened is Input.DIED
            assert step(phase, happened).phase is Phase.STARTING


def test_whoever_lives_is_never_forgotten_before_it_died() -> None:
    for phase, happened in itertools.product(ALIVE, set(Input) - {Input.DIED, Input.GONE}):
        assert step(phase, happened).phase in ALIVE, (phase, happened)


def test_a_death_is_noticed_in_every_phase_of_life() -> None:
    for phase in ALIVE:
        assert step(phase, Input.DIED).phase in (Phase.WAITING, Phase.STARTING)
        assert step(phase, Input.GONE).phase in (Phase.OFF, phase)
    assert step(Phase.LEAVING, Input.DIED) == (Phase.STARTING, Effect.FORK)


def test_a_helper_that_nobody_wants_comes_to_rest_whatever_it_does() -> None:
    for start in Phase:
        phase = step(start, Input.UNWANTED).phase
        for happened in (Input.SILENT, Input.LATE, Input.LATE, Input.GONE):
            phase = step(phase, happened).phase
        assert phase is Phase.OFF, start


def test_a_silent_helper_is_asked_for_its_stack_and_then_killed_and_replaced() -> None:
    phase, seen = Phase.RUNNING, []
    for happened in (Input.SILENT, Input.LATE, Input.DIED, Input.DUE):
        phase, effect = step(phase, happened)
        seen.append(effect)
    assert (phase, seen) == (Phase.STARTING, [Effect.ABORT, Effect.KILL, None, Effect.FORK])


def test_each_phase_that_waits_owns_one_deadline_and_its_end_leads_on() -> None:
    rhythm = Rhythm()
    for phase in Phase:
        wait = rhythm.wait(phase, 0)
        if phase in (Phase.OFF, Phase.KILLED):
            assert wait is None
        else:
            assert wait is not None and step(phase, wait[1]).phase is not phase


@pytest.mark.parametrize("rhythm", [host_rhythm(*USUAL), sibling_rhythm(*USUAL)])
def test_with_the_settings_as_they_come_a_hang_is_found_and_ended_within_eight_seconds(rhythm: Rhythm) -> None:
    for phase in (Phase.STARTING, Phase.RUNNING):
        wait = rhythm.wait(phase, 0)
        assert wait is not None
        assert wait[0] + rhythm.look + rhythm.abort < 7.75  # the rest is for the fork


def test_the_host_is_given_the_time_that_its_siblings_are_given_to_leave() -> None:
    assert host_rhythm(*USUAL).leave > sibling_rhythm(*USUAL).leave


def test_a_helper_that_keeps_dying_is_started_ever_later_but_never_later_than_five_seconds() -> None:
    delays = [wait[0] for deaths in range(12) if (wait := Rhythm().wait(Phase.WAITING, deaths))]
    assert delays[:5] == [0.0, 0.0, 0.1, 0.2, 0.4]
    assert delays == sorted(delays) and delays[-1] == 5.0


@pytest.mark.parametrize(
    ("lived_s", "status", "quick"),
    [(0.5, BY_KILL, True), (1.5, BY_KILL, False), (4.0, BY_EXIT, True), (4.0, BY_SEGV, True), (4.0, None, True), (6.0, BY_EXIT, False)],
)
def test_who_ends_by_itself_must_live_longer_than_who_was_killed_not_to_count_as_failing(lived_s: float, status: int | None, quick: bool) -> None:
    assert is_quick(lived_s, status) is quick


def test_people_are_told_states_that_they_know() -> None:
    assert {phase.state for phase in Phase} == {State.STOPPED, State.STARTING, State.RUNNING, State.STOPPING, State.BACKOFF}


def test_signs_of_life_fall_together_whenever_their_senders_began() -> None:
    for now in (0.0, 0.3, 1.999, 2.0, 1_000_000.7):
        assert 0 < until_beat_s(now, 2.0) <= 2.0
        assert (now + until_beat_s(now, 2.0)) % 2.0 == pytest.approx(0.0, abs=1e-6)

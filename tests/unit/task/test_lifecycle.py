"""The life-cycle table, walked exhaustively: every pair that a worker can reach, what must always hold, and no cell that nothing reaches.

`World` is what the table's effects do to the outside, and what the outside can then say: a child that exists or not, one deadline, a life that is
being closed.  It is the worker without its files.  The walk visits every world that any order of wishes and answers leads to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from efsupervisor.states import Goal, State
from efsupervisor.task.lifecycle import TABLE, Effect, Event, Phase, Step, shown, step

WISHES = (Event.ACT, Event.TRM, Event.DONE_WITH, Event.HURRY)
VERDICTS = (Event.AGAIN, Event.LATER, Event.ENOUGH, Event.HOPELESS)
DEADLINE = {Effect.ARM_DELAY: Event.DUE, Effect.ARM_GRACE: Event.GRACE_OVER}
OWNED = {
    Phase.STARTING: {Event.LASTED, Event.UNWELL},
    Phase.WAITING: {Event.DUE},
    Phase.PARTING: {Event.GRACE_OVER},
    Phase.STOPPING: {Event.GRACE_OVER},
}


WITH_CHILD = (Phase.SPAWNING, Phase.STARTING, Phase.RUNNING, Phase.PARTING, Phase.STOPPING, Phase.KILLING)


class World(NamedTuple):
    """One situation.  child: none, forked (not executed yet), running.  deadline: what it would say.  closing: a life is being closed.  open: a life
    was begun and is not closed.  signalled, killed: what was sent to this child.  goal and done_with: what decides the verdict.  hook: what a command
    beside the program will say when it ends.  probed: the task says when it is ready, else startsecs do.  cared: it was told that it is RUNNING."""

    phase: Phase
    child: str = "none"
    deadline: Event | None = None
    closing: bool = False
    open: bool = False
    signalled: bool = False
    killed: bool = False
    goal: Goal = Goal.ACT
    done_with: bool = False
    rests: bool = False
    hook: Event | None = None
    probed: bool = False
    cared: bool = False


BEGINNINGS = [
    World(Phase.IDLE),
    World(Phase.IDLE, probed=True),
    World(Phase.IDLE, goal=Goal.TRM),
    World(Phase.RUNNING, "running", open=True, cared=True),  # adopted, or ended while nobody watched: its death comes next
    World(Phase.STARTING, "running", Event.LASTED, open=True),
    World(Phase.STARTING, "running", Event.UNWELL, open=True, probed=True),
]


class Broken(AssertionError):
    """The table asked for something that must not be."""


def demand(holds: bool, world: World, what: str) -> None:
    if not holds:
        raise Broken(f"{what}: {world}")


def perform(world: World, effect: Effect) -> World:
    """What an effect does; Broken when it must not be done now."""
    match effect:
        case Effect.PREPARE:
            demand(world.child == "none" and not world.open and not world.closing and world.hook is None, world, "two starts at once")
            demand(world.goal is Goal.ACT, world, "a start is prepared that nobody wants")
            return world._replace(hook=Event.PREPARED, cared=False)
        case Effect.STARTED:
            demand(world.child == "running" and not world.cared, world, "nothing is there to be cared for, or it is already")
            return world._replace(cared=True)
        case Effect.PART:
            demand(world.child == "running" and world.hook is None, world, "nobody is there to be parted from")
            return world._replace(hook=Event.PARTED)
        case Effect.SPAWN:
            demand(world.hook is None, world, "a program is spawned while its hook runs")
            demand(world.child == "none" and not world.open and not world.closing, world, "a second copy is spawned")
            demand(world.goal is Goal.ACT, world, "a program is spawned that nobody wants")
            return world._replace(child="forked", open=True, signalled=False, killed=False)
        case Effect.ARM_STARTSECS:
            demand(world.deadline is None, world, "a second deadline is armed")
            return world._replace(deadline=Event.UNWELL if world.probed else Event.LASTED)
        case Effect.ARM_DELAY | Effect.ARM_GRACE:
            demand(world.deadline is None, world, "a second deadline is armed")
            return world._replace(deadline=DEADLINE[effect])
        case Effect.DISARM:
            return world._replace(deadline=None)
        case Effect.SIGNAL:
            demand(world.child != "none", world, "nobody is signalled")
            demand(world.hook is None or world.deadline is None, world, "a program is signalled while the hook before that runs in its time")
            return world._replace(signalled=True)
        case Effect.KILL:
            demand(world.child != "none" and world.signalled, world, "a program is killed that was never asked to end")
            return world._replace(killed=True)
        case Effect.CLOSE_LIFE:
            demand(world.child == "none", world, "the life of a running program is closed")
            return world._replace(closing=True, hook=None)  # errands end with the life
        case Effect.REST:
            demand(world.child == "none" and not world.closing and not world.open and world.hook is None, world, "it rests with something left")
            return world._replace(rests=True)


def feed(world: World, event: Event) -> World:
    """One event as the worker feeds it."""
    if event is Event.ACT:
        world = world._replace(goal=Goal.ACT)
    if event is Event.TRM:
        world = world._replace(goal=Goal.TRM)
    if event is Event.DONE_WITH:
        world = world._replace(done_with=True)
    if event in VERDICTS:
        world = world._replace(closing=False, open=False, done_with=False, cared=False)
    if event is world.hook or event is Event.REFUSED:
        world = world._replace(hook=None)
    if event is world.deadline:
        world = world._replace(deadline=None)
    phase, effects = step(world.phase, event)
    world = world._replace(phase=phase)
    for effect in effects:
        world = perform(world, effect)
    return world


def outside(world: World) -> Iterator[tuple[Event, World]]:
    """What the kernel, the clock and the closing of a life can say now, and the world in which they say it."""
    if world.deadline is not None:
        yield world.deadline, world
    if world.hook is not None:
        yield world.hook, world
    if world.phase is Phase.PREPARING:
        yield Event.REFUSED, world
    if world.probed and world.phase is Phase.STARTING:
        yield Event.LASTED, world
    if world.phase in (Phase.STARTING, Phase.RUNNING):
        yield Event.UNWELL, world
    if world.child == "forked":
        if world.phase is Phase.SPAWNING:  # the worker looks at its pipe for the news of the exec in this phase only
            yield Event.EXECUTED, world._replace(child="running")
            yield Event.REFUSED, world._replace(child="none")
        yield Event.DIED, world._replace(child="none")
    if world.child == "running":
        yield Event.DIED, world._replace(child="none")
    if world.closing:
        for verdict in VERDICTS if world.goal is Goal.ACT else (Event.ENOUGH,):
            yield verdict, world


def said(world: World) -> Iterator[tuple[Event, World]]:
    """Everything that can be said now, wishes included.  A wish to hurry is always said after the wish to stop."""
    yield Event.ACT, world
    yield Event.TRM, world
    if world.goal is Goal.TRM:
        yield Event.HURRY, world
    if not world.done_with and world.goal is Goal.ACT:
        yield Event.DONE_WITH, world
    yield from outside(world)


def walk() -> tuple[set[World], set[tuple[Phase, Event]]]:
    """Every world that can come to be, and every pair that was met."""
    seen, pairs = set(BEGINNINGS), set[tuple[Phase, Event]]()
    waiting = deque(BEGINNINGS)
    while waiting:
        world = waiting.popleft()
        if world.rests:
            continue
        for event, then in said(world):
            pairs.add((world.phase, event))
            following = feed(then, event)
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return seen, pairs


WORLDS, PAIRS = walk()
PAIR = pytest.mark.parametrize(("phase", "event"), [(phase, event) for phase in Phase for event in Event])


def test_the_walk_meets_every_phase() -> None:
    assert {world.phase for world in WORLDS} == set(Phase)


def test_no_cell_is_dead() -> None:
    cells = {(phase, event) for phase, row in TABLE.items() for event in row}
    assert cells - PAIRS == set()


@pytest.mark.parametrize("phase", Phase)
def test_the_one_deadline_of_a_phase_is_armed_in_that_phase_and_in_no_other(phase: Phase) -> None:
    found = {world.deadline for world in WORLDS if world.phase is phase}
    assert found == OWNED.get(phase, {None})


def test_a_phase_says_whether_there_is_a_child_and_whether_a_life_is_open() -> None:
    for world in WORLDS:
        assert (world.child != "none") == (world.phase in WITH_CHILD), world
        assert world.closing == (world.phase in (Phase.ENDING, Phase.CLOSING)), world
        assert world.open or world.phase in (Phase.IDLE, Phase.WAITING, Phase.REST, Phase.PREPARING, Phase.ENDING, Phase.CLOSING), world
        assert not (world.open and world.phase in (Phase.IDLE, Phase.WAITING, Phase.REST, Phase.PREPARING)), world
        assert world.rests == (world.phase is Phase.REST), world


def test_a_program_is_cared_for_exactly_while_it_is_running_and_on_its_way_out() -> None:
    assert all(world.cared for world in WORLDS if world.phase is Phase.RUNNING)
    assert not any(world.cared for world in WORLDS if world.phase in (Phase.PREPARING, Phase.SPAWNING, Phase.STARTING, Phase.WAITING, Phase.REST))


def test_a_hook_runs_only_before_a_start_and_before_a_stop() -> None:
    assert {world.phase for world in WORLDS if world.hook is Event.PREPARED} == {Phase.PREPARING}
    assert {world.phase for world in WORLDS if world.hook is Event.PARTED} == {Phase.PARTING, Phase.KILLING}


def test_a_program_that_is_not_well_is_asked_to_end_and_judged_like_any_other_end() -> None:
    for world in WORLDS:
        if world.phase in (Phase.STARTING, Phase.RUNNING):
            ended = feed(world, Event.UNWELL)
            assert (ended.phase, ended.deadline, ended.goal) == (Phase.PARTING, Event.GRACE_OVER, world.goal)


def test_a_program_is_killed_only_after_it_was_asked_to_end() -> None:
    assert all(world.signalled for world in WORLDS if world.phase in (Phase.STOPPING, Phase.KILLING))
    assert all(world.killed for world in WORLDS if world.phase is Phase.KILLING)
    assert not any(world.killed for world in WORLDS if world.phase not in (Phase.KILLING, Phase.CLOSING) and world.child != "none")


def test_a_stop_wish_ends_at_rest_whatever_the_world_answers_and_never_starts_anything_again() -> None:
    """From every world: after TRM, and with no further wish, every path of the outside reaches REST, and none is endless."""
    proven: set[World] = set()

    def rests(world: World, trail: tuple[World, ...]) -> None:
        if world.rests or world in proven:
            return
        assert world not in trail, f"an endless stop: {[each.phase.name for each in trail]}"
        answers = [feed(then, event) for event, then in outside(world)]
        assert answers, f"nothing can ever end this: {world}"
        assert all(answer.child == "none" or world.child != "none" for answer in answers), f"a program is started: {world}"
        for answer in answers:
            rests(answer, (*trail, world))
        proven.add(world)

    for world in WORLDS:
        if not world.rests:
            rests(feed(world, Event.TRM), ())


def test_a_hurried_stop_waits_for_no_deadline() -> None:
    for world in WORLDS:
        if not world.rests:
            hurried = feed(feed(world, Event.TRM), Event.HURRY)
            assert hurried.deadline is None, hurried


def test_a_wish_to_stop_never_interrupts_the_closing_of_a_life() -> None:
    for phase in (Phase.ENDING, Phase.CLOSING):
        for wish in WISHES:
            assert step(phase, wish) == Step(phase)


@PAIR
def test_the_table_is_total_and_a_pair_that_is_not_in_it_changes_nothing(phase: Phase, event: Event) -> None:
    result = step(phase, event)
    assert result == TABLE[phase].get(event, Step(phase, ()))
    assert isinstance(result.phase, Phase)
    assert all(isinstance(effect, Effect) for effect in result.effects)


def test_every_phase_has_a_public_state_and_only_rest_has_several() -> None:
    states = {phase: shown(phase) for phase in Phase if phase is not Phase.REST}
    assert {phase for phase, state in states.items() if state.at_rest} == {Phase.IDLE}
    assert set(states.values()) == {State.STOPPED, State.STARTING, State.RUNNING, State.BACKOFF, State.STOPPING}
    with pytest.raises(KeyError):
        shown(Phase.REST)


@pytest.mark.parametrize(
    ("phase", "event", "wrong"),
    [
        (Phase.RUNNING, Event.TRM, Step(Phase.KILLING, (Effect.KILL,))),  # no grace
        (Phase.RUNNING, Event.UNWELL, Step(Phase.PREPARING, (Effect.PREPARE,))),  # a second copy
        (Phase.PREPARING, Event.TRM, Step(Phase.REST, (Effect.DISARM, Effect.REST))),  # leaves a hook behind
        (Phase.STOPPING, Event.DIED, Step(Phase.SPAWNING, (Effect.DISARM, Effect.SPAWN))),  # a life that is not closed
        (Phase.STARTING, Event.TRM, Step(Phase.STOPPING, (Effect.SIGNAL, Effect.ARM_GRACE))),  # two deadlines
        (Phase.RUNNING, Event.DONE_WITH, Step(Phase.REST, (Effect.REST,))),  # leaves a program behind
    ],
)
def test_the_walk_finds_a_wrong_cell(phase: Phase, event: Event, wrong: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE[phase], event, wrong)
    with pytest.raises(Broken):
        walk()

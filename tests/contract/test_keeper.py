"""A keeper and its helper: the helper is played by this test, with a real line, a pipe for its pidfd, and a clock that the test moves."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from efsupervisor.core.keeper import CUT_S, Born, Keeper
from efsupervisor.core.keeping import Phase, Rhythm
from efsupervisor.messages import Health, Leave, Pong, ServicesReport, ToService, decode, encode
from efsupervisor.reactor import Reactor
from efsupervisor.states import State

RHYTHM = Rhythm(period=1.0, deadline=2.0, start=4.0, leave=2.0, abort=0.3, look=0.25)


class Machine:
    """Clock and signals."""

    def __init__(self) -> None:
        self.now = 100.0
        self.signals: list[tuple[int, int]] = []

    def monotonic(self) -> float:
        return self.now

    def wall_ns(self) -> int:
        return int(self.now * 1e9)

    def pidfd_signal(self, pidfd: int, number: int) -> bool:
        self.signals.append((pidfd, number))
        return True


class Helper:
    """One life of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.sock, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setblocking(False)
        self.pidfd, self._life = os.pipe2(os.O_CLOEXEC)
        self.status: int | None = 0

    def say(self, message: object) -> None:
        self.sock.send(encode(message))  # type: ignore[arg-type]

    def heard(self) -> list[object]:
        found = []
        while True:
            try:
                frame = self.sock.recv(1 << 17)
            except BlockingIOError:
                return found
            if not frame:
                return found
            found.append(decode(frame, ToService))

    def cut(self) -> None:
        self.sock.close()

    def die(self, status: int | None = signal.SIGKILL.value) -> None:
        self.status = status
        self.sock.close()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1


class Stage:
    """A keeper whose helpers are ours."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.reactor = Reactor(self.machine)
        self.helpers: list[Helper] = []
        self.refusals = 0
        self.said: list[str] = []
        self.told: list[object] = []
        self.rows: list[State] = []
        self.keeper = Keeper(
            "web",
            self.reactor,
            self.machine,  # type: ignore[arg-type]
            fork=self.fork,
            bury=lambda pid: next(each.status for each in self.helpers if each.pid == pid),
            on_change=lambda: self.rows.append(self.keeper.row().state),
            say=self.said.append,
            on_message=self.told.append,
            rhythm=RHYTHM,
        )

    def fork(self) -> Born:
        if self.refusals:
            self.refusals -= 1
            raise BlockingIOError(11, os.strerror(11))
        helper = Helper(1000 + len(self.helpers))
        self.helpers.append(helper)
        return Born(helper.pid, helper.pidfd, helper.theirs)

    @property
    def now(self) -> Helper:
        return self.helpers[-1]

    def turn(self, count: int = 4) -> None:
        for _ in range(count):
            self.reactor.turn(0)

    def wait(self, seconds: float, alive: bool = False) -> None:
        """Let time pass in steps that are no gap."""
        end = self.machine.now + seconds
        while self.machine.now < end - 1e-9:
            self.machine.now = min(end, self.machine.now + 0.05)
            if alive:
                self.now.say(Pong(number=1))
            self.turn(2)

    def run(self) -> Helper:
        """The helper is wanted and gives its first sign of life."""
        self.keeper.want(True)
        self.now.say(Pong(number=1))
        self.turn()
        assert self.keeper.phase is Phase.RUNNING
        return self.now

    def numbers(self) -> list[int]:
        return [number for _pidfd, number in self.machine.signals]

    def close(self) -> None:
        for helper in self.helpers:
            helper.die()
        self.keeper.want(False)
        self.turn(6)
        self.reactor.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_a_helper_runs_once_it_was_heard(stage: Stage) -> None:
    stage.keeper.want(True)
    stage.turn()
    assert stage.keeper.row().state is State.STARTING
    stage.now.say(Pong(number=1))
    stage.turn()
    row = stage.keeper.row()
    assert (row.state, row.pid, row.restarts, row.reason, row.since) == (State.RUNNING, 1000, 0, "", 100.0)


def test_a_helper_that_gives_signs_of_life_is_left_alone_for_ever(stage: Stage) -> None:
    stage.run()
    stage.wait(60, alive=True)
    assert len(stage.helpers) == 1 and stage.machine.signals == []


def test_a_silent_helper_is_aborted_killed_and_replaced_and_the_reason_is_kept(stage: Stage) -> None:
    helper = stage.run()
    stage.wait(RHYTHM.period + RHYTHM.deadline)
    assert stage.machine.signals == []
    stage.wait(RHYTHM.look + 0.1)
    assert stage.machine.signals == [(helper.pidfd, signal.SIGABRT)]
    stage.wait(RHYTHM.abort + 0.1)
    assert stage.numbers() == [signal.SIGABRT, signal.SIGKILL]
    helper.die()
    stage.turn(6)
    assert len(stage.helpers) == 2
    assert stage.keeper.row().restarts == 1 and stage.keeper.row().reason == "it gave no sign of life for 3 s"


def test_one_that_never_gave_a_sign_is_replaced_too(stage: Stage) -> None:
    stage.keeper.want(True)
    stage.wait(RHYTHM.start + RHYTHM.look + RHYTHM.abort + 0.3)
    assert stage.numbers() == [signal.SIGABRT, signal.SIGKILL]


def test_signs_that_lie_unread_when_the_deadline_passes_are_heard_before_the_verdict(stage: Stage) -> None:
    helper = stage.run()
    for _ in range(60):  # the loop turns, but the line is not looked at: time alone passes
        stage.machine.now += 0.05
        stage.reactor._run_timers()
        stage.reactor.now = stage.machine.now
    helper.say(Pong(number=2))
    stage.wait(RHYTHM.look + 1.0)
    assert stage.machine.signals == [] and stage.keeper.phase is Phase.RUNNING


def test_a_keeper_that_was_stopped_itself_judges_nobody_for_that_time(stage: Stage) -> None:
    stage.run()
    stage.machine.now += 600
    stage.turn(1)
    stage.wait(RHYTHM.period + RHYTHM.deadline - 0.5)
    assert stage.machine.signals == []


def test_a_death_is_replaced_in_the_next_turn_and_told_with_its_cause(stage: Stage) -> None:
    stage.run()
    stage.wait(10, alive=True)
    stage.now.die(signal.SIGSEGV.value)
    stage.turn(3)
    assert len(stage.helpers) == 2
    assert stage.keeper.row().reason == "killed by SIGSEGV"
    assert stage.said == ["web (pid 1000) ended after 10.0 s, killed by SIGSEGV; another one takes over"]


def test_the_last_words_of_a_dead_helper_are_heard(stage: Stage) -> None:
    helper = stage.run()
    helper.say(Health(sentence="the port is taken"))
    helper.say(ServicesReport(rows=[]))
    helper.die(70 << 8)
    stage.turn(3)
    assert stage.told == [ServicesReport(rows=[])]
    assert stage.keeper.row().reason == "exit status 70: the port is taken" and stage.keeper.row().health == ""


def test_quick_deaths_are_followed_by_ever_longer_waits_and_a_long_life_ends_that(stage: Stage) -> None:
    stage.run()
    waits = []
    for _ in range(6):
        stage.now.die(1 << 8)
        began, count = stage.machine.now, len(stage.helpers)
        while len(stage.helpers) == count:
            stage.wait(0.05)
        waits.append(round(stage.machine.now - began, 2))
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6] or waits == sorted(waits)
    assert waits[-1] >= 1.6 and stage.keeper.row().restarts == 6
    stage.wait(30, alive=True)
    stage.now.die(1 << 8)
    stage.turn(3)
    assert len(stage.helpers) == 8


def test_a_machine_that_cannot_fork_is_asked_again_and_said_once(stage: Stage) -> None:
    stage.refusals = 5
    stage.keeper.want(True)
    stage.turn()
    assert stage.keeper.row().state is State.BACKOFF and "could not be started" in stage.keeper.row().reason
    stage.wait(5)
    assert len(stage.helpers) == 1 and len(stage.said) == 1


def test_a_helper_that_is_not_wanted_is_asked_to_leave_and_rests_when_it_did(stage: Stage) -> None:
    helper = stage.run()
    stage.keeper.want(False, "web.enabled is false")
    assert helper.heard() == [Leave()] and stage.keeper.row().state is State.STOPPING
    helper.die(0)
    stage.turn(3)
    row = stage.keeper.row()
    assert (row.state, row.pid, row.reason, len(stage.helpers)) == (State.STOPPED, 0, "web.enabled is false", 1)
    assert stage.said == [] and stage.machine.signals == []


def test_one_that_does_not_leave_is_killed(stage: Stage) -> None:
    stage.run()
    stage.keeper.want(False)
    stage.wait(RHYTHM.leave + 0.1, alive=True)
    assert stage.numbers() == [signal.SIGKILL]


def test_one_that_is_wanted_again_while_it_leaves_is_followed_by_another(stage: Stage) -> None:
    helper = stage.run()
    stage.keeper.want(False)
    stage.keeper.want(True)
    helper.die(0)
    stage.turn(3)
    assert len(stage.helpers) == 2 and stage.keeper.row().state is State.STARTING


def test_a_helper_whose_line_is_cut_but_that_lives_is_ended(stage: Stage) -> None:
    helper = stage.run()
    helper.cut()
    stage.turn()
    assert stage.machine.signals == []
    stage.wait(CUT_S + RHYTHM.look + RHYTHM.abort + 0.2)
    assert stage.numbers() == [signal.SIGABRT, signal.SIGKILL]


def test_a_helper_that_says_what_is_no_message_is_ended(stage: Stage) -> None:
    helper = stage.run()
    helper.sock.send(b"\x01nonsense")
    stage.wait(CUT_S + RHYTHM.look + RHYTHM.abort + 0.3)
    assert stage.numbers() == [signal.SIGABRT, signal.SIGKILL]


def test_health_is_part_of_the_row_and_bounded(stage: Stage) -> None:
    helper = stage.run()
    helper.say(Health(sentence="x" * 5000))
    stage.turn()
    assert stage.keeper.row().health == "x" * 1000

"""The kill test: SIGKILL of every process of ours and of the programs, at random instants and between the steps, under traffic.

What must hold (DESIGN section 10, P1, P3, P6): nothing lost, torn or reordered on any edge and in any log; nothing doubled in one life; nothing
redelivered though it was acknowledged; never two copies of a program; no program's pid changed by a death of ours; exit statuses right or
unknown.

The small run belongs to `make test`; EFS_CHAOS=full runs 2,000 worker kills, 200 of the Core, 200 of both at once and 500 of programs.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.states import State
from efsupervisor.task import lives
from tests.support import naive_supervisor, processes, witness
from tests.support.field import RESTARTS, Field
from tests.support.nemesis import Nemesis, Sampler, Tally
from tests.support.programs import lines
from tests.support.report import Report
from tests.support.supervisor import ROOT, Supervisor, program
from tests.support.wait import Overdue, until
from tests.support.witness import History, Key, Verdict


def conclude(field: Field, nemesis: Nemesis, sampler: Sampler, report: Report) -> None:
    """Drain, judge, print, and fail with everything that was found."""
    trouble = field.settle_down()
    verdicts = field.verdicts()
    sampler.finish()
    report(nemesis.tally, verdicts, sampler.copies + sum(verdict.copies for verdict in verdicts))
    bad = [str(verdict) for verdict in verdicts if not verdict.clean]
    assert not bad, f"seed {nemesis.tally.seed}, faults {nemesis.tally.faults}\n" + "\n".join([*bad, trouble])
    assert not trouble, trouble
    assert sampler.copies == 0, sampler.result
    assert all(verdict.lines for verdict in verdicts if "log" in verdict.name), "no lines were written: this run proves nothing"


def assert_same_programs(field: Field) -> None:
    """No program was started twice, so no pid changed."""
    assert field.lives() == dict.fromkeys(field.tasks, 1)


@contextlib.contextmanager
def battle(field: Field, seed: int) -> Iterator[tuple[Nemesis, Sampler]]:
    """A field under traffic, its nemesis and the sampler outside."""
    with Sampler(field.supervisor) as sampler, field.supervisor:
        field.await_traffic()
        yield Nemesis(field.supervisor, field.tasks, seed, streams={"F"}), sampler


def test_killed_workers_lose_tear_and_double_nothing_and_no_program_notices(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    field = Field(tmp_path, seed=seed)
    with battle(field, seed) as (nemesis, sampler):
        while nemesis.tally.total < (2000 if full else 120):
            nemesis.strike_worker()
        conclude(field, nemesis, sampler, report)
        assert_same_programs(field)


def test_a_killed_core_costs_nothing_and_its_successor_is_in_charge_again(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    field = Field(tmp_path, seed=seed)
    with battle(field, seed) as (nemesis, sampler):
        while nemesis.tally.total < (200 if full else 10):
            nemesis.strike_core()
        conclude(field, nemesis, sampler, report)
        assert_same_programs(field)


def test_core_and_workers_killed_at_the_same_instant_cost_nothing(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    field = Field(tmp_path, seed=seed)
    with battle(field, seed) as (nemesis, sampler):
        while nemesis.tally.total < (200 if full else 10):
            nemesis.strike_both()
        conclude(field, nemesis, sampler, report)
        assert_same_programs(field)


def test_killed_programs_come_back_and_get_what_they_had_not_acknowledged(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    field = Field(tmp_path, seed=seed, crash=0.0005)
    with battle(field, seed) as (nemesis, sampler):
        while nemesis.tally.faults.get("program", 0) < (500 if full else 40):
            nemesis.strike_program(field.tasks)
        conclude(field, nemesis, sampler, report)
        assert sum(field.lives().values()) > len(field.tasks)


def test_everything_at_once_in_one_run(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    field = Field(tmp_path, seed=seed, crash=0.0005, segment=64 << 10, supervisor={"ping_s": 0.5, "ping_deadline_s": 1})
    dice = random.Random(seed)
    with battle(field, seed) as (nemesis, sampler):

        def program() -> None:
            nemesis.strike_program(field.tasks)

        def pause() -> None:
            nemesis.pause_program(field.tasks)

        acts: list[Callable[[], None]] = [nemesis.strike_worker, nemesis.strike_core, nemesis.strike_both, program, pause]
        while nemesis.tally.total < (600 if full else 40):
            dice.choices(acts, [10, 1, 1, 6, 2])[0]()
        conclude(field, nemesis, sampler, report)


def test_a_stopped_worker_is_replaced_and_its_program_goes_on(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    field = Field(tmp_path, seed=seed, supervisor={"ping_s": 0.2, "ping_deadline_s": 0.5})
    with battle(field, seed) as (nemesis, sampler):
        while nemesis.tally.total < (30 if full else 4):
            nemesis.stop_worker(8.0)
        conclude(field, nemesis, sampler, report)
        assert_same_programs(field)


def fault_points() -> list[str]:
    """The names of all fault points, from the program's own text."""
    text = "\n".join(path.read_text() for path in (ROOT / "efsupervisor").rglob("*.py"))
    return sorted(set(re.findall(r"""\bfault\(\s*f?["']([a-z_]+:[a-z_]+)["']""", text)))


RARE = {"rotate": 0.3, "claims": 0.01, "register": 0.0005}


def test_deaths_between_the_steps_cost_nothing(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    names = fault_points()
    assert len(names) >= 5, names
    armed = ",".join(f"{name}={RARE.get(name.partition(':')[0], 0.02)}" for name in names)
    field = Field(tmp_path, seed=seed, segment=64 << 10, crash=0.0005, environment={"EFSUPERVISOR_FAULTS": armed})
    with Sampler(field.supervisor) as sampler, field.supervisor:
        field.await_traffic()
        nemesis, seen = Nemesis(field.supervisor, field.tasks, seed), set[tuple[int, int]]()

        def enough() -> bool:
            pid = field.supervisor.core_pid
            if not processes.alive(pid):
                field.supervisor.await_core_end()
                nemesis.tally.struck("core")
                field.supervisor.start()
            seen.update((worker.pid, worker.ticks) for worker in field.supervisor.workers().values())
            return len(seen) - len(field.tasks) >= (500 if full else 25)

        until(enough, 600 if full else 90, lambda: f"workers die at fault points: {len(seen)} were seen\n{field.supervisor.story()}")
        nemesis.tally.struck("fault point", len(seen) - len(field.tasks))
        # the rest of the run is without faults, so that it can end: a new Core, and new workers forked by it
        field.supervisor._environment.pop("EFSUPERVISOR_FAULTS")
        field.supervisor.kill_core()
        for worker in list(field.supervisor.workers().values()):
            processes.send(worker.pid, signal.SIGKILL)
        field.supervisor.start()
        conclude(field, nemesis, sampler, report)


def test_a_stream_consumer_killed_together_with_its_worker_loses_nothing(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    field = Field(tmp_path, seed=seed, parts=("F",), segment=64 << 10)
    with battle(field, seed) as (nemesis, sampler):
        while nemesis.tally.total < (60 if full else 6):
            program_pid, worker_pid = field.supervisor.program_pid("F"), field.supervisor.worker_pid("F")
            for pid in nemesis.dice.sample([program_pid, worker_pid], 2):
                processes.send(pid, signal.SIGKILL)
            nemesis.tally.struck("program with worker")
            until(lambda: field.supervisor.program_now("F") not in (0, program_pid), 20, lambda: f"F is back\n{field.supervisor.story()}")  # noqa: B023
        trouble = field.settle_down()
        verdicts = field.verdicts()
        sampler.finish()
        report(nemesis.tally, [verdict for verdict in verdicts if verdict.clean], sampler.copies)
        assert not [str(one) for one in verdicts if one.lost or one.torn or one.reordered or one.unknown or one.copies], (seed, verdicts)
        assert not trouble


def test_two_streams_into_one_program_never_mix_inside_a_record(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    least, stop, number = 90_000, tmp_path / "stop", seed % 1_000_000
    tasks: dict[str, dict[str, Any]] = {
        name: {
            "command": program(
                "producer", tmp_path / f"{name}.witness", f"seed={number}", "rate=60", f"least={least}", f"first={first}", f"stop={stop}"
            ),
            **RESTARTS,
        }
        for name, first in (("P1", 0), ("P2", 1_000_000))
    }
    tasks["F"] = {"command": program("stream_consumer", tmp_path / "F.witness", "largest_read=20000"), **RESTARTS}
    supervisor = Supervisor(tmp_path, tasks, {"both": {"from": ["P1", "P2"], "to": "F", "start": "begin"}})
    with Sampler(supervisor) as sampler, supervisor:
        nemesis = Nemesis(supervisor, ["F"], seed)
        while nemesis.tally.total < (200 if full else 8):
            nemesis.strike_worker()
        stop.touch()
        producers = [(first, supervisor.witness(name)) for name, first in (("P1", 0), ("P2", 1_000_000))]

        def expected() -> list[list[Key]]:
            return [
                [key for produced in witness.produced_by(witness.read_history(path), first) for key in produced.certain] for first, path in producers
            ]

        def received() -> list[History]:
            history = witness.read_history(supervisor.witness("F"))
            return [history.only(lambda seq, first=first: first <= seq < first + 1_000_000) for first, _ in producers]  # type: ignore[misc]

        def drained() -> bool:
            return [len(keys) for keys in expected()] <= [sum(len(life.received) for life in one.lives) for one in received()]

        until(lambda: all(b"\nF " in path.read_bytes() for _, path in producers), 20, "both producers are done")
        with contextlib.suppress(Overdue):
            until(drained, 30)
        verdicts = [
            witness.stream_edge(f"P{n} -> F", keys, [len(lines.make(number, *key, least=least)) for key in keys], history, largest_read=20_000)
            for n, (keys, history) in enumerate(zip(expected(), received(), strict=True), 1)
        ]
        sampler.finish()
        report(nemesis.tally, verdicts, sampler.copies)
        assert all(verdict.clean and verdict.lines for verdict in verdicts), "\n".join([f"seed {seed}", *map(str, verdicts), supervisor.story()])


# Starts ---------------------------------------------------------------------------------------------------------------------------------------------


def test_a_worker_killed_around_a_start_never_leaves_two_copies(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    names = [f"X{number}" for number in range(6)]
    tasks = {name: {"command": program("exiter", tmp_path / f"{name}.witness", "lives_s=0.03"), **RESTARTS} for name in names}
    supervisor = Supervisor(tmp_path, tasks)
    with Sampler(supervisor) as sampler, supervisor:
        until(lambda: all((tmp_path / f"{name}.witness").exists() for name in names), 20, "every program has started")
        nemesis = Nemesis(supervisor, names, seed)
        while nemesis.tally.total < (600 if full else 60):
            nemesis.strike_worker()
        before = {name: len(witness.read_history(tmp_path / f"{name}.witness").lives) for name in names}
        until(
            lambda: all(len(witness.read_history(tmp_path / f"{name}.witness").lives) > before[name] for name in names),
            20,
            "every program goes on being restarted",
        )
    histories = {name: witness.read_history(tmp_path / f"{name}.witness") for name in names}
    verdicts = [Verdict(name, len(history.lives), copies=history.copies) for name, history in histories.items()]
    wrong = [sentence for name, history in histories.items() for sentence in wrong_statuses(supervisor, name, history)]
    report(nemesis.tally, verdicts, sampler.copies + sum(verdict.copies for verdict in verdicts))
    assert sampler.copies == 0, (seed, sampler.result)
    assert all(verdict.clean for verdict in verdicts), (seed, verdicts)
    assert not wrong, (seed, wrong[:20])


def wrong_statuses(supervisor: Supervisor, task: str, history: witness.History) -> list[str]:
    """Exit statuses in the incarnation log that are neither what the program says nor unknown."""
    told = {life.incarnation: life.code for life in history.lives}
    wrong, known = [], 0
    data = (supervisor.task_dir(task) / "lives").read_bytes()
    for at in range(0, len(data), lives.RECORD_BYTES):
        record = lives.decode(data[at : at + lives.RECORD_BYTES])
        if record is None or record.kind != lives.END or record.status is None or told.get(record.incarnation) is None:
            continue
        known += 1
        if os.waitstatus_to_exitcode(record.status) != told[record.incarnation]:
            # a program that was told to stop dies by the stop signal after it had said how it would end
            if record.incarnation == max(told) and record.status == signal.SIGTERM:
                continue
            wrong.append(f"{task} incarnation {record.incarnation}: recorded {record.status}, it ended with {told[record.incarnation]}")
    if len(told) != len(history.lives):
        wrong.append(f"{task}: an incarnation number was used twice")
    if not known:
        wrong.append(f"{task}: no exit status is known at all")
    return wrong


def test_exit_statuses_of_jobs_are_right_or_unknown_whoever_was_killed(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    dice, rounds = random.Random(seed), 12 if full else 2
    ends = {f"J{number}": ("code", number) for number in range(1, 9)} | {"JK": ("signal", int(signal.SIGUSR1)), "J0": ("code", 0)}
    tasks = {
        name: {"command": program("exiter", tmp_path / f"{name}.witness", "lives_s=0.6", f"{how}={number}"), "kind": "job", "autostart": False}
        for name, (how, number) in ends.items()
    }
    tally, unknown = Tally(seed), 0
    supervisor = Supervisor(tmp_path, tasks)
    with Sampler(supervisor) as sampler, supervisor:
        for turn in range(rounds):
            acted = supervisor.efctl("act", "--no-wait", *ends)
            assert acted.returncode == 0, acted
            until(lambda: all(len(witness.read_history(tmp_path / f"{name}.witness").lives) > turn for name in ends), 20, "every job has begun")  # noqa: B023
            for name in dice.sample(sorted(ends), 5):
                worker = supervisor.workers().get(name)
                if worker:
                    tally.struck("worker", processes.send(worker.pid, signal.SIGKILL))
            if turn % 2:
                supervisor.kill_core()
                tally.struck("core")
                supervisor.start()
            for name, (how, number) in ends.items():
                row = supervisor.await_state(name, State.EXITED, deadline_s=30)
                if row.exit_known:
                    assert row.exit_status is not None
                    assert os.waitstatus_to_exitcode(row.exit_status) == (-number if how == "signal" else number), (seed, row)
                else:
                    assert row.exit_status is None, (seed, row)
                    unknown += 1
    report(tally, [], sampler.copies)
    assert tally.total > 0
    assert unknown <= tally.faults.get("core", 0) * len(ends), f"{unknown} unknown statuses although the Core lived (seed {seed})"


# A deliberately wrong implementation ----------------------------------------------------------------------------------------------------------------


def test_the_checker_catches_a_supervisor_that_writes_its_mark_after_the_write(tmp_path: Path, seed: int) -> None:
    armed, launcher = {"EFSUPERVISOR_FAULTS": f"{naive_supervisor.FAULT}=0.002"}, ROOT / "tests" / "support" / "naive_supervisor.py"
    field = Field(tmp_path, seed=seed, rate=3000, parts=("E8", "F"), noise=0.0, environment=armed, launcher=launcher)
    with field.supervisor:
        field.await_traffic()
        nemesis, deadline = Nemesis(field.supervisor, ["E8", "F"], seed), time.monotonic() + 60
        caught: list[Verdict] = []
        while not caught and time.monotonic() < deadline:
            for _ in range(4):
                nemesis.strike_worker()
            caught = [verdict for verdict in _while_running(field) if verdict.torn or verdict.doubled or verdict.lost or verdict.reordered]
    assert caught, f"{nemesis.tally.total} worker kills of a naive supervisor were not caught (seed {seed})"


def _while_running(field: Field) -> list[Verdict]:
    expected = field.expected()
    return [
        witness.event_edge("P -> E8", expected, field.history("E8"), window=8, complete=False),
        witness.stream_edge("P -> F", expected, field._sizes(expected), field.history("F"), largest_read=65536, complete=False),
    ]


@pytest.mark.parametrize("name", ["naive_supervisor.py"])
def test_the_naive_supervisor_differs_in_its_register_only(name: str) -> None:
    text = (ROOT / "tests" / "support" / name).read_text()
    assert "register_class" in text
    assert "utime" not in text.partition("class")[2]

"""Samples stay in bounded memory, whatever the number of tasks."""

from __future__ import annotations

from efsupervisor.core.collector import memory
from efsupervisor.core.collector.memory import ROW, Memory
from efsupervisor.messages.call import NodeSample, TaskSample


def sample(wall: float) -> TaskSample:
    return TaskSample(wall=wall, cpu=12.5, rss=1 << 40, threads=3, fds=4, processes=2, read=0.5, written=1e9, worker_rss=7)


def test_a_sample_comes_back_as_it_was() -> None:
    kept = Memory(10)
    kept.task("a", sample(1.0))
    assert kept.last_of_tasks((), 1)[0].samples == [sample(1.0)]


def test_the_last_samples_stay() -> None:
    kept = Memory(3)
    for number in range(10):
        kept.task("a", sample(number))
        kept.node(NodeSample(wall=number))
    assert [one.wall for one in kept.last_of_tasks({"a"}, 9)[0].samples] == [7, 8, 9]
    assert [one.wall for one in kept.last_of_node(2)] == [8, 9]


def test_all_together_never_hold_more_than_their_limit() -> None:
    kept = Memory(1000)
    for turn in range(4):
        for number in range(memory.MAX_SAMPLES // 3):
            kept.task(str(number), sample(turn))
    assert sum(len(samples) for samples in kept._tasks.values()) <= memory.MAX_SAMPLES


def test_tasks_that_are_no_more_are_forgotten() -> None:
    kept = Memory(5)
    kept.task("a", sample(1))
    kept.task("b", sample(1))
    kept.only(["b"])
    assert [row.task for row in kept.last_of_tasks((), 1)] == ["b"]


def test_a_long_history_comes_in_rows_that_fit_into_a_frame() -> None:
    kept = Memory(ROW * 2 + 1)
    for number in range(ROW * 2 + 1):
        kept.task("a", sample(number))
    rows = kept.last_of_tasks((), ROW * 3)
    assert [len(row.samples) for row in rows] == [ROW, ROW, 1]
    assert [row.task for row in rows] == ["a"] * 3


def test_a_shorter_memory_takes_hold_with_the_next_samples() -> None:
    kept = Memory(10)
    for number in range(10):
        kept.task("a", sample(number))
        kept.node(NodeSample(wall=number))
    kept.configure(4)
    kept.task("a", sample(10))
    assert len(kept.last_of_tasks((), 100)[0].samples) == 4
    assert len(kept.last_of_node(100)) == 4

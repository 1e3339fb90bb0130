"""Bookkeeping of the dead."""

from __future__ import annotations

from collections.abc import Iterator

from efsupervisor.core.reaper import Dead, Graveyard, Reaper


def reaper(*dead: Dead) -> tuple[Reaper, list[Dead]]:
    corpses: Iterator[Dead] = iter(dead)
    told: list[Dead] = []
    return Reaper(lambda: next(corpses, None), told.append), told


def test_a_process_is_known_by_pid_and_start_time_never_by_pid_alone() -> None:
    yard = Graveyard()
    yard.bury(Dead(100, 5555, 256))
    assert yard.status(100, 5555) == 256
    assert yard.status(100, 5556) is None


def test_a_pid_that_is_used_again_keeps_both_statuses() -> None:
    yard = Graveyard()
    yard.bury(Dead(100, 1, 0))
    yard.bury(Dead(100, 2, 9))
    assert (yard.status(100, 1), yard.status(100, 2)) == (0, 9)


def test_only_the_last_dead_are_remembered() -> None:
    yard = Graveyard(size=3)
    for number in range(5):
        yard.bury(Dead(number, 1, number))
    assert [yard.status(number, 1) for number in range(5)] == [None, None, 2, 3, 4]


def test_each_reaped_child_is_told_of_once() -> None:
    one, told = reaper(Dead(2, 1, 0), Dead(3, 1, 9))
    assert [one.reap_one(), one.reap_one(), one.reap_one()] == [True, True, False]
    assert told == [Dead(2, 1, 0), Dead(3, 1, 9)]


def test_a_question_that_comes_before_the_signal_is_answered_by_reaping_first() -> None:
    one, told = reaper(Dead(2, 1, 0), Dead(3, 7, 139), Dead(4, 1, 0))
    assert one.status(3, 7) == 139
    assert told == [Dead(2, 1, 0), Dead(3, 7, 139)]


def test_the_status_of_a_stranger_is_unknown_and_not_zero() -> None:
    one, _told = reaper(Dead(2, 1, 0))
    assert one.status(99, 1) is None

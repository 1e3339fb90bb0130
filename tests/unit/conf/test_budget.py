"""Arithmetic of descriptors and pipe memory."""

from __future__ import annotations

from efsupervisor.conf.budget import Limits, limits, shortages


def test_too_few_descriptors_are_told_with_both_figures_and_the_cure() -> None:
    (short,) = shortages(191, Limits(1024))
    assert short.fatal
    assert short.sentence == (
        "needs 1,210 descriptors, may have 1,024: 191 tasks are too many; "
        "raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd) or run at most 160 tasks"
    )


def test_the_number_of_tasks_that_is_advised_is_exactly_the_largest_that_fits() -> None:
    assert shortages(160, Limits(1024)) == []
    assert len(shortages(161, Limits(1024))) == 1
    assert "at most 0 tasks" in shortages(1, Limits(10))[0].sentence


def test_without_limits_nothing_is_short() -> None:
    assert shortages(1_000_000, Limits(None)) == []


def test_pipe_memory_over_the_soft_limit_is_slower_and_over_the_hard_limit_fatal() -> None:
    assert shortages(341, Limits(None, 16_384, None)) == []
    (soft,) = shortages(342, Limits(None, 16_384, None))
    assert (soft.fatal, soft.sentence) == (
        False,
        "needs 16,416 pages of pipe memory, may have 16,384: with 342 tasks further pipes are small and slower; "
        "raise fs.pipe-user-pages-soft or run as root",
    )
    (hard,) = shortages(342, Limits(None, 16_384, 16_384))
    assert hard.fatal
    assert "the kernel would make no more pipes" in hard.sentence


def test_the_machine_says_what_it_allows() -> None:
    found = limits()
    assert found.descriptors is None or found.descriptors > 0
    assert found.pipe_pages_soft is None or found.pipe_pages_soft > 0

"""What decides in the benchmarks: whether a target is met, and what a reader sees."""

from __future__ import annotations

import pytest

from benchmarks.figures import Figure, Target, as_rst, number, ratio, table

RESTART = Figure("restart", "ms", [9.0, 7.0, 8.0], Target(10.0), {"supervisord": 1020.0, "runit": "n/a"}, "a | b")
BARE = Figure("idle", "%", [0.0])


def test_the_value_is_the_median() -> None:
    assert RESTART.value == 8.0


@pytest.mark.parametrize(("at_least", "value", "met"), [(False, 5.0, True), (False, 5.1, False), (True, 5.0, True), (True, 4.9, False)])
def test_a_target_is_a_bound_above_or_below(at_least: bool, value: float, met: bool) -> None:
    assert Figure("x", "s", [value], Target(5.0, at_least=at_least)).met is met


def test_without_a_target_nothing_is_met_or_missed() -> None:
    assert BARE.met is None


def test_a_ratio_is_ours_to_theirs() -> None:
    assert ratio(RESTART, "supervisord") == pytest.approx(8 / 1020)


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.12345, "0.123"), (99.94, "99.9"), (1234567.0, "1,234,567")])
def test_numbers_have_three_figures_that_matter(value: float, text: str) -> None:
    assert number(value) == text


def test_each_peer_has_one_column_whoever_was_measured() -> None:
    head, restart, idle = table([RESTART, BARE]).splitlines()
    assert head.split() == ["figure", "ours", "unit", "target", "met", "spread", "supervisord", "runit", "note"]
    assert restart.split()[-5:] == ["1,020", "n/a", "a", "|", "b"]
    assert idle.split() == ["idle", "0", "%"]


def test_the_page_has_as_many_cells_in_each_row_no_accidental_markup_and_says_what_was_left_out() -> None:
    text = as_rst("2 cores (a_model_ *x*)", [RESTART, BARE], {"s6": "it is `not` there"}, "2026-11-24")
    lines = text.splitlines()
    first, others = (sum(line.startswith(f"   {mark} -") for line in lines) for mark in ("*", " "))
    assert (first, others) == (3, 3 * 8)  # a header and two figures; as many cells in each
    assert "Measured on 2026-11-24: 2 cores (a\\_model\\_ \\*x\\*)." in lines
    assert "     - a \\| b" in lines and "     - 1,020" in lines
    assert lines[-1] == "- s6: it is \\`not\\` there"


def test_a_column_that_nobody_fills_is_left_out_of_the_page() -> None:
    text = as_rst("here", [BARE], {}, "2026-11-24")
    assert "target" not in text and "spread" not in text and "Not measured" not in text

"""The live table: order, filter, keys, and what fits on a screen."""

from __future__ import annotations

from typing import Any

import pytest

from efsupervisor.cli import render, top
from efsupervisor.cli.terminal import PLAIN, Look
from efsupervisor.cli.top import Row, Shot, View, keys, ordered, press, screen
from efsupervisor.messages import TaskStatus
from efsupervisor.messages.call import NodeSample, TaskSample
from efsupervisor.states import Goal, State
from tests.unit.cli.test_answers import HOSTILE


def row(name: str, cpu: float | None = None, rss: int = 0, **fields: Any) -> Row:
    status = TaskStatus(**({"name": name, "state": State.RUNNING, "goal": Goal.ACT} | fields))
    return Row(status, TaskSample(wall=1.0, cpu=cpu, rss=rss) if cpu is not None else None)


ROWS = [row("web", 2.0, 900, restarts=1), row("db", 50.0, 100, lag_bytes=7), row("job", outstanding=3, state=State.FATAL), row("app", 2.0, 500)]


def names(view: View) -> list[str]:
    return [each.status.name for each in ordered(ROWS, view)]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), ["db", "app", "web", "job"]),
        (View(upside_down=True), ["job", "app", "web", "db"]),
        (View("memory"), ["web", "app", "db", "job"]),
        (View("restarts"), ["web", "app", "db", "job"]),
        (View("lag"), ["db", "app", "job", "web"]),
        (View("inflight"), ["job", "app", "db", "web"]),
        (View("name"), ["app", "db", "job", "web"]),
        (View("name", upside_down=True), ["web", "job", "db", "app"]),
        (View(filter="B"), ["db", "web", "job"]),
        (View(filter="fatal"), ["job"]),
        (View(filter="nothing"), []),
    ],
)
def test_the_order_and_the_filter_are_what_was_chosen_and_equal_ones_stand_by_name(view: View, expected: list[str]) -> None:
    assert names(view) == expected


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("cm", ["c", "m"]),
        ("\x1b[A\x1b[Bq", ["up", "down", "q"]),
        ("\x1b[5~\x1b[6~", ["page up", "page down"]),
        ("\x1b", ["\x1b"]),
        ("\x1b[200~paste", []),
        ("/ä", ["/", "ä"]),
    ],
)
def test_an_escape_sequence_is_one_key(typed: str, found: list[str]) -> None:
    assert list(keys(typed)) == found


def after(view: View, typed: str, count: int = 100, page: int = 10) -> View:
    for key in keys(typed):
        view = press(view, key, count, page)
    return view


def test_a_key_chooses_an_order_and_the_same_again_turns_it_round() -> None:
    assert after(View(first=7), "m") == View("memory")
    assert after(View(), "mm") == View("memory", upside_down=True)
    assert after(View(), "mmm") == View("memory")
    assert after(View(), "mmr") == View("restarts")


def test_moving_stays_inside() -> None:
    assert after(View(), "\x1b[A").first == 0
    assert after(View(), "\x1b[B\x1b[6~").first == 11
    assert after(View(), "\x1b[F").first == 90
    assert after(View(), "\x1b[F\x1b[B").first == 90
    assert after(View(), "\x1b[B", count=5).first == 0


def test_a_filter_is_typed_taken_back_and_given_up() -> None:
    assert after(View(), "/wex\x7fb") == View(filter="web", typing=True)
    assert after(View(), "/web\rq") == View(filter="web", over=True)
    assert press(View(filter="web", typing=True), "\x1b", 1, 1) == View()
    assert press(View(filter="web"), "\x1b", 1, 1) == View()
    assert after(View(), "/q").over is False


def test_q_ends_and_an_unknown_key_does_nothing() -> None:
    assert after(View(), "q").over
    assert after(View(), "x") == View()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("height", [1, 3, 5, 30])
@pytest.mark.parametrize("look", [PLAIN, Look(True, True, 200)])
def test_a_screen_is_never_larger_than_the_terminal(width: int, height: int, look: Look) -> None:
    lines = screen(Shot(ROWS * 10, NodeSample(wall=1.0, cpus=2), "no figures"), View(), width, height, look)
    assert len(lines) <= height
    for line in lines:
        plain = line
        for style in ("1", "2", "7", "31", "32", "33", "36", "0"):
            plain = plain.replace(f"\x1b[{style}m", "")
        assert "\x1b" not in plain
        assert render.width(plain) <= width


def test_the_screen_shows_figures_the_chosen_order_and_the_rest_of_a_moved_list() -> None:
    lines = screen(Shot(ROWS, NodeSample(wall=1.0, cpu=12.0, cpus=2)), View(), 160, 20)
    assert "4 tasks" in lines[0] and "1 FATAL" in lines[0] and "cpu 12% of 2" in lines[0]
    assert lines[2].split()[4] == "CPU%*"
    assert lines[3].split()[:6] == ["db", "RUNNING", "-", "-", "50.0", "100"]
    assert screen(Shot(ROWS), View(first=1), 160, 20)[3].split()[0] == "app"
    assert "filter: w_" in screen(Shot(ROWS), View(filter="w", typing=True), 160, 20)[1]


def test_what_is_untrusted_is_made_harmless_and_trouble_is_said() -> None:
    hostile = row("a", reason=HOSTILE)
    assert "\x1b[2J" not in "".join(screen(Shot([hostile], None, HOSTILE), View(filter="a"), 160, 20))
    assert screen(Shot([], None, "efsupervisord is not running"), View(), 60, 20)[0] == "efsupervisord is not running"


def test_a_script_gets_the_whole_table() -> None:
    assert [line.split()[0] for line in top.text(ROWS, View("name")).splitlines()] == ["NAME", "app", "db", "job", "web"]
    assert top.text([], View()) == "there are no tasks\n"

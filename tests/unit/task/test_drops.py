"""`overflow: drop-oldest`: what is skipped is told without a flood, never tears a record, and works for groups."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from efsupervisor.journal import Claims, Writer
from efsupervisor.messages import InEdge
from efsupervisor.states import Mode
from efsupervisor.system import REAL
from efsupervisor.task.delivery import EdgeState
from efsupervisor.task.drops import CALM_S, SAY_S, Drops
from efsupervisor.task.share import ShareSource
from efsupervisor.task.source import Batch
from tests.unit.task.table import BOOT


class Ears:
    """A seat that listens."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alerts: list[str] = []
        self.lines: list[str] = []
        self.dirtied = 0
        self.system = SimpleNamespace(monotonic=lambda: self.now)

    def alert(self, what: str, sentence: str) -> None:
        assert what == "dropped"
        self.alerts.append(sentence)

    def say(self, _level: str, sentence: str) -> None:
        self.lines.append(sentence)

    def dirty(self) -> None:
        self.dirtied += 1


def test_the_first_drop_is_an_alert_and_the_following_are_summed_up() -> None:
    ears = Ears()
    seat: Any = ears
    drops = Drops(seat)
    source: Any = SimpleNamespace(edge=SimpleNamespace(id="e", producer="p", max_lag=100), state=SimpleNamespace(dropped=7))
    drops.tell(source, 7)
    assert ears.alerts == ["dropped the oldest 7 bytes of p: more than max_lag (100 bytes) behind; 7 in all"]
    for _ in range(100):
        source.state.dropped += 5
        drops.tell(source, 5)
    assert len(ears.alerts) == 1 and not ears.lines
    ears.now += SAY_S
    source.state.dropped += 5
    drops.tell(source, 5)
    assert ears.lines == ["dropped the oldest 505 bytes of p: more than max_lag (100 bytes) behind; 512 in all"]
    ears.now += CALM_S + 1
    drops.tell(source, 1)
    assert len(ears.alerts) == 2, "after a calm it is news again"


@pytest.fixture
def group(tmp_path: Path) -> Any:
    """A journal of 100 lines of ten bytes and two members of a group on it."""
    journal, edge = str(tmp_path / "out"), tmp_path / "edge"
    edge.mkdir()
    writer = Writer(journal, system=REAL, boot_id=BOOT)
    writer.append(b"".join(b"event %03d\n" % number for number in range(100)))
    writer.close()
    assert Claims.create(str(edge), system=REAL, start=0)
    sources = []
    for member in (1, 2):
        wire = InEdge(id="a" * 16, producer="p", folder=str(edge), journal=journal, mode=Mode.SHARE, member=member, overflow="drop-oldest")
        source = ShareSource(wire, 0, EdgeState("a" * 16, 0, 0), max_event=1 << 20, system=REAL, lost=lambda _: None)
        source.begin(1)
        sources.append(source)
    yield sources
    for source in sources:
        source.close()


def test_a_group_that_is_too_slow_skips_what_nobody_claimed_and_keeps_what_is_out(group: Any) -> None:
    one, two = group
    first = one.take(1, 1 << 16)
    assert isinstance(first, Batch) and bytes(first.data) == b"event 000\n"
    assert one.drop_to(500) == 490  # 10 of 1000 bytes are claimed, 500 may wait
    assert two.drop_to(500) == 0, "another member did it already"
    assert one.drop_to(500) == 0
    following = two.take(1, 1 << 16)
    assert isinstance(following, Batch) and bytes(following.data) == b"event 050\n"
    assert one.state.dropped == 490 and two.state.dropped == 0
    assert one.state.cursor == 0, "what is out is not lost"
    one.give_back(1, 0)
    again = two.take(1, 1 << 16)
    assert isinstance(again, Batch) and bytes(again.data) == b"event 000\n"


def test_a_group_within_its_lag_skips_nothing(group: Any) -> None:
    one, _two = group
    assert one.drop_to(1000) == 0
    found = one.take(1, 1 << 16)
    assert isinstance(found, Batch) and bytes(found.data) == b"event 000\n"


def test_while_another_member_has_the_lock_nothing_is_skipped(group: Any) -> None:
    one, two = group
    with two._claims.locked() as mine:
        assert mine
        assert one.drop_to(10) == 0
    assert one.drop_to(10) == 990

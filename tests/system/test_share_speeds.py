"""A share group gives to each member by its speed: who is ready for an event gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import witness
from tests.support.field import RESTARTS
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until

EVENTS = 10_000
SLOW_S = 0.006
"""Long beside what the machine adds to each event."""


def member(folder: Path, name: str, pause_s: float) -> dict[str, Any]:
    return {
        "command": program("event_consumer", folder / f"{name}.witness", f"pause={pause_s}", "ack=empty", "timed=1"),
        "input": {"protocol": "event", "window": 32},
        **RESTARTS,
    }


@pytest.mark.alone
def test_members_whose_speeds_are_one_to_four_receive_one_to_four(tmp_path: Path) -> None:
    """What counts is how long a member really took for each of its events, which its witness tells: a sleep is longer on a busy machine.

    The window is much larger than one, so that a member is never without an event: at a window of one the way from acknowledgement to next event,
    which is the same for both, is part of the time that each event takes.
    """
    source = tmp_path / "events"
    source.write_bytes(b"".join(b"%d\n" % number for number in range(EVENTS)))
    tasks = {
        "P": {"command": ["cat", str(source)], "kind": "job", "autostart": False},
        "slow": member(tmp_path, "slow", SLOW_S),
        "fast": member(tmp_path, "fast", SLOW_S / 4),
    }
    flows = {"s": {"from": "P", "to": ["slow", "fast"], "mode": "share", "start": "begin"}}
    with Supervisor(tmp_path, tasks, flows) as supervisor:
        supervisor.act("P", wait=False)

        def lives() -> list[witness.Life]:
            histories = [witness.read_history(tmp_path / f"{name}.witness") for name in ("slow", "fast")]
            return [history.lives[0] for history in histories if history.lives]

        until(lambda: sum(len(life.acknowledged) for life in lives()) == EVENTS, 120, supervisor.story)
        slow, fast = lives()
        expected = (slow.busy_us / len(slow.acknowledged)) / (fast.busy_us / len(fast.acknowledged))
        assert len(fast.acknowledged) / len(slow.acknowledged) == pytest.approx(expected, rel=0.2)
        assert 2 < expected < 5, "the machine was too busy for this test to say anything"

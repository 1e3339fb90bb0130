"""A diamond of flows under kills of everything while members come and go and edges are re-wired: nothing lost, order kept per edge, doubled only what
was not acknowledged.

The small run belongs to `make test`; EFS_CHAOS=full passes a million lines of real text through a thousand kills.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.support.diamond import Diamond
from tests.support.nemesis import Nemesis, Sampler
from tests.support.report import Report
from tests.support.wait import until


def test_a_diamond_that_is_rewired_under_kills_loses_nothing_and_keeps_each_edges_order(
    tmp_path: Path, seed: int, full: bool, report: Report
) -> None:
    kills, events, rate = (1000, 1_000_000, 2000) if full else (32, 10_000, 800)
    diamond, dice = Diamond(tmp_path, seed=seed, rate=rate), random.Random(seed)
    with Sampler(diamond.supervisor) as sampler, diamond.supervisor:
        nemesis, changes = Nemesis(diamond.supervisor, diamond.tasks, seed), 0
        diamond.begin()
        until(lambda: diamond.history("D1").lives and diamond.history("D1").lives[0].received, 30, diamond.supervisor.story)

        def program() -> None:
            nemesis.strike_program(diamond.tasks)

        acts: list[Callable[[], None]] = [nemesis.strike_worker, program, nemesis.strike_core, nemesis.strike_both]
        while nemesis.tally.total < kills:
            dice.choices(acts, [10, 8, 1, 1])[0]()
            if nemesis.tally.total > changes * (kills // 8):
                diamond.change_members(changes)
                diamond.change_side()
                changes += 1
        until(lambda: diamond.written() >= events, 1800 if full else 60, lambda: f"{diamond.written()} events\n{diamond.supervisor.story()}")
        trouble = diamond.settle_down(1800 if full else 60)
        sampler.finish()
        verdicts = diamond.verdicts()
        report(nemesis.tally, verdicts, sampler.copies)
    bad = [str(verdict) for verdict in verdicts if not verdict.clean]
    assert not bad, f"seed {seed}, faults {nemesis.tally.faults}\n" + "\n".join([*bad, trouble])
    assert not trouble, trouble
    assert sampler.copies == 0, sampler.result
    assert all(verdict.lines >= events for verdict in verdicts)
    assert changes >= 7 and diamond.side_begun >= 4

"""The one line that a chaos run prints."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.nemesis import Tally
from tests.support.witness import Verdict

Report = Callable[[Tally, list[Verdict], int], None]


def line(name: str, faults: int, seeds: str, verdicts: list[Verdict], copies: int, recovery_ms: dict[str, int]) -> str:
    """The one line of a run."""
    lost = sum(verdict.lost + verdict.torn + verdict.reordered for verdict in verdicts)
    doubled = sum(verdict.doubled + verdict.redelivered_though_acknowledged + verdict.unknown for verdict in verdicts)
    longest = max(recovery_ms.values(), default=0)
    each = ", ".join(f"{kind} {value} ms" for kind, value in sorted(recovery_ms.items()))
    return (
        f"{name}: {faults} faults (seed {seeds}), {sum(verdict.lines for verdict in verdicts):,} lines, {lost} lost, {doubled} doubled, "
        f"{copies} duplicate tasks, max recovery {longest} ms" + (f" ({each})" if len(recovery_ms) > 1 else "")
    )

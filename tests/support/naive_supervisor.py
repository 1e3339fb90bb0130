"""efsupervisord with one deliberate mistake, to prove that the chaos tests can fail: the mark of what went into stdin is written after the write.

This is what a plain reading of "remember how much was sent" gives.  A worker killed between the two is followed by one that sends the piece again.
Between the two is a fault point, FAULT, as the real register has them between its steps, so that a run does not hang on the luck of its kills.
"""

from __future__ import annotations

import sys

from efsupervisor.core.main import main
from efsupervisor.task import stdin
from tests.support.naive_register import FAULT, NaiveRegister

__all__ = ["FAULT", "NaiveRegister", "watchers"]


def watchers() -> list[type]:
    """The watchers that use a register."""
    return [kind for kind in vars(stdin).values() if isinstance(kind, type) and hasattr(kind, "register_class")]


if __name__ == "__main__":
    found = watchers()
    if not found:
        sys.exit("no watcher has a register_class: the naive supervisor would be the honest one")
    for kind in found:
        kind.register_class = NaiveRegister  # type: ignore[attr-defined]
    sys.exit(main())

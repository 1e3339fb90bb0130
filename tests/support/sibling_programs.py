"""Siblings that do nothing useful, in place of the real ones: what is tested is who keeps them.

The Core imports this module in the host's process (launcher_siblings.py says so).  Each sibling obeys files in `var`:

    fail.NAME     it raises at its start
    hang.NAME     its loop is caught in a callback, from the next look on
    still         (at its start) it never looks for orders, so it never wakes up for them
    flood         every sibling logs as fast as it can: `NAME PID record N`; at its end NAME.PID.count says how many
"""

from __future__ import annotations

import os

from efsupervisor.core import service_host
from efsupervisor.core.sibling import Sibling
from efsupervisor.errors import EfError

LOOK_S = 0.05
"""How often they look for orders."""
BURST = 50
PADDING = "x" * 60

run = service_host.run


class Program:
    """One sibling's part."""

    def __init__(self, sibling: Sibling) -> None:
        self.sibling = sibling
        self.count = 0
        sibling.on_leave(self.leave)
        sibling.on_configure(lambda spec: sibling.log.info("configured: web.port %d", spec.web.port))
        if not self.told("still"):
            self.look()
        if self.told("flood"):
            self.flood()

    def told(self, what: str) -> bool:
        return os.path.exists(f"{self.sibling.var}/{what}")

    def look(self) -> None:
        self.sibling.reactor.after(LOOK_S, self.look)
        while self.told(f"hang.{self.sibling.name}"):
            self.count += 0

    def flood(self) -> None:
        if self.sibling.leaving:
            return
        for _ in range(BURST):
            self.sibling.log.info("%d record %d %s", os.getpid(), self.count, PADDING)
            self.count += 1
        self.sibling.reactor.defer(self.flood)

    def leave(self) -> None:
        self.sibling.log.info("leaving")
        with open(f"{self.sibling.var}/{self.sibling.name}.{os.getpid()}.count", "w", encoding="ascii") as file:
            file.write(str(self.count))


def main(sibling: Sibling) -> None:
    """The life of each of them."""
    if os.path.exists(f"{sibling.var}/fail.{sibling.name}"):
        raise EfError("it was told to fail")
    Program(sibling)
    sibling.run()


service_host.SIBLINGS.update(dict.fromkeys(service_host.SIBLINGS, f"{__name__}:main"))

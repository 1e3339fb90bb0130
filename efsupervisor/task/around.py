"""What stands around a program: its private folder, its hooks, the care for it, its control group.  The worker has one of these and knows no more.

All of it belongs to one life: `prepare` makes it, `closed` takes it away; after an adoption `adopt` finds what there is.  It decides nothing: what it
learns goes to the worker (Ears), which feeds the life-cycle.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from efsupervisor.errors import SpawnFailed
from efsupervisor.task import care, private, spawn, tree
from efsupervisor.task.care import Care, Life
from efsupervisor.task.errand import Errands
from efsupervisor.task.hooks import AFTER_EXIT, AFTER_START, BEFORE_START, BEFORE_STOP, Hooks
from efsupervisor.task.packing import Packing
from efsupervisor.task.private import Private
from efsupervisor.task.program import Program
from efsupervisor.task.seat import Seat

if TYPE_CHECKING:
    from efsupervisor.task.cgroup import Group


class Ears(NamedTuple):
    """Who hears what: it is ready; it is not well (why); it said something of itself; it wants so many seconds."""

    ready: Callable[[], None]
    unwell: Callable[[str], None]
    said: Callable[[str], None]
    extended: Callable[[float], None]


class Around:
    """For one worker.  cookie: the mark of the task's processes."""

    def __init__(self, seat: Seat, cookie: bytes, ears: Ears) -> None:
        self._seat = seat
        self._cookie = cookie
        self._ears = ears
        self._errands = Errands(seat)
        self._hooks = Hooks(seat, self._errands)
        self._packing = Packing(seat, self._errands)
        seat.pack = self._packing.want
        self._private: Private | None = None
        self._care: Care | None = None
        self._group: Group | None = None
        self._program: Program | None = None
        self._incarnation = 0
        self._more: dict[str, str] = {}
        self._said_rights = False
        self._oom = False

    # A life -----------------------------------------------------------------------------------------------------------------------------------------

    def prepare(self, incarnation: int, then: Callable[[str], None]) -> None:
        """Make what the program needs, run the hook before it, call `then` with why that failed or with nothing.  SpawnFailed: it cannot be made."""
        self._incarnation, self._program, self._more, self._oom = incarnation, None, {}, False
        spec = self._seat.spec
        if private.needed(spec):
            self._make_private()
        if spec.cgroup is not None:
            self._make_group()
        self._hooks.run(BEFORE_START, incarnation, self._more, then)

    def _make_private(self) -> None:
        spec = self._seat.spec
        uid, gid = spawn.ids(spec)
        if self._private is None:
            self._private = Private(self._seat.system, self._seat.paths)
        self._more = self._private.make(spec, uid, gid)
        if private.speaks(spec):
            self._listen(uid, gid)
            self._more["NOTIFY_SOCKET"] = self._private.socket
            if spec.alive is not None and spec.alive.watchdog_s:
                self._more["WATCHDOG_USEC"] = str(int(spec.alive.watchdog_s * 1e6))

    def _listen(self, uid: int, gid: int) -> None:
        assert self._private is not None
        try:
            self._cared().listen(self._private.socket, uid, gid)
        except OSError as error:
            raise SpawnFailed("notify", error.errno or 0, f"no notification socket can be made: {error.strerror}", transient=True) from error

    def plan(self, incarnation: int) -> spawn.Plan:
        """How the program is run; a cgroup in it is the caller's to close."""
        what = spawn.plan(self._seat.wiring, incarnation, self._more)
        return what if self._group is None else what._replace(cgroup=self._group.procs())

    def born(self, program: Program) -> None:
        """The program was forked."""
        self._program = program
        spec = self._seat.spec
        if spec.user and not spec.no_new_privs and not spec.inherit_environment and not self._said_rights:
            self._said_rights = True
            self._seat.say("INFO", "its program may gain privileges by set-uid files (no_new_privs: false)")
        if care.needed(spec):
            self._cared().born(max(0.0, self._seat.system.monotonic() - program.started))

    def adopt(self, program: Program) -> None:
        """The program runs already; what was made for it is where it was."""
        spec = self._seat.spec
        self._incarnation = program.incarnation
        if private.needed(spec):
            self._private = Private(self._seat.system, self._seat.paths)
            if self._private.folder and private.speaks(spec):
                try:
                    self._listen(*spawn.ids(spec))
                except SpawnFailed as failed:
                    self._seat.ill("notify", failed.message)
        if spec.cgroup is not None:
            self._make_group()
        self.born(program)

    def found_dead(self, program: Program) -> None:
        """The program ended while no worker watched; what was made for it is to be taken away."""
        self._incarnation, self._program = program.incarnation, program
        if private.needed(self._seat.spec):
            self._private = Private(self._seat.system, self._seat.paths)

    def await_ready(self, out_from: int) -> None:
        """It was executed; out_from: where its output begins."""
        if self._care is not None:
            self._care.await_ready(out_from)

    def running(self, *, fresh: bool) -> None:
        """It is RUNNING; fresh: it just became so, else it was found so."""
        if self._care is not None:
            self._care.running()
        if fresh:
            self._hooks.run(AFTER_START, self._incarnation, self._of_program(), lambda _why: None)

    def part(self, then: Callable[[], None]) -> None:
        """It is to stop: run the hook before that, then call `then`."""
        if self._care is not None:
            self._care.rest()
        self._hooks.run(BEFORE_STOP, self._incarnation, self._of_program(), lambda _why: then(), self._seat.spec.stopwaitsecs / 2)

    def dead(self) -> None:
        """The program is dead, or never was: nothing is looked at any more, and no errand goes on."""
        if self._care is not None:
            self._care.rest()
        self._errands.cancel_all()

    def exited(self, status: int | None, *, ran: bool, hurried: bool, then: Callable[[], None]) -> None:
        """Nothing is left of the life: run the hook after it, take everything away, call `then`.  hurried: there is a wish to stop, so the hook has
        no longer than the grace period."""
        self._close_care()
        self._oom = self._group is not None and self._group.oom_killed()

        def ended(_why: str) -> None:
            self._errands.cancel_all()
            self._take_away()
            then()

        if not ran:
            ended("")
            return
        code = "" if status is None else str(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
        more = self._of_program() | {"EFS_EXIT_STATUS": code}
        self._hooks.run(AFTER_EXIT, self._incarnation, more, ended, self._seat.spec.stopwaitsecs if hurried else None)

    def _close_care(self) -> None:
        if self._care is not None:
            self._care.close()
            self._care = None

    def _take_away(self) -> None:
        if self._private is not None:
            self._private.remove()
        if self._group is not None:
            self._group.remove()
            self._group = None
        self._program = None

    # What the worker asks ---------------------------------------------------------------------------------------------------------------------------

    @property
    def waits_for(self) -> str:
        """Why the program is not ready yet."""
        return self._care.last if self._care is not None else ""

    @property
    def has_exit_hook(self) -> bool:
        """Whether a command runs after the program."""
        return self._hooks.has(AFTER_EXIT)

    @property
    def errand_pids(self) -> set[int]:
        """Processes of errands that are not reaped."""
        return self._errands.pids

    def wrote(self) -> None:
        """There is more on stdout."""
        if self._care is not None:
            self._care.wrote()

    def reaped(self, statuses: dict[int, int]) -> None:
        """Children of the worker died."""
        self._errands.reaped(statuses)

    def hurry(self, limit_s: float) -> None:
        """Hooks that something waits for have at most so long."""
        self._hooks.hurry(limit_s)

    def kill(self) -> None:
        """SIGKILL for the whole group, where there is one."""
        if self._group is not None:
            self._group.kill()

    def oom_killed(self) -> bool:
        """Whether the kernel ended something of the program, whose life is closed, for its memory."""
        return self._oom

    # The rest ---------------------------------------------------------------------------------------------------------------------------------------

    def _of_program(self) -> dict[str, str]:
        return self._more | ({"EFS_PID": str(self._program.pid)} if self._program is not None else {})

    def _cared(self) -> Care:
        if self._care is None:
            life = Life(lambda: spawn.plan(self._seat.wiring, self._incarnation, self._of_program()), self._tree, self._family, self._strange)
            ears = self._ears
            self._care = Care(self._seat, self._errands, life, ready=ears.ready, unwell=ears.unwell, said=ears.said, extended=ears.extended)
        return self._care

    def _tree(self) -> list[int]:
        program = self._program
        if program is None or program.dead:
            return []
        return [program.pid, *(pid for pid in program.leftovers(self._cookie) if pid not in self._errands.pids)]

    def _family(self) -> frozenset[int]:
        program = self._program
        return frozenset([os.getpid()] + ([program.pid] if program is not None and program.pid else []))

    def _strange(self, pid: int) -> bool:
        return self._program is not None and self._program.adopted and tree.has_cookie(str(pid), self._cookie)

    def _make_group(self) -> None:
        from efsupervisor.task import cgroup  # late: few tasks have limits of the kernel

        spec = self._seat.spec.cgroup
        assert spec is not None
        family = {os.getppid(), *tree.descendants(os.getppid())}
        try:
            self._group = cgroup.make(self._seat.system, spec, self._seat.paths.id, family.__contains__)
        except cgroup.Unavailable as why:
            sentence = f"runs without the limits of `cgroup`: {why}"
            if self._seat.health.get("cgroup") != sentence:
                self._seat.health["cgroup"] = sentence
                self._seat.say("WARN", sentence)
        else:
            self._seat.health.pop("cgroup", None)

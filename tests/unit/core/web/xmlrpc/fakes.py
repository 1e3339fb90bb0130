"""XML-RPC without processes: a middle interface that answers verbs from memory, at once, and a clock that moves when it is told."""

from __future__ import annotations

import xmlrpc.client
from pathlib import Path
from typing import Any

import msgspec

from efsupervisor.conf.schema import TaskSpec, XmlRpcSpec
from efsupervisor.core.web.xmlrpc.desk import RpcDesk
from efsupervisor.core.web.xmlrpc.house import RpcHouse
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import About, Call, Difference, Done, Specs, Tasks
from efsupervisor.messages.core import Change, Outcome, TaskDetail, TaskStatus
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL


class Loop:
    """A reactor whose timers run when `turn` is called."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Any]] = []

    def after(self, delay_s: float, callback: Any) -> None:
        self.timers.append((self.now + delay_s, callback))

    def turn(self) -> None:
        """Let the next timer run out."""
        self.timers.sort(key=lambda each: each[0])
        self.now, callback = self.timers.pop(0)
        callback()


class Middle:
    """A Dealer.  asked: every call as (verb, fields).  wrong: task -> outcome.  refused: verb -> error.  held: verbs that are not answered.
    lingering: what is removed stays listed for now, as while its worker ends."""

    def __init__(self) -> None:
        self.rows: dict[str, TaskStatus] = {}
        self.details: dict[str, TaskDetail] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.wrong: dict[str, Outcome] = {}
        self.refused: dict[str, EfError] = {}
        self.held: set[str] = set()
        self.changes: list[Change] = []
        self.ending = False
        self.lingering = False

    def task(self, name: str, state: State = State.RUNNING, *, groups: list[str] | None = None, folder: str = "/nowhere", **spec: Any) -> None:
        """Make or replace a task."""
        running = state in (State.RUNNING, State.STARTING, State.STOPPING)
        self.rows[name] = TaskStatus(
            name=name, state=state, goal=Goal.ACT, pid=4711 if running else 0, uptime_s=65.0 if running else 0.0, incarnation=int(running), since=1e9
        )
        command = spec.pop("command", ["/bin/sh"])
        self.details[name] = TaskDetail(spec=TaskSpec(name=name, command=command, **spec), groups=groups or [], folder=folder)

    def ask(self, call: Call, done: Any, failed: Any, _deadline_s: float | None = 5.0) -> None:
        fields = msgspec.json.decode(call.fields)
        self.asked.append((call.verb, fields))
        if call.verb in self.refused:
            failed(self.refused[call.verb])
        elif call.verb not in self.held:
            done(self._answer(call.verb, fields))

    def gone(self, names: list[str]) -> None:
        """These tasks are not listed any more."""
        for name in names:
            self.rows.pop(name, None)
            self.details.pop(name, None)

    def _answer(self, verb: str, fields: dict[str, Any]) -> Any:
        if verb == "conf.remove" and not self.lingering:
            self.gone(fields["names"])
        match verb:
            case "task.status":
                return Tasks(rows=list(self.rows.values()), ending=self.ending)
            case "task.show":
                return Specs(rows=list(self.details.values()))
            case "daemon.version":
                return About(version="1", pid=321, since=0.0)
            case "conf.reread" | "conf.update" | "conf.remove" | "daemon.reload":
                return Difference(rows=self.changes)
            case _:
                return Done(rows=[self.wrong.get(name) or Outcome(task=name, ok=True) for name in fields.get("names", ["all"])])

    @property
    def changing(self) -> list[tuple[str, dict[str, Any]]]:
        """What was asked beside looking."""
        return [each for each in self.asked if each[0] not in ("task.status", "task.show", "daemon.version")]


class Desk:
    """The whole of it but the sockets."""

    def __init__(self, log: Path | str = "/nowhere/log", **settings: Any) -> None:
        self.loop = Loop()
        self.middle = Middle()
        self.house = RpcHouse(self.loop, self.middle, REAL, XmlRpcSpec(**settings), str(log))  # type: ignore[arg-type]
        self.desk = RpcDesk(self.house)

    def begin(self, name: str, *params: Any) -> list[bytes]:
        """Ask; the answer is in the list when it has come."""
        bodies: list[bytes] = []
        self.loop.now += 0.0001
        self.desk.serve(name, params, bodies.append)
        return bodies

    def call(self, name: str, *params: Any) -> Any:
        """The value; a fault is raised as Python's client raises it."""
        bodies = self.begin(name if "." in name else f"supervisor.{name}", *params)
        assert len(bodies) == 1, "one answer, at once"
        return xmlrpc.client.loads(bodies[0].decode())[0][0]

    def fault(self, name: str, *params: Any) -> tuple[int, str]:
        """Number and text of the fault that comes."""
        try:
            value = self.call(name, *params)
        except xmlrpc.client.Fault as fault:
            return fault.faultCode, fault.faultString
        raise AssertionError(f"{name} gave {value!r}")


FAILED = EfError("no such thing", Code.SYSTEM)

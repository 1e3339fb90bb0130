"""A diamond of flows that is re-wired while events flow and processes die, and the judgement of each of its edges.

    A --broad--> B, C (relays: event, write on, acknowledge)      A --broad--> E (comes and goes)
    B, C --share--> D1, D2, D3, D4 (D4 and D5 come and go)

The flows are made by command, so that they can be changed by command.  A writes until a stop file appears.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from efsupervisor import messages
from efsupervisor.conf.schema import FlowSpec
from efsupervisor.states import Mode
from tests.support import witness
from tests.support.asking import done
from tests.support.field import RESTARTS
from tests.support.programs import lines
from tests.support.supervisor import Supervisor, program
from tests.support.text import text_file
from tests.support.wait import Overdue, until
from tests.support.witness import History, Key, Verdict

RELAYS = {"B": 0, "C": 1_000_000_000}
STEADY = ["D1", "D2", "D3"]
PASSING = ["D4", "D5"]
WINDOW = 64
MAX_LAG = 8 << 20


class Diamond:
    """The supervisor and its tasks below `folder`.  rate: lines a second that A writes."""

    def __init__(self, folder: Path, *, seed: int, rate: float, segment: int = 1 << 20) -> None:
        self.seed = seed % 1_000_000
        self._folder, self._stop_file = folder, folder / "stop"
        text = text_file(folder, seed)
        self._text = lines.text_of(str(text))
        output, events = {"segment_bytes": segment, "keep_bytes": "8GiB"}, {"protocol": "event", "window": WINDOW, "max_deliveries": 0}
        command = program("producer", self._witness("A"), f"seed={self.seed}", f"rate={rate}", f"stop={self._stop_file}", f"text={text}")
        tasks: dict[str, dict[str, Any]] = {"A": {"command": command, "output": output, "autostart": False, **RESTARTS}}
        for name, first in RELAYS.items():
            tasks[name] = {"command": program("relay", self._witness(name), f"first={first}"), "input": events, "output": output, **RESTARTS}
        for name in [*STEADY, *PASSING, "E"]:
            tasks[name] = {"command": program("event_consumer", self._witness(name), "noise=0.0005"), "input": events, **RESTARTS}
        self.tasks = list(tasks)
        self.consumers = [name for name in tasks if name != "A"]
        self.supervisor = Supervisor(folder, tasks)
        self.members = [*STEADY, "D4"]
        self.side_begun = 0
        self._side = False

    def begin(self) -> None:
        """Lay the edges, then let A write."""
        done(self.supervisor, messages.AddFlowRequest, flow=_flow("wide", ["A"], ["B", "C"], start="begin"))
        self._lay_group(replace=False)
        self.change_side()
        self.supervisor.act("A")

    def _lay_group(self, *, replace: bool) -> None:
        group = _flow("narrow", list(RELAYS), self.members, mode=Mode.SHARE, start="begin")
        done(self.supervisor, messages.AddFlowRequest, flow=group, replace=replace)

    def change_members(self, number: int) -> None:
        """A member comes or goes, the next of four ways."""
        self.members = STEADY + [["D4"], ["D4", "D5"], ["D5"], []][number % 4]
        self._lay_group(replace=True)

    def change_side(self) -> None:
        """The edge to E is taken away, or made again."""
        if self._side:
            done(self.supervisor, messages.DelFlowRequest, names=["side"])
        else:
            done(self.supervisor, messages.AddFlowRequest, flow=_flow("side", ["A"], ["E"]))
            self.side_begun += 1
        self._side = not self._side

    def written(self) -> int:
        """How many lines A has written so far, about."""
        with open(self._witness("A"), "rb") as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            said = [int(record[2:]) for record in file.read().split(b"\n")[1:-1] if record[:2] == b"D "]
        return max(said, default=0)

    def settle_down(self, deadline_s: float) -> str:
        """Let A finish and everything drain; a sentence when it did not in time."""
        self._stop_file.touch()
        try:
            until(lambda: b"\nF " in self._witness("A").read_bytes()[-4096:], 60)
            until(self._drained, deadline_s)
        except Overdue:
            return f"not drained within {deadline_s:g} s: {self.supervisor.status()}\n{self.supervisor.story()}"
        return ""

    def _drained(self) -> bool:
        """Nothing waits anywhere, in two looks with nothing new between them."""
        before = self._sizes()
        rows = self.supervisor.status()
        idle = all(rows[name].outstanding == 0 and rows[name].lag_bytes == 0 for name in [*RELAYS, *self.members])
        until(lambda: True, 0.1)
        return idle and self._sizes() == before

    def _sizes(self) -> list[int]:
        logs = [sum(path.stat().st_size for path in self.supervisor.journal(name).glob("*.log")) for name in ("A", *RELAYS)]
        return logs + [self._witness(name).stat().st_size for name in self.consumers]

    def verdicts(self) -> list[Verdict]:
        """The judgement of every edge and every log; edge by edge, since a long run's histories do not fit into memory together."""
        producer, log = self.history("A"), witness.read_journal(self.supervisor.journal("A"))
        result = [witness.log_of_producer("log of A", producer, log, seed=self.seed, text=self._text)]
        relays = {name: self.history(name) for name in RELAYS}
        expected = witness.settle(witness.produced_by(producer), witness.lines_in(log) | witness.seen_by(*relays.values()))
        del log
        passed: dict[str, list[Key]] = {}
        for name, history in relays.items():
            result.append(witness.event_edge(f"A -> {name}", expected, history, window=WINDOW))
            judged, passed[name] = witness.relayed(f"log of {name}", expected, history, witness.read_journal(self.supervisor.journal(name)))
            result.append(judged)
        relays.clear()
        result.append(witness.stretches("A -> E", expected, self.history("E"), begun=self.side_begun))
        members = [self.history(name) for name in [*STEADY, *PASSING]]
        for name, first in RELAYS.items():
            mine = [history.only(lambda seq, first=first: first <= seq < first + 1_000_000_000) for history in members]  # type: ignore[misc]
            result.append(witness.share_group(f"{name} -> D", passed[name], mine, window=WINDOW))
        return result

    def history(self, name: str) -> History:
        """What a program has recorded so far."""
        return witness.read_history(self._witness(name))

    def _witness(self, name: str) -> Path:
        return self._folder / f"{name}.witness"


def _flow(name: str, producers: list[str], consumers: list[str], **more: Any) -> FlowSpec:
    return FlowSpec(name=name, producers=producers, consumers=consumers, max_lag=MAX_LAG, **more)

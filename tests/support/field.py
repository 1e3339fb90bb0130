"""The field on which the kill tests are fought: one producer, every kind of consumer, and the judgement of what they saw.

    P --broad--> E1 (event, window 1)   E8 (window 8)   E64 (window 64)
      --broad--> F (stream, a filter) --broad--> G (event, window 8)
      --share--> M1, M2, M3 (event, window 8)

P writes until a stop file appears, so that every fault hits lines on their way; its log rotates every few hundred lines.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from tests.support import witness
from tests.support.programs import lines
from tests.support.supervisor import Supervisor, program
from tests.support.wait import Overdue, until
from tests.support.witness import History, Key, Verdict

EVENTS = {"E1": 1, "E8": 8, "E64": 64}
MEMBERS = {"M1": 8, "M2": 8, "M3": 8}
SEGMENT = 256 << 10
READ = 65536
RESTARTS = {"startsecs": 0, "backoff_s": 0.001, "backoff_max_s": 0.05, "startretries": 1_000_000, "restart_burst": 1_000_000, "restart_period_s": 1}


class Field:
    """A supervisor with the tasks above below `folder`.  parts: which consumers take part; rate: lines a second; crash: how often event consumers
    kill themselves; more: other tasks beside them, which no verdict looks at."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        rate: float = 800.0,
        parts: tuple[str, ...] = ("E1", "E8", "E64", "F", "G", "M1", "M2", "M3"),
        crash: float = 0.0,
        noise: float = 0.02,
        segment: int = SEGMENT,
        supervisor: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        launcher: Path | None = None,
        var: Path | None = None,
        more: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.seed = seed % 1_000_000
        self.parts = parts
        self.stop_file = folder / "stop"
        self._folder = folder
        self._last: Key | None = None
        output = {"segment_bytes": segment}
        tasks: dict[str, dict[str, Any]] = {
            "P": {
                "command": program("producer", self._witness("P"), f"seed={self.seed}", f"rate={rate}", f"stop={self.stop_file}"),
                "output": output,
                **RESTARTS,
            }
        }
        for name, window in (EVENTS | MEMBERS | {"G": 8}).items():
            if name in parts:
                command = program("event_consumer", self._witness(name), f"crash={crash}", f"noise={noise}")
                tasks[name] = {
                    "command": command,
                    "input": {"protocol": "event", "window": window, "max_deliveries": 0},
                    "output": output,
                    **RESTARTS,
                }
        if "F" in parts:
            command = program("stream_consumer", self._witness("F"), "pass=1", f"largest_read={READ}")
            tasks["F"] = {"command": command, "input": {"protocol": "stream"}, "output": output, **RESTARTS}
        flows: dict[str, dict[str, Any]] = {}
        if broad := [name for name in ("E1", "E8", "E64", "F") if name in parts]:
            flows["wide"] = {"from": "P", "to": broad, "mode": "broad", "start": "begin"}
        if members := [name for name in MEMBERS if name in parts]:
            flows["shared"] = {"from": "P", "to": members, "mode": "share", "start": "begin"}
        if "G" in parts:
            flows["filtered"] = {"from": "F", "to": "G", "start": "begin"}
        self.tasks = list(tasks)
        self.consumers = [name for name in tasks if name != "P"]
        self.supervisor = Supervisor(folder, tasks | (more or {}), flows, supervisor=supervisor, environment=environment, launcher=launcher, var=var)

    def _witness(self, name: str) -> Path:
        return self._folder / f"{name}.witness"

    def history(self, name: str) -> History:
        """What a program has recorded so far."""
        return witness.read_history(self._witness(name))

    def await_traffic(self, deadline_s: float = 30.0) -> None:
        """Wait until lines reach every consumer that is not left to the luck of a share."""
        names = [name for name in self.consumers if name not in MEMBERS] or self.consumers[:1]
        until(lambda: all(self._tail(name) for name in names), deadline_s, lambda: f"lines reach {names}\n{self.supervisor.story()}")

    def settle_down(self, deadline_s: float = 90.0) -> str:
        """Let the producer finish and everything drain; a sentence when it did not in time (the verdicts say what is missing then)."""
        self.stop_file.touch()
        try:
            until(self._finished, deadline_s)
            self._await_log("P")
            until(self._drained, deadline_s)
        except Overdue:
            return f"not drained within {deadline_s:g} s; {self.supervisor.story()}"
        return ""

    def _await_log(self, name: str) -> None:
        """Wait until a log has been of the same size for 40 looks: then what a dying write had left in the pipe is in it, too."""
        sizes: list[int] = []

        def quiet() -> bool:
            sizes.append(sum(path.stat().st_size for path in self.supervisor.journal(name).glob("*.log")))
            return len(sizes) > 40 and len(set(sizes[-40:])) == 1

        until(quiet, 30)

    def _tail(self, name: str) -> tuple[int, int] | None:
        """The last line that a consumer is done with, from the end of its witness file."""
        with contextlib.suppress(FileNotFoundError), open(self._witness(name), "rb") as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            for record in reversed(file.read().split(b"\n")[:-1]):
                kind, *words = record.split(b" ")
                if kind in (b"A", b"W") and len(words) == 2:
                    return int(words[0]), int(words[1])
        return None

    def _finished(self) -> bool:
        """The producer's last life has written its last line."""
        path = self._witness("P")
        records = [record for record in path.read_bytes()[-4096:].split(b"\n") if record] if path.exists() else []
        return bool(records) and records[-1].startswith(b"F ")

    def _drained(self) -> bool:
        last = self._last_line()
        if last is None:
            return True
        if not all(self._tail(name) == last for name in self.consumers if name not in MEMBERS):
            return False
        members = [name for name in self.consumers if name in MEMBERS]
        return not members or witness.share_group("", self.expected(), [self.history(name) for name in members], window=8).lost == 0

    def _last_line(self) -> Key | None:
        if self._last is None:
            self._last = next(reversed(self.expected()), None)
        return self._last

    def expected(self) -> list[Key]:
        """The lines of P, in order.  The log settles which lines of a dying write were written; what is certain without it must be in it (a
        verdict of its own)."""
        return witness.settle(witness.produced_by(self.history("P")), self._in_log("P"))

    def _in_log(self, name: str) -> set[Key]:
        return witness.lines_in(witness.read_journal(self.supervisor.journal(name)))

    def verdicts(self) -> list[Verdict]:
        """The judgement of every edge and every log."""
        producer, expected = self.history("P"), self.expected()
        result = [witness.log_of_producer("log of P", producer, witness.read_journal(self.supervisor.journal("P")), seed=self.seed)]
        for name, window in EVENTS.items():
            if name in self.parts:
                result.append(witness.event_edge(f"P -> {name} (event, window {window})", expected, self.history(name), window=window))
        if "F" in self.parts:
            result.append(witness.stream_edge("P -> F (stream)", expected, self._sizes(expected), self.history("F"), largest_read=READ))
        if "G" in self.parts:
            passed = witness.settle(witness.passed_by(self.history("F")), self._in_log("F"))
            result.append(witness.event_edge("F -> G (event, window 8)", passed, self.history("G"), window=8))
        members = [name for name in MEMBERS if name in self.parts]
        if members:
            histories = [self.history(name) for name in members]
            result.append(witness.share_group("P -> M1 M2 M3 (share)", expected, histories, window=8))
        for name in (*EVENTS, *MEMBERS, "G"):
            if name in self.parts:
                result.append(witness.noise_log(f"stderr of {name}", self.history(name), witness.read_journal(self.supervisor.journal(name, "err"))))
        return result

    def lives(self) -> dict[str, int]:
        """How many lives each program had."""
        return {name: len(self.history(name).lives) for name in self.tasks}

    def _sizes(self, expected: list[Key]) -> list[int]:
        return [len(lines.make(self.seed, *key)) for key in expected]

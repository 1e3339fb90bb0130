"""One running efsupervisord: its configuration, its start, what it says, its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from efsupervisor.cli.client import Client
from efsupervisor.messages import ActRequest, TaskStatus
from efsupervisor.states import State
from efsupervisor.system import short_id

ROOT = Path(__file__).parent.parent
DEADLINE_S = 60.0
TaskKeys = dict[str, Any]


def console(script: str, entry: str) -> list[str]:
    """The installed console script, or the same call from the checkout."""
    installed = Path(sys.executable).parent / script
    return [str(installed)] if installed.exists() else [sys.executable, "-c", f"import sys; from {entry} import main; sys.exit(main())"]


EFSUPERVISORD = console("efsupervisord", "efsupervisor.core.main")
EFCTL = console("efctl", "efsupervisor.cli.main")


def environment() -> dict[str, str]:
    """As now, with the checkout on Python's path."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


class Ours:
    """A supervisor of `tasks` and `flows` (the YAML's own keys) below `folder`, which it owns; started by `with`."""

    name = "efsupervisor"

    def __init__(self, folder: Path, tasks: dict[str, TaskKeys], flows: dict[str, TaskKeys] | None = None, settings: TaskKeys | None = None) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.var = folder / "var"
        self.conf = folder / "efsupervisor.yaml"
        document = {"supervisor": {"var": str(self.var), **(settings or {})}, "tasks": tasks, "flows": flows or {}}
        self.conf.write_text(yaml.safe_dump(document), encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None
        self.efctl = [*EFCTL, "-c", str(self.conf)]

    # Life ---------------------------------------------------------------------------------------------------------------------------------------

    def launch(self) -> int:
        """Start the Core without waiting for it; the time at which it was started, monotonic ns."""
        with open(self.folder / "stderr", "ab") as errors:
            begun = time.monotonic_ns()
            self.process = subprocess.Popen(
                [*EFSUPERVISORD, "-n", "-c", str(self.conf)], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment(), cwd="/"
            )
        return begun

    def stop(self) -> float:
        """An orderly end of everything; seconds it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_S)
        took_s = time.monotonic() - begun
        self.process = None
        return took_s

    def kill_core(self) -> None:
        """SIGKILL for the Core alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self) -> None:
        """End it in order where it can, and take its folders away; what is left of its processes is the caller's to kill."""
        try:
            if self.process is not None:
                self.stop()
        finally:
            for told in self.var.glob("tasks/*/run/fifos"):
                place = Path(told.read_text(encoding="utf-8").strip())
                if place.is_absolute() and not place.is_relative_to(self.var):
                    shutil.rmtree(place, ignore_errors=True)
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.launch()
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        if error is not None and (said := self.folder / "stderr").exists():
            error.add_note(said.read_text(encoding="utf-8", errors="replace")[-2000:])
        self.close()

    # Talking ------------------------------------------------------------------------------------------------------------------------------------

    @property
    def core_pid(self) -> int:
        """The Core."""
        assert self.process is not None
        return self.process.pid

    def status(self) -> list[TaskStatus]:
        """Every task's row."""
        with Client(str(self.var / "core.sock")) as client:
            return client.status([])

    def await_state(self, state: State) -> list[TaskStatus]:
        """Wait until every task is in this state; their rows."""
        return self.await_settled({}, state)

    def await_settled(self, wanted: dict[str, State], others: State = State.RUNNING) -> list[TaskStatus]:
        """Wait until each task is in the state that is wanted of it, and all that are not named in `others`; their rows."""
        self._await_socket()
        until = time.monotonic() + DEADLINE_S
        while True:
            rows = self.status()
            late = next((row for row in rows if row.state is not wanted.get(row.name, others)), None)
            if late is None:
                return rows
            if time.monotonic() > until:
                raise TimeoutError(f"not every task is {wanted.get(late.name, others)} after {DEADLINE_S:g} s: {late}")
            time.sleep(0.05)

    def _await_socket(self) -> None:
        until = time.monotonic() + DEADLINE_S
        while not (self.var / "core.sock").exists():
            if time.monotonic() > until or (self.process is not None and self.process.poll() is not None):
                raise TimeoutError("efsupervisord does not come up")
            time.sleep(0.005)

    def act(self, task: str) -> None:
        """Start one task."""
        with Client(str(self.var / "core.sock")) as client:
            client.ask(ActRequest(id=client.next_id(), names=[task], wait=False))

    def journal_end(self, task: str) -> int:
        """How many bytes of its stdout a task has in its log: the base of the last segment plus its size."""
        segments = sorted((self.var / "tasks" / short_id(task) / "out").glob("*.log"))
        return int(segments[-1].stem) + segments[-1].stat().st_size if segments else 0

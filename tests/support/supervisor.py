"""A supervisor under test, seen from outside: a configuration file, processes, a control socket, files.

The Core is started by a small init (init.py) that reaps what it leaves behind.  Every process of the run carries EFS_TEST_MARK in its
environment: Core and workers because the Core was started with it, programs because each task's `environment` has it.  Leaving the context stops
the supervisor in order and then proves that nothing is left.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from efsupervisor import messages
from efsupervisor.states import State
from efsupervisor.system import short_id
from tests.support import processes
from tests.support.wait import Overdue, until

SUPPORT = Path(__file__).parent
PROGRAMS = SUPPORT / "programs"
ROOT = SUPPORT.parent.parent
MARK = "EFS_TEST_MARK"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str, *arguments: object) -> list[str]:
    """The command of a witness program."""
    return [sys.executable, "-S", "-E", "-s", str(PROGRAMS / f"{name}.py"), *map(str, arguments)]


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def as_yaml(document: object) -> str:
    """A document as YAML text without aliases."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)


class Init:
    """The parent of everything that a test starts; it reaps as a real init does."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-s", str(SUPPORT / "init.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._rest = b""
        self.ended: dict[int, int] = {}
        self._started: list[int] = []

    def start(self, argv: list[str], environment: dict[str, str], folder: Path) -> int:
        """Start one process; its pid."""
        order = {"argv": argv, "env": environment, "cwd": str(folder), "stderr": str(self._errors)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return until(lambda: self._poll() or (self._started.pop() if self._started else 0), 10, "the test's init starts a process")

    def status(self, pid: int) -> int | None:
        """Wait status of a process that was started, None while it lives."""
        self._poll()
        return self.ended.get(pid)

    def close(self) -> None:
        """End the init; its children, if any, go to the machine's init."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _poll(self) -> int:
        assert self._process.stdout is not None
        descriptor, words_there = self._process.stdout.fileno(), select.poll()
        words_there.register(descriptor, select.POLLIN)
        while words_there.poll(0):
            data = os.read(descriptor, 65536)
            if not data:
                raise AssertionError("the test's init is dead")
            *words, self._rest = (self._rest + data).split(b"\n")
            for line in words:
                kind, *numbers = line.split()
                if kind == b"started":
                    self._started.append(int(numbers[0]))
                else:
                    self.ended[int(numbers[0])] = int(numbers[1])
        return 0


class Struck(Exception):
    """A Core died at a fault point while it started."""


class Supervisor:
    """One supervisor with a configuration of its own below `folder`.

    tasks, flows, supervisor: the sections of the YAML file; `text` replaces them all.  environment is added to the Core's.  launcher: a Python
    file that is run in place of `-m efsupervisor.core.main` (it gets the same arguments).  var: where its state goes, default folder/var.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Mapping[str, Mapping[str, Any]] | None = None,
        flows: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        supervisor: Mapping[str, Any] | None = None,
        text: str | None = None,
        environment: dict[str, str] | None = None,
        launcher: Path | None = None,
        var: Path | None = None,
    ) -> None:
        self.folder = folder
        self.var = var or folder / "var"
        self.mark = uuid.uuid4().hex
        self.config = folder / "etc" / "efsupervisor.yaml"
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.var.parent.mkdir(parents=True, exist_ok=True)
        self._environment = environment or {}
        self._launcher = launcher
        self._init = Init(folder / "core.stderr")
        self.core_pid = 0
        self.tasks = tasks or {}
        self.write(tasks or {}, flows or {}, supervisor or {}, text)

    # Configuration and start -----------------------------------------------------------------------------------------------------------------------

    def write(
        self, tasks: Mapping[str, Mapping[str, Any]], flows: Mapping[str, Mapping[str, Any]], supervisor: Mapping[str, Any], text: str | None = None
    ) -> None:
        """Write the configuration file; each task is given our mark."""
        if text is None:
            marked = {name: {**task, "environment": {MARK: self.mark, **task.get("environment", {})}} for name, task in tasks.items()}
            document: dict[str, Any] = {"supervisor": {"var": str(self.var), "services": False, **supervisor}, "tasks": marked}
            if flows:
                document["flows"] = dict(flows)
            text = as_yaml(document)
        self.config.write_text(text, encoding="utf-8")

    @property
    def clean_environment(self) -> dict[str, str]:
        """What the Core is started with."""
        base = {"PATH": PATH, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "HOME": str(self.folder), MARK: self.mark}
        return base | {name: os.environ[name] for name in ("COVERAGE_PROCESS_START",) if name in os.environ} | self._environment

    @property
    def daemon_command(self) -> list[str]:
        """The command line of the Core, without its arguments."""
        return [sys.executable, *([str(self._launcher)] if self._launcher else ["-m", "efsupervisor.core.main"])]

    def start(self, deadline_s: float = 20.0) -> None:
        """Start a Core and wait until its control socket answers.  One that dies at an armed fault point on the way is followed by another."""
        self.launch()
        try:
            until(self._answers, deadline_s, lambda: "the control socket answers\n" + self.story())
        except Overdue:
            self.kill_everything()
            raise
        except Struck:
            self.start(deadline_s)

    def launch(self) -> None:
        """Start a Core without waiting for it."""
        self.core_pid = self._init.start([*self.daemon_command, "-n", "-c", str(self.config)], self.clean_environment, self.folder)

    def _answers(self) -> bool:
        status = self._init.status(self.core_pid)
        if status is not None:
            self.core_pid = 0
            if status == signal.SIGKILL and "EFSUPERVISOR_FAULTS" in self._environment:
                raise Struck
            raise AssertionError(f"the Core ended with wait status {status}\n{self.story()}")
        with contextlib.suppress(OSError, TimeoutError):
            reply = self.ask(messages.VersionRequest(id="ready"), 5.0)
            return isinstance(reply, messages.VersionReply) and reply.pid == self.core_pid
        return False

    def run_daemon(self, config: Path | None = None, deadline_s: float = 20.0) -> subprocess.CompletedProcess[str]:
        """Run efsupervisord to its end (it is expected to refuse) with this configuration, by default ours; stdout and stderr as text."""
        command = [*self.daemon_command, "-n", "-c", str(config or self.config)]
        return subprocess.run(command, env=self.clean_environment, cwd=self.folder, capture_output=True, text=True, timeout=deadline_s, check=False)

    # Talking -------------------------------------------------------------------------------------------------------------------------------------

    def connect(self, timeout_s: float = 10.0) -> socket.socket:
        """A connection to the control socket."""
        directory = os.open(self.var, os.O_PATH | os.O_DIRECTORY)
        try:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.settimeout(timeout_s)
            try:
                client.connect(f"/proc/self/fd/{directory}/core.sock")
            except OSError:
                client.close()
                raise
        finally:
            os.close(directory)
        return client

    def ask(self, request: Any, timeout_s: float = 10.0) -> object:
        """One request, one reply."""
        with self.connect(timeout_s) as client:
            client.send(messages.encode(request))
            return messages.decode(client.recv(messages.MAX_FRAME), messages.Reply)

    def status(self, *names: str, timeout_s: float = 10.0) -> dict[str, messages.TaskStatus]:
        """Rows of the status by task name, through the socket."""
        rows: dict[str, messages.TaskStatus] = {}
        with self.connect(timeout_s) as client:
            client.send(messages.encode(messages.StatusRequest(id="status", names=list(names))))
            while True:
                reply = messages.decode(client.recv(messages.MAX_FRAME), messages.Reply)
                if not isinstance(reply, messages.StatusReply):
                    raise AssertionError(f"a status was asked, the reply is {reply}")
                rows |= {row.name: row for row in reply.tasks}
                if not reply.more:
                    return rows

    def row(self, task: str) -> messages.TaskStatus:
        """The status row of one task."""
        return self.status(task)[task]

    def await_state(self, task: str, *states: State, deadline_s: float = 20.0) -> messages.TaskStatus:
        """Wait until a task is in one of these states."""
        last: list[object] = []

        def reached() -> messages.TaskStatus | None:
            with contextlib.suppress(OSError):
                row = self.row(task)
                last[:] = [row]
                return row if row.state in states else None
            return None

        return until(reached, deadline_s, lambda: f"{task} is {'/'.join(states)}; last seen: {last}\n{self.story()}")

    def act(self, *names: str, wait: bool = True) -> messages.DoneReply:
        """Start tasks through the socket."""
        return self._done(messages.ActRequest(id=uuid.uuid4().hex, names=list(names), wait=wait))

    def trm(self, *names: str, wait: bool = True) -> messages.DoneReply:
        """Stop tasks through the socket."""
        return self._done(messages.TrmRequest(id=uuid.uuid4().hex, names=list(names), wait=wait))

    def _done(self, request: Any) -> messages.DoneReply:
        reply = self.ask(request, 60.0)
        if not isinstance(reply, messages.DoneReply):
            raise AssertionError(f"{request} was asked, the reply is {reply}")
        return reply

    def efctl(
        self, *arguments: str, deadline_s: float = 60.0, data: bytes | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run efctl as a user would."""
        command = [sys.executable, "-m", "efsupervisor.cli.main", "-c", str(self.config), *arguments]
        return subprocess.run(
            command,
            env=self.clean_environment | (environment or {}),
            cwd=self.folder,
            capture_output=True,
            input=data,
            timeout=deadline_s,
            check=False,
        )

    # Files ---------------------------------------------------------------------------------------------------------------------------------------

    def task_dir(self, task: str) -> Path:
        """A task's folder."""
        return self.var / "tasks" / short_id(task)

    def journal(self, task: str, stream: str = "out") -> Path:
        """A task's journal folder: out, err, input or dead."""
        return self.task_dir(task) / stream

    def witness(self, task: str) -> Path:
        """Where this task's witness program writes."""
        return self.folder / f"{task}.witness"

    def output(self, task: str, stream: str = "out") -> bytes:
        """All bytes of a journal, read from its files, compressed or not."""
        folder = self.journal(task, stream)
        if not folder.exists():
            return b""
        files = {path.name[:20]: path for ending in ("*.log.gz", "*.log") for path in folder.glob(ending)}
        return b"".join(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for _, path in sorted(files.items()))

    def story(self) -> str:
        """The end of what the daemon said, for a failure's text."""
        pieces = []
        for path in (self.folder / "core.stderr", self.var / "log" / "efsupervisord.log"):
            if path.exists():
                pieces.append(f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}")
        return "\n".join(pieces)

    # Processes -----------------------------------------------------------------------------------------------------------------------------------

    def ours(self) -> list[processes.Process]:
        """Every living process of this run: Core, workers, programs and what they started."""
        return processes.marked(MARK.encode(), self.mark.encode())

    def workers(self) -> dict[str, processes.Process]:
        """Workers by task name, found in /proc by their name and our mark."""
        found: dict[str, processes.Process] = {}
        names = {f"ef:{task}".encode()[:15].decode("utf-8", "replace"): task for task in self.tasks}
        for process in processes.everybody():
            if process.name in names and process.state not in "ZX" and process.pid != self.core_pid:
                carried = processes.environment(process.pid)
                parent = processes.look(process.parent)
                if (
                    carried.get(MARK.encode()) == self.mark.encode()
                    and b"EFS_COOKIE" not in carried
                    and (parent is None or parent.name != process.name)
                ):
                    found[names[process.name]] = process
        return found

    def worker_pid(self, task: str, deadline_s: float = 10.0) -> int:
        """The pid of a task's worker, waited for."""
        return until(lambda: self.workers().get(task), deadline_s, lambda: f"{task} has a worker\n{self.story()}").pid

    def program_pid(self, task: str, deadline_s: float = 10.0) -> int:
        """The pid of a task's program, from its record in the run folder; waited for until the process is really there."""
        return until(lambda: self.program_now(task), deadline_s, lambda: f"{task} has a program\n{self.story()}")

    def program_now(self, task: str) -> int:
        """As program_pid, 0 when none runs."""
        try:
            record = json.loads((self.task_dir(task) / "run" / "program").read_bytes())
        except (FileNotFoundError, ValueError):
            return 0
        pid = int(record["pid"])
        return pid if processes.alive(pid, record["start_ticks"]) and b"EFS_COOKIE" in processes.environment(pid) else 0

    def services(self) -> dict[str, messages.ServiceRow]:
        """The service host and its siblings by name, as the Core tells."""
        reply = self.ask(messages.ServicesRequest(id="services"))
        assert isinstance(reply, messages.ServicesReply), reply
        return {row.name: row for row in reply.rows}

    def await_service(self, name: str, other_than: int = 0, deadline_s: float = 20.0) -> int:
        """Wait until this sibling (`host`: the host) runs in another process than that; its pid."""

        def running() -> int:
            row = self.services().get(name)
            return row.pid if row is not None and row.state is State.RUNNING and row.pid != other_than else 0

        return until(running, deadline_s, lambda: f"{name} runs: {self.services()}\n{self.story()}")

    def zombies(self) -> list[processes.Process]:
        """Dead children that a process of ours has not reaped."""
        parents = {process.pid for process in self.ours() if process.name.startswith(("ef:", "efs-")) or process.pid == self.core_pid}
        return [process for process in processes.everybody() if process.state == "Z" and process.parent in parents]

    def kill_core(self) -> None:
        """SIGKILL the Core and wait until it is gone."""
        processes.send(self.core_pid, signal.SIGKILL)
        self.await_core_end()

    def await_core_end(self, deadline_s: float = 30.0) -> int:
        """Wait until the Core is gone; its wait status."""
        pid = self.core_pid
        until(lambda: self._init.status(pid) is not None, deadline_s, lambda: f"the Core {pid} ends\n{self.story()}")
        self.core_pid = 0
        return self._init.ended[pid]

    def kill_worker(self, task: str) -> int:
        """SIGKILL a task's worker; its pid."""
        pid = self.worker_pid(task)
        processes.send(pid, signal.SIGKILL)
        return pid

    def kill_program(self, task: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a task's program; its pid."""
        pid = self.program_pid(task)
        processes.send(pid, number)
        return pid

    def stop(self, deadline_s: float = 60.0) -> int:
        """Ask the Core for an orderly end of everything; its wait status."""
        processes.send(self.core_pid, signal.SIGTERM)
        return self.await_core_end(deadline_s)

    def kill_everything(self) -> None:
        """SIGKILL every process of this run, whatever state it is in; for the end of a failed test."""
        for _ in range(50):
            living = self.ours()
            if not living:
                break
            for process in living:
                with contextlib.suppress(PermissionError):
                    processes.send(process.pid, signal.SIGKILL)
            time.sleep(0.02)
        self.core_pid = 0

    def leaks(self) -> list[str]:
        """What is left of this run, in words."""
        return [f"{process.pid} {process.name} {processes.command(process.pid)[:6]}" for process in self.ours()]

    # Context -------------------------------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Supervisor:
        try:
            self.start()
        except BaseException:
            self.abandon()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._end_in_order()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave nothing behind, whatever happened."""
        self.kill_everything()
        self._init.close()
        for folder in self._fifo_folders():
            shutil.rmtree(folder, ignore_errors=True)

    def _end_in_order(self) -> None:
        if not self.core_pid:
            self.start()
        until(lambda: not self.zombies(), 10, lambda: f"no zombies are left: {self.zombies()}")
        self.stop()
        until(lambda: not self.ours(), 5, lambda: f"nothing is left after an orderly stop: {self.leaks()}\n{self.story()}")

    def _fifo_folders(self) -> list[Path]:
        notes = [path for name in ("fifos", "private") for path in self.var.glob(f"tasks/*/run/{name}")] if self.var.exists() else []
        places = [Path(path.read_text().strip()) for path in notes]
        return [place for place in places if place.is_absolute() and not place.is_relative_to(self.var)]

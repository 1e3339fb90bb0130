"""efctl fg with real programs: what they write is seen, what is typed reaches them, and they go on when it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from efsupervisor.states import State
from tests.support.supervisor import Supervisor
from tests.support.wait import until

ECHO = [
    sys.executable,
    "-S",
    "-u",
    "-c",
    "import sys\nprint('hello')\nfor line in sys.stdin:\n    print('got', line.strip())\n    print(line.strip(), file=sys.stderr)\n",
]
ECHOING: dict[str, Any] = {"command": ECHO, "startsecs": 0, "input": {"ack": "echo"}}


class Attached:
    """A running `efctl fg`."""

    def __init__(self, supervisor: Supervisor, task: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "efsupervisor.cli.main", "-c", str(supervisor.config), "fg", task],
            env=supervisor.clean_environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.seen = {"out": b"", "err": b""}

    def type(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def look(self) -> dict[str, bytes]:
        assert self.process.stdout is not None and self.process.stderr is not None
        for name, stream in (("out", self.process.stdout), ("err", self.process.stderr)):
            while select.select([stream], [], [], 0)[0] and (data := os.read(stream.fileno(), 65536)):
                self.seen[name] += data
        return self.seen

    def sees(self, stream: str, text: bytes) -> None:
        until(lambda: text in self.look()[stream], 20, lambda: f"{text!r} in {stream}: {self.seen}")

    def end(self) -> int:
        status = self.process.wait(20)
        self.look()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return status


def test_what_a_task_writes_is_shown_and_what_is_typed_reaches_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"echo": ECHOING}) as supervisor:
        supervisor.await_state("echo", State.RUNNING)
        pid = supervisor.program_pid("echo")
        fg = Attached(supervisor, "echo")
        fg.sees("out", b"hello\n")
        fg.type("one\n두 번째\n".encode())
        fg.sees("out", "got one\ngot 두 번째\n".encode())
        fg.type(b"unfinished")
        time.sleep(0.3)
        assert b"unfinished" not in fg.look()["out"], "a line is an event only when it is whole"
        fg.type(b", finished\n")
        fg.sees("out", b"got unfinished, finished\n")
        fg.process.send_signal(signal.SIGINT)
        assert fg.end() == 0
        assert b"echo is RUNNING, pid %d; Ctrl-C detaches" % pid in fg.seen["err"] and b"detached; echo goes on" in fg.seen["err"]
        assert supervisor.program_pid("echo") == pid


def test_a_task_without_an_input_says_why_typing_is_in_vain(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"mute": {"command": ["sh", "-c", "echo up; exec sleep 1000"], "startsecs": 0}}) as supervisor:
        supervisor.await_state("mute", State.RUNNING)
        fg = Attached(supervisor, "mute")
        fg.sees("out", b"up\n")
        fg.type(b"x\n")
        until(lambda: fg.look()["err"].count(b"it takes no events: give it an `input:` section") == 2, 20, lambda: str(fg.seen))
        supervisor.trm("mute")
        assert fg.end() == 0
        assert b"mute is STOPPED" in fg.seen["err"]


def test_a_task_at_rest_and_a_name_of_several_are_refused(tmp_path: Path) -> None:
    tasks = {name: {"command": "sleep 1000", "autostart": False} for name in ("a", "b")}
    with Supervisor(tmp_path, tasks) as supervisor:
        told = supervisor.efctl("fg", "a")
        assert told.returncode != 0 and b"a is STOPPED" in told.stderr and b"start it first" in told.stderr
        told = supervisor.efctl("fg", "all")
        assert told.returncode != 0 and b"all stands for 2 tasks; name one" in told.stderr

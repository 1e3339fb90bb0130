"""circus: one process on tornado and ZeroMQ, an INI file, circusctl."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from benchmarks.peers.peer import DEADLINE_S, Peer, Wanted, await_true, environment

RELEASE = "circus==0.19.0"


class Circus(Peer):
    """circusd in the foreground without its statistics process."""

    name = "circus"
    logs = True
    running = b"active"

    @staticmethod
    def binaries() -> Path:
        """Installed from the package index when it is not there."""
        return environment([RELEASE], "circusctl")

    @property
    def endpoint(self) -> str:
        """Where it takes commands."""
        return f"ipc://{self.folder}/control"

    def write(self, programs: Wanted) -> None:
        """One watcher a program; its own check interval of five seconds stays."""
        lines = ["[circus]", f"endpoint = {self.endpoint}", f"pubsub_endpoint = ipc://{self.folder}/events", "statsd = 0"]
        for name, keys in programs.items():
            argv = keys["command"]
            assert isinstance(argv, list)
            lines += [f"[watcher:{name}]", f"cmd = {argv[0]}", f"args = {shlex.join(map(str, argv[1:]))}", "copy_env = True"]
            if "stdout_logfile" in keys:
                lines += ["stdout_stream.class = FileStream", f"stdout_stream.filename = {keys['stdout_logfile']}"]
            if keys.get("autorestart") == "false":
                lines.append("respawn = False")
        (self.folder / "circus.ini").write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def command(self) -> list[str]:
        """It stays in the foreground."""
        return [str(self.bin / "circusd"), "--log-output", str(self.folder / "log"), str(self.folder / "circus.ini")]

    @property
    def status(self) -> list[str]:
        """circusctl."""
        return [str(self.bin / "circusctl"), "--endpoint", self.endpoint, "--timeout", "30", "status"]

    def await_up(self) -> None:
        """It answers."""

        def answers() -> bool:
            return subprocess.run(self.status, capture_output=True, check=False, timeout=DEADLINE_S).returncode == 0

        await_true(answers, "circusd does not come up")

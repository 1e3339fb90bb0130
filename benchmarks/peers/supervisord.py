"""supervisord: one process, an INI file, supervisorctl."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks.peers.peer import Peer, Wanted, await_true, environment

RELEASE = "supervisor==4.3.0"
"""The one that the targets were measured against."""


class Supervisord(Peer):
    """supervisord in the foreground with a Unix socket."""

    name = "supervisord"
    logs = True

    @staticmethod
    def binaries() -> Path:
        """Installed from the package index when it is not there."""
        return environment([RELEASE, "setuptools<81"], "supervisorctl")

    @property
    def conf(self) -> Path:
        """Its configuration file."""
        return self.folder / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """Where it takes XML-RPC."""
        return self.folder / "sock"

    def write(self, programs: Wanted) -> None:
        """One section a program."""
        lines = [
            "[supervisord]",
            f"logfile={self.folder}/log",
            f"pidfile={self.folder}/pid",
            f"childlogdir={self.folder}",
            "nodaemon=true",
            "minfds=8192",
            "[unix_http_server]",
            f"file={self.socket}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
            "[supervisorctl]",
            f"serverurl=unix://{self.socket}",
        ]
        for name, keys in programs.items():
            lines.append(f"[program:{name}]")
            for key, value in keys.items():
                text = shlex.join(value) if isinstance(value, list) else str(value)
                lines.append(f"{key}={text.replace('%', '%%')}")
        self.conf.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def command(self) -> list[str]:
        """nodaemon stands in the file."""
        return [str(self.bin / "supervisord"), "-c", str(self.conf)]

    @property
    def status(self) -> list[str]:
        """supervisorctl."""
        return [str(self.bin / "supervisorctl"), "-c", str(self.conf), "status"]

    def await_up(self) -> None:
        """Its socket is there."""
        await_true(self.socket.exists, "supervisord does not come up")

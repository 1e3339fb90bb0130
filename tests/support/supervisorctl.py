"""supervisorctl 4.3 of the `supervisor` package, unchanged, against one of our supervisors."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from efsupervisor.states import State
from tests.support.supervisor import Supervisor
from tests.support.wait import until

SERVICES = {
    "services": True,
    "web": {"port": 0, "threads": 2},
    "resource": {"enabled": False},
    "result": {"enabled": False},
}


def wheel(package: str) -> bool:
    """Whether a package of the test extra can be had.  Where a build says CI=true it must be."""
    try:
        __import__(package)
    except ImportError:
        assert os.environ.get("CI", "").lower() != "true", f"the package {package} is missing: install the extra `test`"
        return False
    return True


class Ctl:
    """A supervisor with XML-RPC, and its client."""

    def __init__(self, folder: Path, tasks: Mapping[str, Mapping[str, Any]], **settings: Any) -> None:
        extra = settings.pop("supervisor", {})
        self.supervisor = Supervisor(folder, tasks, supervisor={**SERVICES, **extra}, **settings)
        self.socket = folder / "var" / "run" / "supervisor.sock"
        self.url = f"unix://{self.socket}"

    def __enter__(self) -> Ctl:
        self.supervisor.__enter__()
        self.await_rpc()
        return self

    def __exit__(self, *what: Any) -> None:
        self.supervisor.__exit__(*what)

    def await_rpc(self) -> None:
        """Wait until a call is answered."""

        def answers() -> bool:
            with contextlib.suppress(OSError, xmlrpc.client.Error):
                return bool(self.call("supervisor.getState")["statecode"] == 1)
            return False

        until(answers, 20, lambda: f"XML-RPC answers\n{self.supervisor.story()}")

    def call(self, name: str, *params: Any) -> Any:
        """One call, through supervisor's own transport."""
        from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

        transport = SupervisorTransport(None, None, self.url)
        try:
            return getattr(xmlrpc.client.ServerProxy("http://127.0.0.1", transport), name)(*params)
        finally:
            transport.close()

    def command(self, *words: str, url: str = "") -> list[str]:
        """The command line of a supervisorctl."""
        return [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-s", url or self.url, *words]

    def run(self, *words: str, url: str = "", data: str | None = None, deadline_s: float = 30.0) -> tuple[int, str]:
        """Exit status and what it said."""
        done = subprocess.run(
            self.command(*words, url=url), cwd=self.supervisor.folder, env=self.supervisor.clean_environment, input=data, capture_output=True,
            text=True, timeout=deadline_s, check=False,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).strip()

    def await_state(self, task: str, *states: State) -> None:
        """Wait for a task."""
        self.supervisor.await_state(task, *states)

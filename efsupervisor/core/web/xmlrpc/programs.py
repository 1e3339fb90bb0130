"""Whether a program can be executed at all, looked at before a start is asked for, as supervisord does: its clients know the two faults.

It is a look from here, as our user; the worker judges when it starts the program."""

from __future__ import annotations

import os
import stat

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.web.xmlrpc.faults import Fault, RpcFault

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def check(spec: TaskSpec) -> None:
    """RpcFault NO_FILE or NOT_EXECUTABLE.  Source: supervisor 4.3.0, process.py, get_execv_args and options.py, check_execv_args."""
    program = spec.command[0] if spec.command else ""
    if "/" in program:
        _judge(os.path.join(spec.directory or "/", program), program)
        return
    folders = (spec.environment.get("PATH") or os.environ.get("PATH") or DEFAULT_PATH).split(":")
    if not any(os.path.exists(os.path.join(folder, program)) for folder in folders if folder):
        raise RpcFault(Fault.NO_FILE, f"can't find command {program!r}")


def _judge(path: str, program: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise RpcFault(Fault.NO_FILE, f"can't find command {program!r}") from error
    if stat.S_ISDIR(mode):
        raise RpcFault(Fault.NOT_EXECUTABLE, f"command at {program!r} is a directory")
    if not mode & 0o111:
        raise RpcFault(Fault.NOT_EXECUTABLE, f"command at {program!r} is not executable")

"""What clients of supervisord see: processes in groups, and their structures.  Pure, made from our rows.

A task is the process `process_name` in the group `group` when a supervisord.conf says so.  One of ours is in the first of its groups, and alone in
a group of its own name when it is in none; there it is said without a group, as supervisord says it.  A task that is in several groups is found by
each of them, and listed in the first.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.web.xmlrpc import marshal
from efsupervisor.core.web.xmlrpc.faults import Fault, RpcFault
from efsupervisor.messages.core import TaskDetail, TaskStatus
from efsupervisor.states import State
from efsupervisor.task.paths import TaskPaths

RUNNING = frozenset({State.RUNNING, State.BACKOFF, State.STARTING})
STOPPED = frozenset({State.STOPPED, State.EXITED, State.FATAL, State.UNKNOWN})
SIGNALLABLE = frozenset({State.RUNNING, State.STARTING, State.STOPPING})
"""Sets of states as supervisord has them (states.py)."""

FIRST_PRIORITY = 999
_SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15}


class Member(NamedTuple):
    """One process as clients know it: its name and group, and what we know of the task."""

    group: str
    name: str
    status: TaskStatus
    detail: TaskDetail

    @property
    def task(self) -> str:
        """Our name."""
        return self.status.name

    @property
    def namespec(self) -> str:
        """How clients say it."""
        return self.name if self.group == self.name else f"{self.group}:{self.name}"

    @property
    def order(self) -> tuple[int, str]:
        """Its place in its group."""
        return self.detail.spec.priority, self.name


def split(namespec: str) -> tuple[str, str | None]:
    """Group and process; None stands for every process of the group."""
    group, colon, process = namespec.partition(":")
    if not colon:
        return namespec, namespec
    return group, None if process in ("", "*") else process


class Picture:
    """Every process at one time.  taken: monotonic time.  wall: of the same moment.  ending: the supervisor is shutting down."""

    def __init__(
        self, rows: Iterable[TaskStatus], details: Iterable[TaskDetail], *, taken: float = 0.0, wall: float = 0.0, ending: bool = False
    ) -> None:
        known = {detail.spec.name: detail for detail in details}
        self.taken = taken
        self.wall = wall
        self.ending = ending
        self.members = [member(row, known[row.name]) for row in rows if row.name in known]
        self.groups: dict[str, list[Member]] = {}
        self._others: dict[str, list[Member]] = {}
        self._xml = ""
        for each in self.members:
            self.groups.setdefault(each.group, []).append(each)
            for other in each.detail.groups:
                if other != each.group:
                    self._others.setdefault(other, []).append(each)
        for members in (*self.groups.values(), *self._others.values()):
            members.sort(key=lambda each: each.order)

    def group(self, name: str) -> list[Member]:
        """The members of a group, by priority.  RpcFault BAD_NAME."""
        found = self.groups.get(name) or self._others.get(name)
        if found is None:
            raise RpcFault(Fault.BAD_NAME, name)
        return found

    def find(self, namespec: str) -> Member | None:
        """The one process, or None when a whole group is meant.  RpcFault BAD_NAME, which also stands for a group that is none."""
        group, process = split(namespec)
        members = self.groups.get(group) or self._others.get(group)
        if members is None and group == process:
            members = [each for each in self.members if each.task == group]
        if not members:
            raise RpcFault(Fault.BAD_NAME, namespec)
        if process is None:
            return None
        found = next((each for each in members if process in (each.name, each.task)), None)
        if found is None:
            raise RpcFault(Fault.BAD_NAME, namespec)
        return found

    def one(self, namespec: str) -> Member:
        """The one process; a whole group is BAD_NAME."""
        found = self.find(namespec)
        if found is None:
            raise RpcFault(Fault.BAD_NAME, namespec)
        return found

    def by_name(self) -> list[Member]:
        """Every process, groups and processes in the order of their names."""
        return sorted(self.members, key=lambda each: (each.group, each.name))

    def by_priority(self) -> list[Member]:
        """Every process in the order of starts."""
        return sorted(self.members, key=lambda each: (each.detail.spec.priority, each.group, each.name))

    def all_info(self) -> str:
        """Every process's info as one XML array, made once for each picture."""
        if not self._xml:
            self._xml = marshal.array(marshal.struct(info(each, self.wall)) for each in self.by_name())
        return self._xml


def member(status: TaskStatus, detail: TaskDetail) -> Member:
    """A task as clients know it."""
    spec = detail.spec
    group = spec.group or (detail.groups[0] if detail.groups else "")
    name = spec.process_name if spec.group and spec.process_name else spec.name
    return Member(group or name, name, status, detail)


# Structures -----------------------------------------------------------------------------------------------------------------------------------------


def info(each: Member, wall: float) -> dict[str, Any]:
    """The structure of getProcessInfo."""
    status, spec = each.status, each.detail.spec
    out, err = log_paths(each)
    running = status.pid != 0
    start = wall - status.uptime_s if running else status.since if status.incarnation else 0.0
    found: dict[str, Any] = {
        "name": each.name,
        "group": each.group,
        "start": marshal.capped(start),
        "stop": 0 if running or not status.incarnation else marshal.capped(status.since),
        "now": marshal.capped(wall),
        "state": status.state.number,
        "statename": status.state.value,
        "spawnerr": status.reason if status.state in (State.BACKOFF, State.FATAL) else "",
        "exitstatus": 0 if running or status.state is State.BACKOFF else exit_status(status.exit_status),
        "logfile": out,
        "stdout_logfile": out,
        "stderr_logfile": "" if spec.redirect_stderr else err,
        "pid": status.pid,
    }
    found["description"] = description(found, status.state)
    return found


def description(found: dict[str, Any], state: State) -> str:
    """What a person reads behind the state."""
    match state:
        case State.RUNNING:
            return f"pid {found['pid']}, uptime {timedelta(seconds=max(0, found['now'] - found['start']))}"
        case State.FATAL | State.BACKOFF:
            return found["spawnerr"] or f'unknown error (try "tail {found["name"]}")'
        case State.STOPPED | State.EXITED:
            return time.strftime("%b %d %I:%M %p", time.localtime(found["stop"])) if found["start"] else "Not started"
        case _:
            return ""


def exit_status(status: int | None) -> int:
    """The code of a wait status; -1 for a signal, as in supervisord."""
    if status is None:
        return 0
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1


def log_paths(each: Member) -> tuple[str, str]:
    """Where the logs are: the files that are configured, else the folders of our journals."""
    spec, paths = each.detail.spec, TaskPaths(each.detail.folder)
    return spec.stdout_logfile or paths.out_journal, spec.stderr_logfile or paths.err_journal


def config_info(group: str, name: str, spec: TaskSpec, *, in_use: bool = True) -> dict[str, Any]:
    """The structure of getAllConfigInfo."""
    found: dict[str, Any] = {
        "autostart": spec.autostart,
        "directory": spec.directory or "none",
        "uid": int(spec.user) if spec.user.isdecimal() else spec.user or "none",
        "command": shlex.join(spec.command),
        "exitcodes": list(spec.exitcodes),
        "group": group,
        "group_prio": FIRST_PRIORITY if group != name else spec.priority,
        "inuse": in_use,
        "killasgroup": spec.killasgroup,
        "name": name,
        "process_prio": spec.priority,
        "redirect_stderr": spec.redirect_stderr,
        "startretries": spec.startretries,
        "startsecs": int(spec.startsecs),
        "stopsignal": _SIGNALS.get(spec.stopsignal.removeprefix("SIG"), 15),
        "stopwaitsecs": int(spec.stopwaitsecs),
        "serverurl": spec.serverurl or "auto",
    }
    for channel in ("stdout", "stderr"):
        kept = spec.kept(channel.removeprefix("std"))
        size, backups = getattr(spec, f"{channel}_logfile_maxbytes"), getattr(spec, f"{channel}_logfile_backups")
        found |= {
            f"{channel}_capture_maxbytes": getattr(spec, f"{channel}_capture_maxbytes"),
            f"{channel}_events_enabled": getattr(spec, f"{channel}_events_enabled"),
            f"{channel}_logfile": getattr(spec, f"{channel}_logfile") or "auto",
            f"{channel}_logfile_backups": backups if backups >= 0 else kept.keep_bytes // max(1, kept.segment_bytes),
            f"{channel}_logfile_maxbytes": size if size >= 0 else kept.segment_bytes,
            f"{channel}_syslog": getattr(spec, f"{channel}_syslog"),
        }
    return found


def status_row(each: Member, fault: Fault = Fault.SUCCESS, text: str = "OK") -> dict[str, Any]:
    """One row of what was done to several processes."""
    return {"name": each.name, "group": each.group, "status": int(fault), "description": text}

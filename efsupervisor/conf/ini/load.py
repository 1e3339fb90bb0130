"""A supervisord.conf as a Config of ours: its files, its sections, and what they come to.

supervisord asks nobody who may write its configuration.  So this does not refuse a file that others could change, as it does with our own; it says so
in a note: containers mount configurations with the modes of another machine.

A `[efsupervisor]` section, which supervisord passes over, holds settings of ours by their dotted keys (`web.enabled = true`, `var = /srv/efs`).
"""

from __future__ import annotations

import glob
import os
import stat
from typing import Any

import msgspec

from efsupervisor.conf.check import MAX_SPEC
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.findings import Findings
from efsupervisor.conf.ini import var
from efsupervisor.conf.ini.carry import Carried, carry, note_what_is_left
from efsupervisor.conf.ini.doors import with_doors
from efsupervisor.conf.ini.lines import Document
from efsupervisor.conf.ini.percent import expanded
from efsupervisor.conf.ini.resolve import Notes, Resolver
from efsupervisor.conf.ini.situation import Situation, present
from efsupervisor.conf.logs import with_fed_logs
from efsupervisor.conf.names import shown
from efsupervisor.conf.schema import Config, DaemonSpec, FcgiSpec, SupervisorSpec, TaskSpec, WebSpec
from efsupervisor.conf.settings import with_setting
from efsupervisor.conf.source import distrust, is_private_group
from efsupervisor.errors import EfError

MAX_BYTES = 4 << 20
MAX_FILES = 10_000
OURS = "efsupervisor"
_LEVELS = {"critical": "error", "error": "error", "warn": "warning", "info": "info", "debug": "debug", "trace": "debug", "blather": "debug"}


def load_ini(path: str, situation: Situation | None = None) -> Config:
    """The Config of a supervisord.conf; `daemon` holds what it says of the daemon, with notes about what is not carried over.  `supervisor.var` is
    empty when the file does not say it.  ConfigError with every finding."""
    return _Loading(path, situation or present()).config()


def find_ini_var(path: str) -> str:
    """The state folder of a supervisord.conf, even if the rest of it is broken: what its own section says, else where its daemon announced itself."""
    findings = Findings(path)
    document = Document()
    try:
        with open(path, "rb") as file:
            document.take(file.read(MAX_BYTES).decode("utf-8-sig", "replace").replace("\r\n", "\n"), findings)
    except OSError as error:
        findings.add(0, "", f"cannot be read: {error.strerror}")
        findings.refuse()
    said = document.value(OURS, "var") if OURS in document.parts else None
    here = os.path.dirname(os.path.abspath(path))
    return _own_var(said.text, here) if said is not None else var.find(path, os.environ, os.geteuid())


def _own_var(text: str, here: str) -> str:
    return os.path.normpath(os.path.join(here, text.replace("%(here)s", here)))


class _Loading:
    """The reading of one configuration."""

    def __init__(self, path: str, situation: Situation) -> None:
        self._path = path
        self._situation = situation
        self._here = os.path.dirname(os.path.abspath(path))
        self._document = Document()
        self._notes = Notes()
        self._first = Findings(path)
        self._of: dict[str, Findings] = {path: self._first}
        self._included: list[str] = []

    def config(self) -> Config:
        """Read everything, resolve it, and refuse it as a whole when something is wrong."""
        self._take(self._path, self._first, needed=True)
        self._include()
        if "supervisord" not in self._document.parts:
            self._first.add(0, "", "has no section [supervisord]")
        if self._first:
            self._first.refuse()
        resolver = Resolver(self._document, self._here, self._situation, self._findings, self._notes)
        daemon = resolver.daemon()
        groups = resolver.groups(daemon)
        servers = resolver.servers()
        note_what_is_left(self._document, self._notes)
        carried = carry(groups, resolver.listeners, resolver.fcgi, self._notes)
        supervisor = self._supervisor(msgspec.structs.replace(daemon, servers=servers))
        for task in carried.tasks:
            self._check_size(task)
        if self._first:
            self._first.refuse()
        whole = msgspec.structs.replace(
            daemon,
            servers=servers,
            listeners=carried.listeners,
            fcgi=carried.fcgi,
            notes=self._notes.sentences,
            included=self._included,
        )
        return _config(self._path, supervisor, carried, whole, default_url(whole))

    def _findings(self, file: str) -> Findings:
        if file not in self._of:
            self._of[file] = self._first.of(file)
        return self._of[file]

    # Files ----------------------------------------------------------------------------------------------------------------------------------------

    def _take(self, path: str, findings: Findings, *, needed: bool = False) -> None:
        try:
            data = self._read(path, findings)
        except OSError as error:
            if needed:
                findings.add(0, "", f"cannot be read: {error.strerror}")
            else:
                self._notes.add(path, 0, "", f"cannot be read and is left out, as supervisord does: {error.strerror}")
            return
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            findings.add(data[: error.start].count(b"\n") + 1, "", f"is not UTF-8 (byte {error.start})")
            return
        self._document.take(text.replace("\r\n", "\n").replace("\r", "\n"), findings)

    def _read(self, path: str, findings: Findings) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                findings.add(0, "", "is not a regular file")
                return b""
            reason = distrust(about, os.geteuid(), is_private_group)
            if reason:
                self._notes.add(path, 0, "", f"{reason}, who could have any command run as user {os.geteuid()}")
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            findings.add(0, "", f"has more than {MAX_BYTES:,} bytes")
            return b""
        return data

    def _include(self) -> None:
        if "include" not in self._document.parts:
            return
        self._document.place_here(self._here)
        said = self._document.value("include", "files")
        if said is None:
            part = self._document.parts["include"]
            self._first.add(part.line, "include", 'needs "files", the patterns of files')
            return
        situation = self._situation
        known = {"here": self._here, "host_node_name": situation.node, **{f"ENV_{name}": value for name, value in situation.environment.items()}}
        try:
            patterns = expanded(said.text, known).split()
        except Unfit as reason:
            self._first.add(said.line, "include.files", str(reason))
            return
        for pattern in patterns:
            self._include_pattern(os.path.join(self._here, pattern), said.line)

    def _include_pattern(self, pattern: str, line: int) -> None:
        found = sorted(glob.glob(pattern))
        if not found:
            self._notes.add(self._path, line, "include.files", f'no file matches "{shown(pattern, 400)}"')
        for file in found:
            if len(self._included) >= MAX_FILES:
                self._first.add(line, "include.files", f"brings in more than {MAX_FILES:,} files")
                return
            self._included.append(file)
            self._take(file, self._findings(file))
            self._document.place_here(os.path.abspath(os.path.dirname(file)))

    # Ours -----------------------------------------------------------------------------------------------------------------------------------------

    def _supervisor(self, daemon: DaemonSpec) -> SupervisorSpec:
        spec = SupervisorSpec(var="", log_level=_LEVELS[daemon.loglevel], web=WebSpec(enabled=False))
        spec = with_doors(spec, daemon, self._path, self._notes)
        part = self._document.parts.get(OURS)
        for key, value in part.options.items() if part is not None else ():
            try:
                if key == "var":
                    spec = msgspec.structs.replace(spec, var=_own_var(value.text, self._here))
                else:
                    spec = with_setting(spec, key, value.text, folder=self._here)
            except EfError as error:
                self._findings(value.file).add(value.line, f"{OURS}.{shown(key)}", error.message)
        return msgspec.structs.replace(spec, var=self._situation.var) if self._situation.var else spec

    def _check_size(self, task: TaskSpec) -> None:
        length = len(msgspec.json.encode(task))
        if length > MAX_SPEC:
            self._first.add(0, task.name, f"takes {length:,} bytes, at most {MAX_SPEC:,} are possible; put long arguments and variables into a file")


def default_url(daemon: DaemonSpec) -> str:
    """Where a program finds the supervisor when its section does not say: the first Unix socket, else the first port."""
    for server in daemon.servers:
        if server.file:
            return f"unix://{server.file}"
    return next((f"http://{server.host or 'localhost'}:{server.port}" for server in daemon.servers), "")


def listeners(carried: Carried) -> list[TaskSpec]:
    """The members of the pools of event listeners, as tasks."""
    return [
        msgspec.structs.replace(member, type="eventlistener", events=list(pool.events), buffer_size=pool.buffer_size, group=pool.name, input=None)
        for pool in carried.listeners
        for member in pool.members
    ]


def fastcgi(carried: Carried) -> list[TaskSpec]:
    """The members of the pools that share a socket, as tasks."""
    return [
        msgspec.structs.replace(member, input=None, **_socket(pool)) for pool in carried.fcgi for member in pool.members
    ]


def _socket(pool: FcgiSpec) -> dict[str, Any]:
    uid, gid = pool.owner
    owner = "" if uid < 0 else f"{uid}:{gid}" if gid >= 0 else str(uid)
    return {"socket": pool.socket, "socket_backlog": pool.backlog, "socket_owner": owner, "socket_mode": f"{pool.mode:04o}" if pool.mode >= 0 else ""}


def _config(path: str, supervisor: SupervisorSpec, carried: Carried, daemon: DaemonSpec, url: str) -> Config:
    tasks = [*carried.tasks, *fastcgi(carried), *listeners(carried)]
    return Config(
        source=os.path.abspath(path),
        supervisor=supervisor,
        tasks=with_fed_logs(msgspec.structs.replace(task, serverurl=task.serverurl or url) for task in tasks),
        groups=carried.groups,
        daemon=daemon,
    )

"""From the sections of a supervisord.conf to programs, groups and servers with every option resolved, as supervisord 4.3 resolves them.

Which names a value may use depends on where it stands (options.py of supervisord, read_config and _processes_from_section):

    everywhere           %(here)s, %(ENV_X)s: the daemon's environment, and from [supervisord] environment on what that says
    a program            and %(program_name)s, %(group_name)s, %(host_node_name)s
    for each process     and %(process_num)d, %(numprocs)d, and as %(ENV_X)s what the program's own `environment` says:
                         command, process_name, environment (without itself), directory, stdout_logfile, stderr_logfile

Log files and the environment of [supervisord] are expanded twice there, and so here: a percent sign in them is `%%%%`.

What supervisord refuses is a finding, but for two things that would stop every program for the sake of one: a folder of a log that is missing, and a
command that cannot be split.  Those are notes, and the program says it when it is started.
"""

from __future__ import annotations

import os.path
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.findings import Findings
from efsupervisor.conf.ini import values
from efsupervisor.conf.ini.lines import Document, Value
from efsupervisor.conf.ini.percent import expanded
from efsupervisor.conf.ini.situation import Situation
from efsupervisor.conf.names import shown
from efsupervisor.conf.schema import DaemonSpec, FcgiSpec, InputSpec, ListenerSpec, ServerSpec, TaskSpec

MAX_PROCESSES = 100_000
_T = TypeVar("_T")
_TCP = re.compile(r"tcp://([^\s:]+):(\d+)")
AUTO, NONE, SYSLOG = "auto", "none", "syslog"


@dataclass
class Notes:
    """What is not carried over: sentences with file, line and key, in the order in which they were found."""

    sentences: list[str] = field(default_factory=list)

    def add(self, file: str, line: int, key: str, sentence: str) -> None:
        """One note.  line 0: the file as a whole."""
        place = f"{shown(file, 4096)}:{line}" if line else shown(file, 4096)
        said = f"{place}: {shown(key, 200)}: {sentence}" if key else f"{place}: {sentence}"
        if said not in self.sentences:
            self.sentences.append(said)


@dataclass
class Group:
    """A group as supervisord has it.  kind: `group` (of a [group:x]), `program`, `eventlistener` or `fcgi-program`; members as they start."""

    name: str
    priority: int
    kind: str
    members: list[TaskSpec]
    section: str


class Resolver:
    """Resolves one document.  findings: gives the findings of a file.  listeners, fcgi: filled by groups()."""

    def __init__(self, document: Document, here: str, situation: Situation, findings: Callable[[str], Findings], notes: Notes) -> None:
        self._document = document
        self._here = here
        self._situation = situation
        self._findings = findings
        self._notes = notes
        self._machine = values.Machine(situation.cwd)
        self._environment: dict[str, object] = {f"ENV_{name}": value for name, value in situation.environment.items()}
        self._base = situation.cwd
        self._shared: dict[str, str] = {}
        self.listeners: list[ListenerSpec] = []
        self.fcgi: list[FcgiSpec] = []

    # One option -----------------------------------------------------------------------------------------------------------------------------------

    def get(
        self, section: str, option: str, default: _T, convert: Callable[[str], _T], known: Mapping[str, object] | None = None, *, twice: bool = False
    ) -> _T:
        """The value of an option, `default` when it is not said or wrong; wrong is a finding."""
        value = self._document.value(section, option)
        if value is None:
            return default
        return self._converted(value, section, option, default, convert, known or {}, twice=twice)

    def _converted(
        self, value: Value, section: str, option: str, default: _T, convert: Callable[[str], _T], known: Mapping[str, object], *, twice: bool
    ) -> _T:
        names = {**self._environment, "here": self._here, **known}
        try:
            text = expanded(value.text, names)
            return convert(expanded(text, names) if twice else text)
        except Unfit as reason:
            self._findings(value.file).add(value.line, f"{section}.{option}", str(reason))
            return default

    def _missing(self, section: str, option: str, what: str) -> None:
        part = self._document.parts[section]
        self._findings(part.file).add(part.line, section, f'needs "{option}", {what}')

    def _wrong(self, section: str, option: str, reason: str) -> None:
        value = self._document.value(section, option)
        part = self._document.parts[section]
        file, line = (value.file, value.line) if value is not None else (part.file, part.line)
        self._findings(file).add(line, f"{section}.{option}", reason)

    def note(self, section: str, option: str, sentence: str) -> None:
        """Something that is not carried over."""
        value = self._document.value(section, option)
        part = self._document.parts[section]
        file, line = (value.file, value.line) if value is not None else (part.file, part.line)
        self._notes.add(file, line, f"{section}.{option}" if option else section, sentence)

    # The daemon -----------------------------------------------------------------------------------------------------------------------------------

    def daemon(self) -> DaemonSpec:
        """[supervisord] with what the command line says; %(ENV_X)s knows its environment from here on."""
        machine, section = self._machine, "supervisord"

        def get(option: str, default: _T, convert: Callable[[str], _T]) -> _T:
            said = self._situation.said.get(option)
            if said is not None:
                return convert(said)
            return self.get(section, option, default, convert)

        none: dict[str, str] = {}
        environment = self.get(section, "environment", none, values.pairs, twice=True)
        spec = DaemonSpec(
            nodaemon=get("nodaemon", False, values.boolean),
            silent=get("silent", False, values.boolean),
            logfile=self._main_log(get("logfile", "supervisord.log", machine.file)),
            logfile_maxbytes=get("logfile_maxbytes", 50 << 20, values.byte_size),
            logfile_backups=get("logfile_backups", 10, values.integer),
            loglevel=get("loglevel", "info", values.level),
            pidfile=machine.absolute(get("pidfile", "supervisord.pid", machine.file)),
            identifier=get("identifier", "supervisor", str),
            childlogdir=get("childlogdir", "", machine.folder),
            nocleanup=get("nocleanup", False, values.boolean),
            directory=get("directory", "", machine.folder),
            umask=get("umask", 0o022, values.octal) & 0o777,
            user=get("user", "", self._user),
            minfds=get("minfds", 1024, values.integer),
            minprocs=get("minprocs", 200, values.integer),
            strip_ansi=get("strip_ansi", False, values.boolean),
            environment=environment,
        )
        self._shared = environment
        if spec.directory and not spec.nodaemon:  # a daemon goes there before it starts anything
            self._base = machine.absolute(spec.directory)
        self._environment |= {f"ENV_{name}": value for name, value in environment.items()}
        return spec

    def _main_log(self, path: str) -> str:
        return path if path == SYSLOG else self._machine.absolute(path)

    def _user(self, text: str) -> str:
        self._machine.uid(text)
        return text

    # Groups ---------------------------------------------------------------------------------------------------------------------------------------

    def groups(self, daemon: DaemonSpec) -> list[Group]:
        """Every group by priority and name, each with its members."""
        names = self._document.names()
        taken: set[str] = set()
        found = [self._group(section, daemon, taken) for section in names if section.startswith("group:")]
        for kind in ("program", "eventlistener", "fcgi-program"):
            for section in names:
                if section.startswith(f"{kind}:") and (section not in taken or kind == "eventlistener"):
                    found.append(self._own_group(section, kind, daemon))
        return sorted(found, key=lambda group: (group.priority, group.name))

    def _group(self, section: str, daemon: DaemonSpec, taken: set[str]) -> Group:
        group = self._name(section)
        members: list[TaskSpec] = []
        programs: list[str] = []
        for program in self.get(section, "programs", programs, values.words):
            named = [f"{kind}:{program}" for kind in ("program", "fcgi-program") if f"{kind}:{program}" in self._document.parts]
            if len(named) != 1:
                reason = "that is the name of a program and of an fcgi-program" if named else "there is no such program"
                self._wrong(section, "programs", f'names "{shown(program, 40)}": {reason}')
                continue
            taken.add(named[0])
            if named[0].startswith("fcgi"):
                self.note(section, "programs", f'"{program}" gets no socket in a group, as in supervisord')
            members += self._members(named[0], group, daemon)
        return Group(group, self.get(section, "priority", 999, values.integer), "group", members, section)

    def _own_group(self, section: str, kind: str, daemon: DaemonSpec) -> Group:
        listener = kind == "eventlistener"
        group = section.partition(":")[2] if listener else self._name(section)
        priority = self.get(section, "priority", -1 if listener else 999, values.integer)
        members = self._members(section, group, daemon)
        if listener:
            self._listener(section, group, members)
        elif kind == "fcgi-program":
            self._fcgi(section, group, members)
        return Group(group, priority, kind, members, section)

    def _name(self, section: str) -> str:
        text = section.partition(":")[2]
        try:
            return values.name(text)
        except Unfit as reason:
            part = self._document.parts[section]
            self._findings(part.file).add(part.line, section, str(reason))
            return text.strip()

    def _listener(self, section: str, group: str, members: list[TaskSpec]) -> None:
        none: tuple[str, ...] = ()
        events = self.get(section, "events", none, values.events)
        if not events:
            self._missing(section, "events", "the types of events that it wants")
        size = self.get(section, "buffer_size", 10, values.integer)
        if size < 1:
            self._wrong(section, "buffer_size", "is at least 1")
        if self.get(section, "redirect_stderr", False, values.boolean):
            self._wrong(section, "redirect_stderr", "cannot be true: a listener answers on stdout")
        handler = self.get(section, "result_handler", ListenerSpec.__struct_defaults__[-1], str)
        self.listeners.append(ListenerSpec(name=group, members=members, events=events, buffer_size=size, result_handler=handler))

    def _fcgi(self, section: str, group: str, members: list[TaskSpec]) -> None:
        backlog = self.get(section, "socket_backlog", 0, values.integer)
        if self._document.value(section, "socket_backlog") is not None and not 1 <= backlog <= 65535:
            self._wrong(section, "socket_backlog", "is between 1 and 65535")
        owner = self.get(section, "socket_owner", (-1, -1), self._machine.owner)
        mode = self.get(section, "socket_mode", -1, values.octal)
        socket = self.get(section, "socket", "", str, {"program_name": group})
        if not socket:
            self._missing(section, "socket", "the socket that its processes share")
        elif socket.startswith("unix://"):
            if not socket.startswith("unix:///"):
                self._wrong(section, "socket", "is no absolute path")
        elif not _TCP.fullmatch(socket):
            self._wrong(section, "socket", "is neither unix:///path nor tcp://host:port")
        elif owner != (-1, -1) or mode != -1:
            self._wrong(section, "socket", "has an owner or a mode, which only a unix:// socket has")
        self.fcgi.append(FcgiSpec(name=group, members=members, socket=socket, backlog=backlog, owner=owner, mode=mode))

    # Processes ------------------------------------------------------------------------------------------------------------------------------------

    def _members(self, section: str, group: str, daemon: DaemonSpec) -> list[TaskSpec]:
        program = self._name(section)
        known: dict[str, object] = {"program_name": program, "host_node_name": self._situation.node, "group_name": group}
        common = self._common(section, known, daemon)
        count = self.get(section, "numprocs", 1, values.integer, known)
        first = self.get(section, "numprocs_start", 0, values.integer, known)
        pattern = self._document.value(section, "process_name")
        name = values.name(pattern.text) if pattern and not set(" :/") & set(pattern.text.strip()) else "%(program_name)s"
        if pattern is not None and name != pattern.text.strip():
            self._wrong(section, "process_name", f'"{shown(pattern.text, 40)}" is no name: it has a blank, ":" or "/" in it')
        if count > 1 and "%(process_num)" not in name:
            self._wrong(section, "process_name", f"must have %(process_num) in it, for there are {count:,} of them (numprocs)")
        if count > MAX_PROCESSES:
            self._wrong(section, "numprocs", f"is at most {MAX_PROCESSES:,}")
            count = 1
        made = [self._process(section, name, {**known, "process_num": number, "numprocs": count}, common) for number in range(first, first + count)]
        return sorted(made, key=lambda spec: (spec.priority, spec.process_name))

    def _common(self, section: str, known: Mapping[str, object], daemon: DaemonSpec) -> dict[str, Any]:
        """Fields that are the same for every process of a section."""

        def get(option: str, default: _T, convert: Callable[[str], _T]) -> _T:
            return self.get(section, option, default, convert, known)

        stop = get("stopasgroup", False, values.boolean)
        kill = get("killasgroup", stop, values.boolean)
        if stop and not kill:
            self._wrong(section, "killasgroup", "cannot be false when stopasgroup is true")
        umask = get("umask", -1, values.octal)
        serverurl = get("serverurl", "", str)
        inherited = self._situation.umask if daemon.nodaemon else daemon.umask
        codes: tuple[int, ...] = (0,)
        return {
            "group": str(known["group_name"]),
            "priority": get("priority", 999, values.integer),
            "autostart": get("autostart", True, values.boolean),
            "autorestart": get("autorestart", "unexpected", values.autorestart),
            "exitcodes": get("exitcodes", codes, values.exitcodes),
            "startsecs": float(get("startsecs", 1, values.integer)),
            "startretries": get("startretries", 3, values.integer),
            "backoff_s": 1.0,
            "stopsignal": get("stopsignal", "TERM", values.stop_signal),
            "stopwaitsecs": float(get("stopwaitsecs", 10, values.integer)),
            "stopasgroup": stop,
            "killasgroup": kill,
            "user": get("user", "", self._user),
            "umask": f"{(inherited if umask < 0 else umask) & 0o777:03o}",
            "redirect_stderr": get("redirect_stderr", False, values.boolean),
            "stdout_capture_maxbytes": get("stdout_capture_maxbytes", 0, values.byte_size),
            "stderr_capture_maxbytes": get("stderr_capture_maxbytes", 0, values.byte_size),
            "stdout_events_enabled": get("stdout_events_enabled", False, values.boolean),
            "stderr_events_enabled": get("stderr_events_enabled", False, values.boolean),
            "serverurl": "" if serverurl.strip().upper() == "AUTO" else serverurl,
            "strip_ansi": daemon.strip_ansi,
            "input": InputSpec(stdin="open"),
            "inherit_environment": True,
            "no_new_privs": False,
        }

    def _process(self, section: str, name: str, known: dict[str, object], common: dict[str, Any]) -> TaskSpec:
        everything = {**known, **self._environment}
        none: dict[str, str] = {}
        own = self.get(section, "environment", none, values.pairs, everything)
        known = {**everything, **{f"ENV_{key}": value for key, value in own.items()}}
        logs: dict[str, Any] = {}
        for channel in ("stdout", "stderr"):
            logs |= self._log(section, channel, known, common["redirect_stderr"])
        command = self._document.value(section, "command")
        if command is None:
            self._missing(section, "command", "the program to run")
        return TaskSpec(
            name="",
            command=self.get(section, "command", [""], lambda text: self._split(section, text), known),
            process_name=self._process_name(section, name, known),
            instance=int(str(known["process_num"])),
            directory=os.path.normpath(os.path.join(self._base, self.get(section, "directory", "", str, known))),
            environment={**self._shared, **own},
            **logs,
            **common,
        )

    def _process_name(self, section: str, pattern: str, known: Mapping[str, object]) -> str:
        try:
            return expanded(pattern, known)
        except Unfit as reason:
            self._wrong(section, "process_name", str(reason))
            return pattern

    def _split(self, section: str, text: str) -> list[str]:
        try:
            words = shlex.split(text)
        except ValueError as error:
            self.note(section, "command", f"cannot be split into words ({error}); the program cannot be started")
            return [text]
        return words or [""]

    def _log(self, section: str, channel: str, known: Mapping[str, object], redirected: bool) -> dict[str, Any]:
        """The fields of one channel."""
        option = f"{channel}_logfile"
        word = self.get(section, option, AUTO, str, known, twice=True)
        path = {"off": NONE}.get(word.lower(), word.lower())
        size = self.get(section, f"{option}_maxbytes", 50 << 20, values.byte_size, known)
        backups = self.get(section, f"{option}_backups", 10, values.integer, known)
        syslog = self.get(section, f"{channel}_syslog", False, values.boolean, known) or path == SYSLOG
        if path == SYSLOG:
            path = NONE
        elif path not in (AUTO, NONE):
            path = self._log_path(section, option, word)
        if channel == "stderr" and redirected:
            path = NONE
        return {
            option: path,
            f"{option}_maxbytes": size,
            f"{option}_backups": backups,
            f"{channel}_syslog": syslog,
        }

    def _log_path(self, section: str, option: str, text: str) -> str:
        try:
            return os.path.normpath(os.path.join(self._base, self._machine.file(text)))
        except Unfit as reason:
            self.note(section, option, f"{reason}; the log is kept in the task's own folder alone")
            return AUTO

    # Servers --------------------------------------------------------------------------------------------------------------------------------------

    def servers(self) -> list[ServerSpec]:
        """[inet_http_server] and [unix_http_server], with and without a name."""
        names = self._document.names()
        inet = [self._inet(section) for section in names if section.startswith("inet_http_server")]
        unix = [self._unix(section) for section in names if section.startswith("unix_http_server")]
        return [server for server in (*inet, *unix) if server is not None]

    def _account(self, section: str) -> dict[str, Any]:
        user, password = (self._document.value(section, option) for option in ("username", "password"))
        if (user is None) != (password is None):
            self._wrong(section, "username" if user else "password", "needs the other of username and password")
        return {option: self.get(section, option, "", str) for option in ("username", "password")}

    def _inet(self, section: str) -> ServerSpec | None:
        if self._document.value(section, "port") is None:
            self._missing(section, "port", "where it listens")
            return None
        host, port = self.get(section, "port", ("", 0), values.inet)
        return ServerSpec(name=section.partition(":")[2], host=host, port=port, **self._account(section))

    def _unix(self, section: str) -> ServerSpec | None:
        if self._document.value(section, "file") is None:
            self._missing(section, "file", "the path of its socket")
            return None
        file = self._machine.absolute(self.get(section, "file", "", lambda text: os.path.expanduser(text.strip())))
        owner = self.get(section, "chown", (-1, -1), self._machine.owner)
        mode = self.get(section, "chmod", 0o700, values.octal)
        return ServerSpec(name=section.partition(":")[2], file=file, owner=owner, mode=mode, **self._account(section))

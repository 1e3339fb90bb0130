"""What is done in supervisord's way when a supervisord.conf runs: the user that the daemon becomes, its pid file, its main log.

Everything here is beside the Core: it listens to reports, alerts and signals and writes; it decides nothing.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from collections.abc import Mapping

import msgspec

from efsupervisor.conf.ini import var
from efsupervisor.conf.ini.situation import Situation, is_ini, present
from efsupervisor.conf.schema import Config, DaemonSpec
from efsupervisor.core.core import Core
from efsupervisor.core.main_log import MainLog
from efsupervisor.core.options import Options
from efsupervisor.core.tasks import Task
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import Alert
from efsupervisor.system import System

EXITS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def situation_of(path: str, asked: Options, umask: int) -> Situation | None:
    """What the reading of a supervisord.conf depends on; None when the file is one of ours.  EfError USAGE for options that only supervisord has."""
    if is_ini(path):
        return present(dict(asked.said), umask, asked.var)
    only = [name for name, _ in asked.said if name != "nodaemon"]
    if only:
        raise EfError(f"--{only[0]} is for a supervisord.conf, and {path} is none; say it in the section `supervisor` of that file", Code.USAGE)
    return None


def become(user: str) -> None:
    """The daemon as a whole becomes another user, with his groups; nothing for nobody or for ourselves.  EfError USAGE when only root could."""
    if not user:
        return
    entry = pwd.getpwuid(int(user)) if user.strip().isdigit() else pwd.getpwnam(user)
    if entry.pw_uid == os.getuid():
        return
    if os.getuid() != 0:
        raise EfError(f"only root can become user {user}: start efsupervisord as root, or leave the option `user` out", Code.USAGE)
    os.setgroups(os.getgrouplist(entry.pw_name, entry.pw_gid))
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def with_var(config: Config, environment: Mapping[str, str]) -> Config:
    """The configuration with a state folder: its own, or the best place there is.  EfError when there is none."""
    if config.supervisor.var:
        return config
    chosen = var.choose(config.source, environment, os.geteuid())
    return msgspec.structs.replace(config, supervisor=msgspec.structs.replace(config.supervisor, var=chosen))


def check_parent(path: str) -> None:
    """The folder around a state folder that we chose is root's or ours.  EfError REFUSED when somebody was quicker."""
    owner = os.lstat(os.path.dirname(path)).st_uid
    if owner not in (0, os.geteuid()):
        raise EfError(f"the folder {os.path.dirname(path)} belongs to uid {owner}: say another with --var FOLDER", Code.REFUSED)


class AsSupervisord:
    """The main log and the pid file of one run.  Owns both."""

    def __init__(self, spec: DaemonSpec, system: System, umask: int) -> None:
        self._spec = spec
        self._umask = umask if spec.nodaemon else spec.umask
        self._log = MainLog(spec, system, self._umask)
        self._pid_file = ""

    def begin(self, core: Core) -> None:
        """Listen to the Core, before it starts anything, and say what supervisord says first."""
        core.log.also = self._log.heard
        core.on_report.append(self._log.reported)
        core.on_alert.append(self._alerted)
        core.on_signal.append(self._signalled)
        say = self._log.say
        if self._log.trouble:
            core.log.warning(self._log.trouble)
        for file in self._spec.included:
            say("info", f'Included extra file "{file}" during parsing')
        for note in self._spec.notes:
            core.log.warning(f"not carried over: {note}")
        if self._spec.user:
            say("info", f"Set uid to user {os.getuid()} succeeded")
        elif os.getuid() == 0:
            say(
                "critical",
                "Supervisor is running as root.  Privileges were not dropped because no user is specified in the config file.  "
                "If you intend to run as root, you can set user=root in the config file to avoid this message.",
            )
        self._write_pid()

    def _write_pid(self) -> None:
        path = self._spec.pidfile
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            with open(fd, "w", encoding="ascii") as file:
                os.fchmod(fd, 0o666 & ~self._umask)
                file.write(f"{os.getpid()}\n")
        except OSError:
            self._log.say("critical", f"could not write pidfile {path}")
        else:
            self._pid_file = path
        self._log.say("info", f"supervisord started with pid {os.getpid()}")

    def end(self) -> None:
        """The daemon ends: its pid file goes."""
        if self._pid_file:
            with contextlib.suppress(OSError):
                os.unlink(self._pid_file)

    def _alerted(self, task: Task, alert: Alert) -> None:
        self._log.heard(30, f"{alert.what}: {alert.sentence}", task.name)

    def _signalled(self, number: int) -> None:
        name = signal.Signals(number).name
        if number in EXITS:
            self._log.say("warn", f"received {name} indicating exit request")
        elif number in (signal.SIGUSR2, signal.SIGHUP):
            self._log.say("info", f"received {name} indicating log reopen request")
            self._log.reopen()
            self._log.say("info", "supervisord logreopen")

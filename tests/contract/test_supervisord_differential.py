"""supervisord's own parser and ours read the same generated files and resolve every option to the same value.

500 files, which takes some seconds.  EFS_SEED chooses other files.  What may differ is in EXPLAINED, each with its
reason; everything else is a failure that names the seed.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor.conf.ini.export import as_yaml
from efsupervisor.conf.ini.load import default_url, load_ini
from efsupervisor.conf.ini.situation import Situation
from efsupervisor.conf.loader import parse
from efsupervisor.conf.schema import Config, TaskSpec
from efsupervisor.errors import ConfigError
from tests.support.supervisord_files import Maker

options = pytest.importorskip("supervisor.options", reason="supervisor is not installed (pip install .[test])")
datatypes = pytest.importorskip("supervisor.datatypes")

COUNT = 500
SEED = int(os.environ.get("EFS_SEED", "4300"))
PIECES = 10
ENVIRONMENT = {"WHO": "me", "HOME": "/root", "PATH": "/bin:/usr/bin", "TMPDIR": "/tmp"}

EXPLAINED = {
    "a missing folder of a log": "supervisord refuses everything for the sake of one log; here the program runs, its log is kept, and a note says so",
    "a command that cannot be split": "supervisord finds out when it starts the program; so do we, and a note says it at the load",
}
"""What may differ, and why."""

WORDS = {datatypes.RestartUnconditionally: "true", datatypes.RestartWhenExitUnexpected: "unexpected", False: "false"}


def theirs(path: Path) -> Any:
    """supervisord's options after it has read the file; ValueError when it refuses it."""
    read = options.ServerOptions()
    read.environ_expansions = {f"ENV_{name}": value for name, value in ENVIRONMENT.items()}
    read.configfile = str(path)
    read.here = str(path.parent)
    read.process_config(do_usage=False)
    return read


def ours(path: Path) -> Config:
    """Our Config; ConfigError when we refuse the file."""
    return load_ini(str(path), Situation(environment=ENVIRONMENT, cwd=str(path.parent), umask=0o022, node=socket.gethostname()))


def log_of(value: Any, folder: Path) -> str:
    if value is None:
        return "none"
    return "auto" if value is datatypes.Automatic else os.path.normpath(folder / value)


def default_url_of(root: Any) -> str:
    """What supervisord tells a program whose section does not say it (ServerOptions.realize)."""
    files = [each["file"] for each in root.server_configs if each["family"] is socket.AF_UNIX]
    ports = [(each["host"] or "localhost", each["port"]) for each in root.server_configs if each["family"] is socket.AF_INET]
    return f"unix://{files[0]}" if files else f"http://{ports[0][0]}:{ports[0][1]}" if ports else ""


def their_process(process: Any, root: Any, folder: Path) -> dict[str, Any]:
    """A process as supervisord resolved it, in our words."""
    same = (
        "autostart", "startretries", "stopasgroup", "killasgroup", "redirect_stderr", "stdout_capture_maxbytes", "stderr_capture_maxbytes",
        "stdout_events_enabled", "stderr_events_enabled", "stdout_syslog", "stderr_syslog", "stdout_logfile_maxbytes", "stderr_logfile_maxbytes",
        "stdout_logfile_backups", "stderr_logfile_backups", "startsecs", "stopwaitsecs",
    )  # fmt: skip
    try:
        command = shlex.split(process.command)
    except ValueError:
        command = [process.command]
    inherited = 0o022 if root.nodaemon else root.umask & 0o777
    return {
        **{name: getattr(process, name) for name in same},
        "process_name": process.name,
        "own priority": process.priority,
        "command": command or [""],
        "directory": os.path.normpath(folder / (process.directory or "")),
        "umask": f"{inherited if process.umask is None else process.umask & 0o777:03o}",
        "autorestart": WORDS[process.autorestart],
        "exitcodes": tuple(process.exitcodes),
        "stopsignal": signal.Signals(process.stopsignal).name.removeprefix("SIG"),
        "uid": process.uid,
        "environment": process.environment,
        "serverurl": process.serverurl or default_url_of(root),
        "stdout_logfile": log_of(process.stdout_logfile, folder),
        "stderr_logfile": log_of(process.stderr_logfile, folder),
    }


def our_process(spec: TaskSpec, priority: int, default_url: str) -> dict[str, Any]:
    """The same of a task of ours."""
    names = (
        "autostart", "startretries", "stopasgroup", "killasgroup", "redirect_stderr", "stdout_capture_maxbytes", "stderr_capture_maxbytes",
        "stdout_events_enabled", "stderr_events_enabled", "stdout_syslog", "stderr_syslog", "stdout_logfile_maxbytes", "stderr_logfile_maxbytes",
        "stdout_logfile_backups", "stderr_logfile_backups", "startsecs", "stopwaitsecs", "process_name", "command", "directory", "umask",
        "autorestart", "exitcodes", "stopsignal", "environment", "stdout_logfile", "stderr_logfile",
    )  # fmt: skip
    return {
        **{name: getattr(spec, name) for name in names},
        "own priority": priority,
        "uid": datatypes.name_to_uid(spec.user) if spec.user else None,
        "serverurl": spec.serverurl or default_url,
    }


def their_view(read: Any, folder: Path) -> dict[str, Any]:
    """Everything that supervisord resolved."""
    root = read.configroot.supervisord
    groups = {}
    base = folder if root.nodaemon or not root.directory else Path(root.directory)  # a daemon goes there before it starts anything
    started = {group.name: group for group in reversed(read.process_group_configs)}  # of one name it starts the first alone
    for group in started.values():
        members = {process.name: their_process(process, root, base) for process in group.process_configs}
        groups[group.name, type(group).__name__.replace("EventListenerPool", "Pool").replace("Config", "")] = (group.priority, members)
    servers = [
        {key: each.get(key) for key in ("name", "file", "host", "port", "username", "password", "chown", "chmod")} for each in root.server_configs
    ]
    names = (
        "nodaemon", "silent", "logfile_maxbytes", "logfile_backups", "identifier", "nocleanup", "umask", "minfds", "minprocs", "strip_ansi",
        "environment",
    )  # fmt: skip
    return {
        "daemon": {
            **{name: getattr(root, name) for name in names},
            "user": root.user or "",
            "loglevel": root.loglevel,
            "pidfile": os.path.normpath(folder / root.pidfile),
            "logfile": root.logfile if root.logfile == "syslog" else os.path.normpath(folder / root.logfile),
        },
        "groups": groups,
        "servers": servers,
    }


def our_view(config: Config) -> dict[str, Any]:
    """The same of ours, put together from the tasks, pools and sockets."""
    daemon = config.daemon
    assert daemon is not None
    url = default_url(daemon)
    groups: dict[tuple[str, str], Any] = {}
    for task in config.tasks:
        if task.type == "eventlistener":
            continue  # a member of a pool, compared below
        if task.socket:
            pool = next(each for each in daemon.fcgi if each.name == task.group)
            assert (task.socket, task.socket_backlog) == (pool.socket, pool.backlog)
            assert next(each for each in pool.members if each.name == task.name).command == task.command
            continue
        members = groups.setdefault((task.group, "ProcessGroup"), (task.priority, {}))[1]
        members[task.process_name] = our_process(task, 0, url)
    for kind, pools in (("Pool", daemon.listeners), ("FastCGIGroup", daemon.fcgi)):
        for pool in pools:
            members = {each.process_name: our_process(each, each.priority, url) for each in pool.members}
            groups[pool.name, kind] = (None, members)
    servers = [
        {
            "name": each.name or None,
            "file": each.file or None,
            "host": None if each.file else each.host,
            "port": each.port or None,
            "username": each.username or None,
            "password": each.password or None,
            "chown": each.owner if each.file else None,
            "chmod": each.mode if each.file else None,
        }
        for each in daemon.servers
    ]
    names = (
        "nodaemon", "silent", "logfile_maxbytes", "logfile_backups", "identifier", "nocleanup", "umask", "minfds", "minprocs", "strip_ansi",
        "environment", "user", "pidfile", "logfile",
    )  # fmt: skip
    level = getattr(pytest.importorskip("supervisor.loggers").LevelsByDescription, daemon.loglevel)
    return {"daemon": {**{name: getattr(daemon, name) for name in names}, "loglevel": level}, "groups": groups, "servers": servers}


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two views differ.  A priority that is None is not compared; neither is a task's own where the group's counts."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{path}: only supervisord has {key}" for key in one.keys() - other.keys()]
        found += [f"{path}: only we have {key}" for key in other.keys() - one.keys()]
        return found + [each for key in one.keys() & other.keys() for each in differences(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other) == 2 and isinstance(one[1], dict):
        same_priority = other[0] is None or one[0] == other[0] or not one[1]
        own = {name: {**each, "own priority": 0} for name, each in one[1].items()} if other[0] is not None else one[1]
        return ([] if same_priority else [f"{path}: priority {one[0]} and {other[0]}"]) + differences(own, other[1], path)
    return [] if one == other else [f"{path}: supervisord {one!r}, we {other!r}"]


def compare(path: Path) -> tuple[str, list[str]]:
    """What came of one file: `same`, `refused by both`, or the explanation; and every difference that nobody explains."""
    refusal, refused = "", ""
    try:
        mine = ours(path)
    except ConfigError as error:
        refused = error.message
    try:
        their = theirs(path)
    except ValueError as error:
        refusal = str(error)
    if refusal and refused:
        return "refused by both", []
    if refusal:
        notes = mine.daemon.notes if mine.daemon else []
        if "directory named as part of the path" in refusal and any("kept in the task's own folder" in note for note in notes):
            return "a missing folder of a log", []
        return "", [f"supervisord refuses it, we do not: {refusal}"]
    if refused:
        return "", [f"we refuse it, supervisord does not: {refused}"]
    their_groups, our_groups = their_view(their, path.parent), our_view(mine)
    their_groups["groups"] = {key: group for key, group in their_groups["groups"].items() if group[1]}
    return "same", differences(their_groups, our_groups)


@pytest.mark.parametrize("piece", range(PIECES))
def test_supervisord_and_we_resolve_the_same_options(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(ENVIRONMENT))
    outcomes: dict[str, int] = {}
    for number in range(piece, COUNT, PIECES):
        folder = tmp_path / str(number)
        folder.mkdir()
        slips = random.Random(SEED + number).choice([0.0, 0.0, 0.0, 0.005, 0.04])
        path = Maker(SEED + number, folder, slips).make()
        monkeypatch.chdir(folder)
        outcome, unexplained = compare(path)
        assert not unexplained, f"seed {SEED + number} (EFS_SEED={SEED}): {unexplained[:5]}\n{path.read_text()}"
        assert outcome in ("same", "refused by both") or outcome in EXPLAINED
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    print(f"seeds {SEED + piece}, {SEED + piece + PIECES} ... below {SEED + COUNT}: {outcomes}")
    assert outcomes.get("same", 0) > COUNT / PIECES / 2


@pytest.mark.parametrize("piece", range(PIECES))
def test_what_is_imported_loads_to_the_same_tasks(piece: int, tmp_path: Path) -> None:
    compared = 0
    for number in range(piece, COUNT // 5, PIECES):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = Maker(SEED + number, folder, 0.0).make()
        try:
            config = ours(path)
        except ConfigError:
            continue  # refused by both, as the test above shows
        again = parse(as_yaml(config).encode(), str(folder / "efsupervisor.yaml"))
        assert [plain(task) for task in again.tasks] == [plain(task) for task in config.tasks], f"seed {SEED + number}"
        assert again.groups == config.groups, f"seed {SEED + number}"
        assert (again.supervisor.xmlrpc, again.supervisor.web) == (config.supervisor.xmlrpc, config.supervisor.web), f"seed {SEED + number}"
        compared += len(config.tasks)
    assert compared > COUNT // 5 / PIECES


def plain(task: TaskSpec) -> TaskSpec:
    """A task without what the import fills in: its group is a group of ours, its number is in its values."""
    return msgspec.structs.replace(task, group="", instance=0, process_name=task.process_name or task.name)

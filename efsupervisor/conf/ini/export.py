"""A supervisord.conf as a configuration file of ours, with a comment for everything that it could not say.

Every process is a task of its own, with the values that it has in the end: names of variables and numbers are filled in.  What is written loads to
the same tasks (a test holds that).  Texts are quoted as JSON, which is YAML.  Pure.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from efsupervisor.conf.names import shown
from efsupervisor.conf.schema import Config, DaemonSpec, GroupSpec, TaskSpec, XmlRpcSpec
from efsupervisor.conf.tables import TASK, XMLRPC

_LEFT_OUT = frozenset({"input", "output", "process_name", "instances", "first_instance"})
_DEFAULTS = msgspec.structs.asdict(TaskSpec(name="", command=[]))


def as_yaml(config: Config) -> str:
    """The text of the file."""
    daemon = config.daemon or DaemonSpec()
    lines = [f"# Made from {shown(config.source, 4096)} by `efctl conf import`.", *_comments(daemon), "", *_supervisor(config), "", "tasks:"]
    for task in config.tasks:
        lines += _task(task)
    if not config.tasks:
        lines[-1] = "tasks: {}"
    if config.groups:
        lines += ["", "groups:"]
        for group in config.groups:
            lines += _group(group)
    return "\n".join(lines) + "\n"


def _comments(daemon: DaemonSpec) -> list[str]:
    said = [f"#   {note}" for note in daemon.notes]
    said += [f"#   {sentence}" for sentence in _of_the_daemon(daemon)]
    return ["#", "# Not carried over, line by line:", *said]


def _of_the_daemon(daemon: DaemonSpec) -> list[str]:
    """What [supervisord] says and a file of ours does not."""
    found = [
        f"supervisord.logfile: the daemon's log is var/log/efsupervisord.log, not {shown(daemon.logfile, 400)}",
        f"supervisord.pidfile: none is written to {shown(daemon.pidfile, 400)}; var/core.json has the number",
    ]
    if daemon.nodaemon:
        found.append("supervisord.nodaemon: start it as `efsupervisord -n`")
    if daemon.user:
        found.append(f"supervisord.user: start it as {shown(daemon.user)}")
    if daemon.environment:
        found.append("supervisord.environment: stands in each task")
    return found


def _supervisor(config: Config) -> list[str]:
    lines = ["supervisor:", f"  log_level: {config.supervisor.log_level}"]
    if config.supervisor.var:
        lines.append(f"  var: {_text(config.supervisor.var)}")
    lines += ["  web:", f"    enabled: {_value(config.supervisor.web.enabled)}", f"    port: {config.supervisor.web.port}"]
    rpc = config.supervisor.xmlrpc
    said = {key: getattr(rpc, key) for key in XMLRPC if getattr(rpc, key) != getattr(XmlRpcSpec(), key)}
    return [*lines, *(["  xmlrpc:"] if said else []), *(f"    {key}: {_value(value)}" for key, value in said.items())]


def _task(task: TaskSpec) -> list[str]:
    lines = [f"  {_text(task.name)}:", f"    command: {_value(task.command)}"]
    for key in TASK:
        value = getattr(task, key)
        if key in _LEFT_OUT or key == "command" or value == _DEFAULTS[key]:
            continue
        if isinstance(value, dict):
            lines += [f"    {key}:", *(f"      {_text(name, key=True)}: {_text(text)}" for name, text in value.items())]
        else:
            lines.append(f"    {key}: {_value(value)}")
    if task.process_name not in ("", task.name):
        lines.append(f"    process_name: {_text(task.process_name.replace('%', '%%'))}")
    return lines if task.input is None else [*lines, "    input:", "      stdin: open"]


def _group(group: GroupSpec) -> list[str]:
    return [f"  {_text(group.name)}:", f"    tasks: {_value(group.tasks)}"]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return str(value) if isinstance(value, int) else _text(str(value))


def _text(text: str, *, key: bool = False) -> str:
    """A text in quotes; `${` would be a variable in a value."""
    return json.dumps(text if key else text.replace("${", "$${"), ensure_ascii=False)

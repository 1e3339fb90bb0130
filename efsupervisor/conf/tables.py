"""Which keys each section has, and what each key accepts: the tables between the YAML text and the structs of schema.py.

A table has exactly the keys of its struct (a test holds them together), in the order in which they are explained.  What must be true between keys is
in check.py and its neighbours.
"""

from __future__ import annotations

from efsupervisor.conf import care, convert, web
from efsupervisor.conf.conditions import depends_on
from efsupervisor.conf.fields import (
    Field,
    autorestart,
    choice,
    command,
    duration,
    environment,
    exitcodes,
    integer,
    log_file,
    name_tuple,
    names,
    one,
    one_name,
    part,
    path_field,
    process_pattern,
    size,
    task_type,
    texts,
    user,
)
from efsupervisor.conf.schema import (
    AliveSpec,
    CgroupSpec,
    HooksSpec,
    InputSpec,
    OutputSpec,
    PostSpec,
    ReadySpec,
    ResourceSpec,
    ResultSpec,
    WebSpec,
    XmlRpcSpec,
)
from efsupervisor.states import Framing, Kind, Mode, Protocol

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")
_KIB, _MIB, _GIB, _TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
_MANY = 1_000_000


def _framing(text: str) -> Framing:
    return Framing[convert.choice(text, [each.name.lower() for each in Framing]).upper()]


INPUT: dict[str, Field] = {
    "protocol": one(lambda text: Protocol(convert.choice(text, list(Protocol)))),
    "window": integer(1, 1024),
    "ack": choice("either", "empty", "echo"),
    "max_deliveries": integer(0, _MANY),
    "on_poison": choice("dead-letter", "drop", "stop"),
    "max_event": size(1, _GIB),
    "stdin": choice("eof", "open"),
    "framing": one(_framing),
    "ack_timeout_s": duration(),
}

OUTPUT: dict[str, Field] = {
    "segment_bytes": size(_KIB, _TIB),
    "keep_bytes": size(0, 1 << 60),
    "keep_age_s": duration(),
    "hard_bytes": size(0, 1 << 60),
    "sync": choice("never", "interval", "always"),
    "framing": one(_framing),
    "compress": choice("none", "gzip"),
}

READY: dict[str, Field] = {
    "notify": one(convert.boolean),
    "line": one(care.regex),
    "tcp": one(care.tcp),
    "http": one(care.http),
    "exec": command,
    "hosts": texts(care.address),
    "interval_s": duration(0.01, 3600),
    "timeout_s": duration(0.01, 3600),
    "start_timeout_s": duration(0.1),
}

ALIVE: dict[str, Field] = {
    "tcp": one(care.tcp),
    "http": one(care.http),
    "exec": command,
    "hosts": texts(care.address),
    "interval_s": duration(0.01, 86_400),
    "timeout_s": duration(0.01, 3600),
    "failures": integer(1, 1000),
    "watchdog_s": duration(),
}

HOOKS: dict[str, Field] = {
    "before_start": command,
    "after_start": command,
    "before_stop": command,
    "after_exit": command,
    "timeout_s": duration(0.01, 86_400),
}

CGROUP: dict[str, Field] = {
    "memory_max": size(0, 1 << 60),
    "pids_max": integer(0, 1 << 22),
    "cpu_max": integer(0, _MANY),
}

TASK: dict[str, Field] = {
    "command": command,
    "type": task_type,
    "kind": one(lambda text: Kind(convert.choice(text, list(Kind)))),
    "directory": path_field,
    "user": one(user),
    "umask": one(convert.octal),
    "environment": environment,
    "autostart": one(convert.boolean),
    "autorestart": one(autorestart),
    "exitcodes": exitcodes,
    "startsecs": duration(),
    "startretries": integer(0, _MANY),
    "backoff_s": duration(0.001),
    "backoff_max_s": duration(0.001),
    "restart_burst": integer(1, _MANY),
    "restart_period_s": duration(0.001),
    "stopsignal": one(convert.signal_name),
    "stopwaitsecs": duration(),
    "priority": integer(-(1 << 31), (1 << 31) - 1),
    "redirect_stderr": one(convert.boolean),
    "drain_s": duration(),
    "input": part(InputSpec, INPUT),
    "output": part(OutputSpec, OUTPUT),
    "stopasgroup": one(convert.boolean),
    "killasgroup": one(convert.boolean),
    "stdout_logfile": log_file,
    "stdout_logfile_maxbytes": size(0, _TIB),
    "stdout_logfile_backups": integer(0, 100_000),
    "stdout_capture_maxbytes": size(0, _GIB),
    "stdout_events_enabled": one(convert.boolean),
    "stdout_syslog": one(convert.boolean),
    "stderr_logfile": log_file,
    "stderr_logfile_maxbytes": size(0, _TIB),
    "stderr_logfile_backups": integer(0, 100_000),
    "stderr_capture_maxbytes": size(0, _GIB),
    "stderr_events_enabled": one(convert.boolean),
    "stderr_syslog": one(convert.boolean),
    "strip_ansi": one(convert.boolean),
    "serverurl": one(convert.argument),
    "inherit_environment": one(convert.boolean),
    "no_new_privs": one(convert.boolean),
    "instances": integer(1, 10_000),
    "first_instance": integer(0, _MANY),
    "process_name": one(process_pattern),
    "ready": part(ReadySpec, READY),
    "alive": part(AliveSpec, ALIVE),
    "hooks": part(HooksSpec, HOOKS),
    "max_runtime_s": duration(),
    "backoff_reset_s": duration(),
    "fatal_after_burst": one(convert.boolean),
    "retry_fatal_s": duration(),
    "limits": care.limits,
    "nice": integer(-20, 19),
    "ionice": one(care.ionice),
    "cpu_affinity": care.cpus,
    "oom_score_adj": integer(-1000, 1000),
    "groups": care.groups,
    "environment_files": care.paths,
    "secrets": care.secrets,
    "max_rss": size(0, 1 << 60),
    "max_cpu": integer(0, _MANY),
    "usage_s": duration(0.1, 86_400),
    "cgroup": part(CgroupSpec, CGROUP),
    "depends_on": depends_on,
    "restart_with": one(convert.boolean),
    "events": texts(web.event_type),
    "buffer_size": integer(1, 100_000),
    "retries": integer(0, 60_000),
    "no_retry": exitcodes,
    "socket": one(care.listening),
    "socket_backlog": integer(0, 65_535),
    "socket_mode": one(convert.octal),
    "socket_owner": one(user),
    "essential": one(convert.boolean),
}

FLOW: dict[str, Field] = {
    "from": names,
    "to": names,
    "mode": one(lambda text: Mode(convert.choice(text, list(Mode)))),
    "start": one(convert.place),
    "max_lag": size(1, 1 << 60),
    "overflow": choice("block", "drop-oldest"),
    "on_consumers_done": choice("stop", "continue"),
    "cycle": one(convert.boolean),
}

GROUP: dict[str, Field] = {
    "tasks": names,
}

SCHEDULE: dict[str, Field] = {
    "cron": one(convert.cron),
    "timezone": one(convert.timezone),
    "act": names,
    "trm": names,
    "task": one_name,
    "put": one(convert.event),
    "missed": choice("skip", "once", "all"),
    "enabled": one(convert.boolean),
    "run": names,
    "overlap": choice("forbid", "queue", "replace"),
}

WEB: dict[str, Field] = {
    "enabled": one(convert.boolean),
    "host": one(web.listening_address),
    "port": integer(0, 65_535),
    "hosts": texts(web.host_name),
    "certificate": path_field,
    "key": path_field,
    "threads": integer(1, 256),
    "connections": integer(1, 100_000),
    "request_s": duration(0.1, 3600),
    "idle_s": duration(0.1, 3600),
    "max_header": size(_KIB, _MIB),
    "max_body": size(_KIB, _GIB),
}

RESOURCE: dict[str, Field] = {
    "enabled": one(convert.boolean),
    "interval_s": duration(0.1, 86_400),
    "keep": integer(1, 100_000),
    "url": one(web.url),
}

RESULT: dict[str, Field] = {
    "enabled": one(convert.boolean),
    "tasks": name_tuple,
    "keep": integer(1, 100_000),
    "url": one(web.url),
    "alert_url": one(web.url),
}

POST: dict[str, Field] = {
    "timeout_s": duration(0.1, 600),
    "retry_max_s": duration(0.1, 86_400),
    "spool_bytes": size(64 * _KIB, _TIB),
    "batch": integer(1, 10_000),
    "allow_private": texts(web.host_name),
    "token_file": path_field,
}

XMLRPC: dict[str, Field] = {
    "enabled": one(convert.boolean),
    "host": one(web.listening_address),
    "port": integer(0, 65_535),
    "user": one(web.basic_user),
    "password": one(web.basic_password),
    "file": path_field,
    "mode": one(convert.octal),
    "owner": one(user),
    "socket_user": one(web.basic_user),
    "socket_password": one(web.basic_password),
    "identifier": one(web.identifier),
}

SUPERVISOR: dict[str, Field] = {
    "var": path_field,
    "log_level": choice(*LOG_LEVELS),
    "log_max_bytes": size(0, _TIB),
    "log_backups": integer(0, 1000),
    "ping_s": duration(0.1),
    "ping_deadline_s": duration(0.1),
    "shutdown_s": duration(),
    "log_format": choice(*LOG_FORMATS),
    "services": one(convert.boolean),
    "heartbeat_s": duration(0.1, 3600),
    "heartbeat_deadline_s": duration(0.1, 3600),
    "history": integer(0, 10_000_000),
    "alerts": integer(0, 1_000_000),
    "web": part(WebSpec, WEB),
    "resource": part(ResourceSpec, RESOURCE),
    "result": part(ResultSpec, RESULT),
    "post": part(PostSpec, POST),
    "xmlrpc": part(XmlRpcSpec, XMLRPC),
    "parallel_starts": integer(0, 100_000),
}

PARTS: dict[str, dict[str, Field]] = {"web": WEB, "resource": RESOURCE, "result": RESULT, "post": POST, "xmlrpc": XMLRPC}
"""Keys of SUPERVISOR that have keys of their own."""

TASK_PARTS: dict[str, dict[str, Field]] = {"ready": READY, "alive": ALIVE, "hooks": HOOKS, "cgroup": CGROUP}
"""Keys of TASK that have keys of their own, beside input and output."""

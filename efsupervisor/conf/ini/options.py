"""Every option of supervisord 4.3 by kind of section, with its default: what is known, so that a slip can be told from an option.

The values are texts as they would be written; None: there is no default.  The page docs/supervisord.rst has a row for each of them.  Pure data.
"""

from __future__ import annotations

_SERVER = {"username": None, "password": None}
_CHANNELS = {
    f"{channel}_{option}": default
    for channel in ("stdout", "stderr")
    for option, default in {
        "logfile": "AUTO", "logfile_maxbytes": "50MB", "logfile_backups": "10", "capture_maxbytes": "0", "events_enabled": "false", "syslog": "false",
    }.items()
}  # fmt: skip

PROGRAM: dict[str, str | None] = {
    "command": None, "process_name": "%(program_name)s", "numprocs": "1", "numprocs_start": "0", "priority": "999", "autostart": "true",
    "startsecs": "1", "startretries": "3", "autorestart": "unexpected", "exitcodes": "0", "stopsignal": "TERM", "stopwaitsecs": "10",
    "stopasgroup": "false", "killasgroup": "false", "user": None, "redirect_stderr": "false", **_CHANNELS, "environment": "", "directory": None,
    "umask": None, "serverurl": "AUTO",
}  # fmt: skip

SECTIONS: dict[str, dict[str, str | None]] = {
    "supervisord": {
        "logfile": "supervisord.log", "logfile_maxbytes": "50MB", "logfile_backups": "10", "loglevel": "info", "pidfile": "supervisord.pid",
        "umask": "022", "nodaemon": "false", "silent": "false", "minfds": "1024", "minprocs": "200", "nocleanup": "false", "childlogdir": None,
        "user": None, "directory": None, "strip_ansi": "false", "environment": "", "identifier": "supervisor",
    },
    "unix_http_server": {"file": None, "chmod": "0700", "chown": None, **_SERVER},
    "inet_http_server": {"port": None, **_SERVER},
    "supervisorctl": {
        "serverurl": "http://localhost:9001", "username": None, "password": None, "prompt": "supervisor", "history_file": None,
    },
    "program": PROGRAM,
    "eventlistener": {
        **PROGRAM, "priority": "-1", "events": None, "buffer_size": "10", "result_handler": "supervisor.dispatchers:default_handler",
    },
    "fcgi-program": {**PROGRAM, "socket": None, "socket_backlog": None, "socket_owner": None, "socket_mode": None},
    "group": {"programs": None, "priority": "999"},
    "include": {"files": None},
}  # fmt: skip
"""Kind of section (what stands before the colon) -> option -> default."""

FREE = ("rpcinterface", "ctlplugin", "efsupervisor")
"""Kinds of section whose options are somebody else's, or ours."""


def kind_of(section: str) -> str:
    """What stands before the colon."""
    return section.partition(":")[0]

"""The page docs/supervisord.rst: each option of supervisord 4.3, what it is here, and the test that shows it.

The options and their defaults come from the code that reads them; a test says when the page is stale, and that each test it names exists.
"""

from __future__ import annotations

from efsupervisor.conf.ini.options import SECTIONS

DIFFERENTIAL = "tests/contract/test_supervisord_differential.py"
FASTCGI = "tests/system/test_shared_sockets.py"
SYSTEM = "tests/system/test_supervisord_conf.py"
LOADING = "tests/unit/conf/ini/test_ini_load.py"
LOGS = "tests/unit/task/test_logfile.py"

DIFFERENCES: dict[str, tuple[str, str]] = {
    "logfile": ("the same place, form and phrases; our own log in ``var/log`` besides", SYSTEM),
    "loglevel": ("the same; it sets the level of our own log too", LOADING),
    "minfds": ("taken; the limit is raised as far as the system allows", DIFFERENTIAL),
    "minprocs": ("taken; nothing is checked", DIFFERENTIAL),
    "nocleanup": ("taken; nothing is removed at a start", DIFFERENTIAL),
    "childlogdir": ("taken; logs without a path are in the folder of their task", DIFFERENTIAL),
    "strip_ansi": ("only in what is written to a device, to a shared file or to syslog; the task's log holds what the program wrote", LOGS),
    "file": ("the first Unix socket is served, others are not", LOADING),
    "port": ("served on a loopback address with username and password only; else a note says that it is not", LOADING),
    "username": ("the same, also as ``{SHA}``", LOADING),
    "serverurl": ("the same", SYSTEM),
    "command": ("the same; what cannot be split is a note at the load, and FATAL at the start", LOADING),
    "process_name": ("the task has this name where it is alone, else ``group.name``", LOADING),
    "autorestart": ("the same, but many restarts in a short time wait in between (``restart_burst``)", SYSTEM),
    "startretries": ("the same number; delays of 1, 2, 4 ... 60 s with some chance in them, not 1, 2, 3 ...", SYSTEM),
    "stopasgroup": ("``true`` reaches the whole tree, also processes that left the group", SYSTEM),
    "killasgroup": ("SIGKILL always reaches the whole tree; so does the end of the program", SYSTEM),
    "user": ("the same; supplementary groups as well, HOME and USER stay", SYSTEM),
    "environment": ("the same, on the whole environment of the supervisor", SYSTEM),
    "stdout_logfile": (
        "a link to the task's log, whose rotations are links ``.1``, ``.2``; only root and we can read where it leads.  A device, and a file that "
        "several programs name, is written to.  A folder that is missing stops nothing",
        SYSTEM,
    ),
    "stdout_logfile_maxbytes": ("the same; a record is never split over two files", SYSTEM),
    "stdout_logfile_backups": ("the same, in bytes: so many files of that size", SYSTEM),
    "stdout_capture_maxbytes": ("for event listeners", DIFFERENTIAL),
    "stdout_events_enabled": ("for event listeners", DIFFERENTIAL),
    "stdout_syslog": ("the same, a record a line", LOGS),
    "programs": ("the same; the group is a group here", LOADING),
    "priority": ("the same order of starting", LOADING),
    "files": ("the same; included files are read once, in their order", DIFFERENTIAL),
    "prompt": ("supervisorctl's own", DIFFERENTIAL),
    "history_file": ("supervisorctl's own", DIFFERENTIAL),
    "socket": ("the same; a ``unix://`` path goes when the last process has stopped, and a host is an address or ``localhost``", FASTCGI),
}
"""Option -> what differs, and the file of the test.  An option that is not here is the same."""

_OF_A_CHANNEL = ("logfile", "logfile_maxbytes", "logfile_backups", "capture_maxbytes", "events_enabled", "syslog")
SAME_AS = {f"stderr_{each}": f"stdout_{each}" for each in _OF_A_CHANNEL}
SAME_AS |= {"password": "username", "socket_backlog": "socket", "socket_owner": "socket", "socket_mode": "socket"}

BEGIN, END = ".. options begin\n", ".. options end\n"


def row(option: str) -> tuple[str, str]:
    """What an option is here, and the file of its test."""
    return DIFFERENCES.get(SAME_AS.get(option, option), ("the same", DIFFERENTIAL))


def tables() -> str:
    """One table for each kind of section."""
    parts = []
    for kind, options in SECTIONS.items():
        shown = {option: default for option, default in options.items() if kind in ("program", "supervisord") or option not in SECTIONS["program"]}
        title = f"[{kind}]" if kind in ("supervisord", "supervisorctl", "include") else f"[{kind}:x]" if "server" not in kind else f"[{kind}]"
        parts.append(f"\n{title}\n{'~' * len(title)}\n\n.. list-table::\n   :header-rows: 1\n\n")
        parts.append("   * - option\n     - default\n     - here\n     - test\n")
        for option, default in shown.items():
            here, test = row(option)
            said = f"``{default}``" if default else "none" if default is None else "empty"
            parts.append(f"   * - ``{option}``\n     - {said}\n     - {here}\n     - ``{test}``\n")
    return "".join(parts)


def with_options(page: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{tables()}\n{END}{rest.partition(END)[2]}"

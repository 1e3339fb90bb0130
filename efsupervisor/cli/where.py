"""Which supervisor is meant: from the command line, the environment or the configuration to the paths of its sockets.

What was said explicitly wins over what was found: `--socket`, `--var` and `-c` in this order, then the environment's EFSUPERVISOR_SOCKET, then its
EFSUPERVISOR_CONF, then the first configuration file of CANDIDATES.

Of a configuration only `supervisor: var:` is wanted.  Importing PyYAML and checking a thousand tasks for one word would cost more than the whole
command, so `scan` looks for the plain form that nearly every file has, and finds nothing in everything else - no such key, a flow mapping, a quoted
or continued value, two sections of the name, a quote that may be open above, a file that somebody else could have written; then the real loader is
asked.  It is a shortcut and never a second opinion: a file that is broken elsewhere passes here, as it does in the loader's `find_var`, for a
client must reach the supervisor that runs.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import NamedTuple

from efsupervisor.errors import Code, EfError

SOCKET_NAME = "core.sock"
MIDDLE_NAME = "run/middle.sock"
CANDIDATES = ("etc/efsupervisor.yaml", "efsupervisor.yaml", "/etc/efsupervisor/efsupervisor.yaml")
SUPERVISORD = ("supervisord.conf", "etc/supervisord.conf", "/etc/supervisord.conf", "/etc/supervisor/supervisord.conf")
"""Where one of supervisord's is looked for after that; as efsupervisord does."""
_MAX_SCANNED = 1 << 20
_PLAIN = re.compile(r"[\w./][\w./ +@=-]*", re.ASCII)
_TOP = re.compile(r"supervisor[ ]*:[ ]*(#.*)?")
_KEY = re.compile(r"([ ]+)([A-Za-z_][A-Za-z0-9_]*)[ ]*:(?:[ ]+(.*))?")


class Where(NamedTuple):
    """What the command line said about it; empty is nothing."""

    socket: str = ""
    var: str = ""
    conf: str = ""


class Place(NamedTuple):
    """Where one supervisor is: the Core's socket, the folder it lies in, the middle interface's socket."""

    core: str
    var: str
    middle: str


def place(where: Where, environment: Mapping[str, str]) -> Place:
    """The supervisor that is meant; raises as socket_path does."""
    core = socket_path(where, environment)
    var = os.path.dirname(core) or "."
    return Place(core, var, os.path.join(var, MIDDLE_NAME))


def conf_path(where: Where, environment: Mapping[str, str]) -> str:
    """The configuration file that is meant.  EfError when there is none."""
    return where.conf or _found(environment)


def socket_path(where: Where, environment: Mapping[str, str]) -> str:
    """Path of the control socket that is meant.  EfError when nothing says where, ConfigError when the configuration is needed and refused."""
    if where.socket:
        return where.socket
    if where.var:
        return os.path.join(where.var, SOCKET_NAME)
    if where.conf:
        return os.path.join(var_of(where.conf), SOCKET_NAME)
    if environment.get("EFSUPERVISOR_SOCKET"):
        return environment["EFSUPERVISOR_SOCKET"]
    return os.path.join(var_of(_found(environment)), SOCKET_NAME)


def _found(environment: Mapping[str, str]) -> str:
    named = environment.get("EFSUPERVISOR_CONF", "")
    for path in (named,) if named else CANDIDATES + SUPERVISORD:
        if os.path.exists(path):
            return path
    if named:
        raise EfError(f"there is no configuration file {named} (EFSUPERVISOR_CONF)", Code.CONFIG)
    looked = ", ".join(CANDIDATES)
    raise EfError(f"no configuration was found ({looked}); say which supervisor is meant with -c FILE, --var FOLDER or --socket PATH", Code.CONFIG)


def var_of(conf: str) -> str:
    """The absolute `var` folder that a configuration file names.  ConfigError when the file cannot be read, trusted or understood."""
    var = _quick_look(conf)
    if var:
        return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(conf)), var))
    from efsupervisor.conf.ini.situation import is_ini  # late on purpose: a plain file of ours does not need it

    if is_ini(conf):
        from efsupervisor.conf.ini.load import find_ini_var  # late on purpose: it brings the reader of a supervisord.conf

        return find_ini_var(conf)
    from efsupervisor.conf.loader import find_var  # late on purpose: it brings PyYAML, which a plain file does not need

    return find_var(conf)


def _quick_look(conf: str) -> str:
    """What `scan` finds in a file that nobody else could have written; empty when the loader has to judge."""
    try:
        fd = os.open(conf, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    try:
        about = [os.fstat(fd), *(os.stat(os.path.dirname(path)) for path in {os.path.abspath(conf), os.path.realpath(conf)})]
        ours = all(each.st_uid in (0, os.geteuid()) and not each.st_mode & (stat.S_IWGRP | stat.S_IWOTH) for each in about)
        data = os.read(fd, _MAX_SCANNED + 1) if ours and stat.S_ISREG(about[0].st_mode) else b""
        return scan(data.decode())
    except (OSError, UnicodeDecodeError):
        return ""
    finally:
        os.close(fd)


def scan(text: str) -> str:
    """`supervisor: var:` of a configuration's text; empty when it is not said, or when this simple look cannot be sure."""
    if len(text) > _MAX_SCANNED or "\t" in text or text.lstrip("\ufeff\n ").startswith(("{", "%", "-", "[", '"', "'", "?", "&", "!", "*")):
        return ""
    lines = [line.rstrip() for line in text.splitlines()]
    sections = [number for number, line in enumerate(lines) if line.lstrip(" '\"?").startswith("supervisor") and not line.startswith(" ")]
    if len(sections) != 1 or not _TOP.fullmatch(lines[sections[0]]) or not all(map(_closed, lines[: sections[0]])):
        return ""
    return _scan_section(lines[sections[0] + 1 :])


def _closed(line: str) -> bool:
    """No quote or bracket of this line may reach into a later one, so that a heading below is one."""
    if line.lstrip().startswith("#"):
        return True
    even = line.count("'") % 2 == 0 and line.count('"') % 2 == 0 and '\\"' not in line
    return even and line.count("[") == line.count("]") and line.count("{") == line.count("}")


def _scan_section(lines: list[str]) -> str:
    indent, found = "", ""
    for line in lines:
        if not line or line.lstrip().startswith("#"):
            continue
        if not line.startswith(" "):
            break
        key = _KEY.fullmatch(line)
        if key is None or (indent and key[1] != indent):
            return ""
        indent = key[1]
        if key[2] == "var":
            value = re.sub(r"\s+#.*$", "", key[3] or "").rstrip()
            if found or not _PLAIN.fullmatch(value):
                return ""
            found = value
    return found

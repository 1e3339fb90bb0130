"""What the reading of a supervisord.conf depends on besides its text.  Pure data; the daemon gathers it once, at its start, for every reading."""

from __future__ import annotations

import os

import msgspec


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """environment: variables (`%(ENV_X)s`).  cwd: what relative paths are relative to.  umask: that of who started us.  node: the machine's name.
    said: options of [supervisord] from the command line, as texts; they win.  var: the folder of the state, empty when the file may say it."""

    environment: dict[str, str] = {}
    cwd: str = "/"
    umask: int = 0o022
    node: str = "localhost"
    said: dict[str, str] = {}
    var: str = ""


def present(said: dict[str, str] | None = None, umask: int = 0o022, var: str = "") -> Situation:
    """The situation of this process."""
    return Situation(environment=dict(os.environ), cwd=os.getcwd(), umask=umask, node=os.uname().nodename, said=said or {}, var=var)


def looks_like_ini(path: str, head: bytes) -> bool:
    """Whether a file is a supervisord.conf: by its ending, or because its first line with something on it is a [section] alone.  Pure."""
    if path.endswith((".yaml", ".yml")):
        return False
    if path.endswith((".conf", ".ini")):
        return True
    lines = (line.strip() for line in head.decode("utf-8", "replace").lstrip("\ufeff").splitlines())
    first = next((line for line in lines if line and not line.startswith(("#", ";"))), "")
    return first.startswith("[") and first.endswith("]") and "," not in first


def is_ini(path: str) -> bool:
    """As looks_like_ini, of a file that is there; False when it cannot be read (whoever loads it says why)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        return looks_like_ini(path, os.read(fd, 4096))
    except OSError:
        return False
    finally:
        os.close(fd)

"""Where the state of a supervisord.conf lies that does not say it: a folder of its own for each configuration, on a disk where one can be written.

supervisord has no state, so an unmodified file names no place for it.  Candidates in order: /var/lib (survives a reboot), /run, /dev/shm, /tmp;
for others than root their own state folder first.  A container whose root is read-only has a tmpfs at one of the later ones.
The daemon takes the first that it can write; a client the one in which a daemon announced itself last.

This module looks at folders and never makes one.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping

from efsupervisor.errors import Code, EfError

ANNOUNCEMENT = "core.json"


def candidates(source: str, environment: Mapping[str, str], uid: int) -> list[str]:
    """The folders that may be the state folder of a configuration, best first.  Pure but for the link that `source` may be."""
    real = os.path.realpath(source)
    name = f"{os.path.splitext(os.path.basename(real))[0]}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:8]}"
    if uid == 0:
        bases = ["/var/lib/efsupervisor", "/run/efsupervisor"]
    else:
        home = environment.get("HOME", "")
        bases = [environment.get("XDG_STATE_HOME") or (f"{home}/.local/state" if home else ""), environment.get("XDG_RUNTIME_DIR", "")]
        bases = [f"{base}/efsupervisor" for base in bases if os.path.isabs(base)]
    bases += [f"{base}/efsupervisor-{uid}" for base in ("/dev/shm", "/tmp")]
    return [f"{base}/{name}" for base in bases]


def choose(source: str, environment: Mapping[str, str], uid: int, usable: Callable[[str, int], bool] | None = None) -> str:
    """Where the daemon puts its state.  EfError SYSTEM when nothing can be written."""
    found = candidates(source, environment, uid)
    for path in found:
        if (usable or is_usable)(path, uid):
            return path
    places = ", ".join(os.path.dirname(path) for path in found)
    raise EfError(f"there is no place for the state folder: none of {places} can be written; mount a tmpfs at /run, or say --var FOLDER", Code.SYSTEM)


def find(source: str, environment: Mapping[str, str], uid: int) -> str:
    """Where a daemon of this configuration announced itself last; where one would put its state when none did."""
    announced = [(os.stat(f"{path}/{ANNOUNCEMENT}").st_mtime, path) for path in candidates(source, environment, uid) if _announced(path)]
    return max(announced)[1] if announced else choose(source, environment, uid)


def _announced(path: str) -> bool:
    return os.access(f"{path}/{ANNOUNCEMENT}", os.R_OK)


def is_usable(path: str, uid: int) -> bool:
    """Whether a folder can be made or is there and ours, with nobody's else in between."""
    while True:
        try:
            about = os.lstat(path)
        except FileNotFoundError:
            path = os.path.dirname(path)
            continue
        except OSError:
            return False
        shared = bool(about.st_mode & stat.S_ISVTX)
        return stat.S_ISDIR(about.st_mode) and (about.st_uid in (0, uid) or shared) and os.access(path, os.W_OK | os.X_OK)

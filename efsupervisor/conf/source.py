"""Reading a configuration file that only its owner can change.

Whoever can write the file, or replace it in its folder, can run what he likes as the user of the supervisor.  So the file and its folder must
belong to root or to us, and nobody else may write them (the rule of sshd's StrictModes, with Debian's exception for a user's own group).  What is
judged is the opened descriptor, so that nothing can be exchanged between the look and the read.  A link is followed, and then both folders must be
safe: the link's and the file's.

A file that is no regular file is refused before it is read: a FIFO would hold the reader for ever.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable

from efsupervisor.conf.findings import Adds
from efsupervisor.conf.nodes import MAX_BYTES
from efsupervisor.system import System


def read_trusted(path: str, findings: Adds, system: System, uid: int) -> bytes | None:
    """The file's bytes, at most MAX_BYTES + 1; None, and a finding, when it cannot be read or others could change it.  uid: who we are."""
    try:
        fd = system.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            about = system.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                findings.add(0, "", "is not a regular file")
                return None
            trusted = _is_safe(about, "", path, findings, uid) and _folders_are_safe(path, findings, system, uid)
            return _read(system, fd) if trusted else None
        finally:
            system.close(fd)
    except OSError as error:
        findings.add(0, "", f"cannot be read: {error.strerror}")
    except ValueError:
        findings.add(0, "", "cannot be read: no path holds a zero byte")
    return None


def distrust(about: os.stat_result, uid: int, private: Callable[[int, int], bool] = lambda _gid, _uid: False) -> str:
    """Why a file or folder could be changed by somebody else than root and `uid`; empty when it could not.  Pure; private(gid, uid) says whether a
    group has no other member than this user (the usual case where the umask is 002)."""
    if about.st_uid not in (0, uid):
        return f"belongs to user {about.st_uid}, who is neither root nor the user of the supervisor ({uid})"
    if about.st_mode & stat.S_IWOTH:
        return "may be written by everybody"
    if about.st_mode & stat.S_IWGRP and not private(about.st_gid, about.st_uid):
        return f"may be written by the group {about.st_gid}"
    return ""


def is_private_group(gid: int, uid: int) -> bool:
    """A user's own group as distributions make them: it has the user's name, and nobody else is in it."""
    try:
        user, group = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == user and set(group.gr_mem) <= {user}


def _is_safe(about: os.stat_result, what: str, path: str, findings: Adds, uid: int) -> bool:
    reason = distrust(about, uid, is_private_group)
    if reason:
        cure = f"chmod go-w {path}" if about.st_uid in (0, uid) else f"chown it to root or to user {uid}"
        findings.add(0, "", f"{what}{reason}, who could have any command run as user {uid}; {cure}")
    return not reason


def _folders_are_safe(path: str, findings: Adds, system: System, uid: int) -> bool:
    folders = dict.fromkeys(os.path.dirname(each) for each in (os.path.abspath(path), os.path.realpath(path)))
    return all([_folder_is_safe(folder, findings, system, uid) for folder in folders])


def _folder_is_safe(folder: str, findings: Adds, system: System, uid: int) -> bool:
    fd = system.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        return _is_safe(system.fstat(fd), f"its folder {folder} ", folder, findings, uid)
    finally:
        system.close(fd)


def _read(system: System, fd: int) -> bytes:
    pieces: list[bytes] = []
    wanted = MAX_BYTES + 1
    while wanted and (piece := system.read(fd, wanted)):
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)

"""What a Core hands to the one that takes its place in the same process (see core/upgrade.py), in an anonymous file that outlives execve(2).

The lock of the state folder is handed over as it is: an open descriptor, so there is no instant at which it is not held.  Everything else that a Core
knows stands in files, or is asked from workers; what stands here is what would be lost otherwise:

    memory   the answers to the last requests, so that one which is repeated is not carried out twice
    dead     how programs ended that were reaped and may still be asked for
    again    restarts of which the first half was told

A newer Core reads what an older one wrote and the reverse: fields have defaults, and those that are not known are passed over.  A file that was not
written by this very process is not believed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import MutableMapping

import msgspec

from efsupervisor.system import Real

VARIABLE = "EFSUPERVISOR_HANDOVER"


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """One request that changes something.  content: its digest.  frames: the encoded answer; empty when it was still under way."""

    id: str
    content: bytes
    kind: str = ""
    frames: list[bytes] = []


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """pid, start_ticks: of the process, which stay the same.  version: of the program that leaves.  request_id, asked_by: who wanted the upgrade."""

    pid: int
    start_ticks: int
    lock_fd: int
    version: str = ""
    request_id: str = ""
    asked_by: str = ""
    memory: list[Remembered] = []
    dead: list[tuple[int, int, int]] = []
    again: list[tuple[str, str]] = []


def give(handover: Handover, environment: MutableMapping[str, str]) -> list[int]:
    """Write it down, and let it and the lock outlive execve; the descriptors that do.  OSError: nothing is changed."""
    fd = os.memfd_create("efsupervisor-handover", 0)
    try:
        data = msgspec.json.encode(handover)
        while data:
            data = data[os.write(fd, data) :]
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.fcntl(handover.lock_fd, fcntl.F_SETFD, 0)
    except OSError:
        os.close(fd)
        raise
    environment[VARIABLE] = str(fd)
    return [fd, handover.lock_fd]


def take_back(fds: list[int], environment: MutableMapping[str, str]) -> None:
    """There was no execve after all: the lock stays ours alone."""
    environment.pop(VARIABLE, None)
    handed, lock = fds
    os.close(handed)
    fcntl.fcntl(lock, fcntl.F_SETFD, fcntl.FD_CLOEXEC)


def take(environment: MutableMapping[str, str], system: Real) -> Handover | None:
    """What this process was handed by the program that it was before; None at an ordinary start.  The variable is gone afterwards."""
    said = environment.pop(VARIABLE, "")
    if not (said.isascii() and said.isdigit() and 2 < int(said) < 1 << 20):
        return None
    handed = None
    with contextlib.suppress(OSError, msgspec.DecodeError):  # somebody's variable of that name: an ordinary start
        with open(f"/proc/self/fd/{said}", "rb") as file:
            handed = msgspec.json.decode(file.read(), type=Handover)
        if (handed.pid, handed.start_ticks) != (system.getpid(), system.start_ticks("self")):
            return None
        fcntl.fcntl(handed.lock_fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        os.close(int(said))
    return handed

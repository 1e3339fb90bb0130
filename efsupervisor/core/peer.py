"""Who is at the other end of a Unix socket, as a pidfd: the only safe way to kill a worker that this Core did not fork.

Linux 6.5 gives the pidfd of a peer directly (SO_PEERPIDFD, unix(7)).  Before that there is a pid, which may have been given to somebody else since
the connection was made; so the process must also look like a worker of ours (own uid, process name `ef:...`) after the pidfd was opened. """

from __future__ import annotations

import os
import socket
import struct

SO_PEERPIDFD = 77
NAME_OF_WORKERS = b"ef:"


def credentials(sock: socket.socket) -> tuple[int, int, int]:
    """(pid, uid, gid) of the peer; for a socket that connected, of the process that listens."""
    pid, uid, gid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid, gid


def worker_behind(sock: socket.socket) -> tuple[int, int]:
    """(pid, pidfd) of the worker that listens; ProcessLookupError when it is gone or cannot be told from a stranger."""
    pid = credentials(sock)[0]
    try:
        return pid, struct.unpack("i", sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4))[0]
    except OSError:
        return pid, verified_pidfd(pid)


def verified_pidfd(pid: int) -> int:
    """A pidfd of a process that is a worker of ours by its looks; ProcessLookupError for anything else."""
    if pid <= 1:
        raise ProcessLookupError(f"pid {pid} is no worker")
    pidfd = os.pidfd_open(pid)
    if looks_like_a_worker(pid):
        return pidfd
    os.close(pidfd)
    raise ProcessLookupError(f"pid {pid} is not a worker of ours")


def looks_like_a_worker(pid: int) -> bool:
    """Own uid and the process name of workers."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            name = file.read()
        return name.startswith(NAME_OF_WORKERS) and os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except (FileNotFoundError, ProcessLookupError):
        return False

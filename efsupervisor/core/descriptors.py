"""Which descriptors the Core holds, so that a forked worker can let go of all of them at the cost of one system call.

The Core holds five descriptors for each task, and a worker inherits them all.  Walking the records in the child to close them one by one would take
milliseconds and, worse, touch (and so copy) the memory of every record in every worker.  So what lasts is moved to numbers from HIGH on, where one
close_range(2) ends it; the few things that others opened for us at low numbers are listed; and everything below HIGH that is not listed is free for
what a fork needs at that moment. """

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

HIGH = 64
"""Lasting descriptors are at or above this number; standard streams, loop, lock, listener and log are below."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
"""What the Core handles, and a child must neither hear through the Core's pipe nor inherit."""


class Descriptors:
    """Keeps account of the Core's descriptors."""

    def __init__(self) -> None:
        self._highest = HIGH
        self.soft_limit, self.hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)

    def raise_limit(self) -> None:
        """As many descriptors as the system allows us; children get the former limit back."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.hard_limit, self.hard_limit))

    def lasting(self, fd: int) -> int:
        """The same descriptor at a number from HIGH on; the old number is closed.  OSError (EMFILE) leaves it closed too: the caller has nothing
        then."""
        if fd < HIGH:
            try:
                moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)
            finally:
                os.close(fd)
            fd = moved
        self._highest = max(self._highest, fd)
        return fd

    def lasting_socket(self, sock: socket.socket) -> socket.socket:
        """As `lasting`, for a Unix SOCK_SEQPACKET socket."""
        return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=self.lasting(sock.detach()))

    def abandon(self) -> None:
        """In a forked child: close everything that lasts, and go back to the limit a process starts with.

        Our signals stay blocked: the worker decides what it wants of them before it lets them in (DefaultTask does both), and a handler set here
        would only cost copied memory.
        """
        os.closerange(HIGH, self._highest + 1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.soft_limit, self.hard_limit))


@contextmanager
def signals_held() -> Iterator[None]:
    """Keep our signals back over a fork: one that met the child before it left the Core would be written into the Core's own pipe."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

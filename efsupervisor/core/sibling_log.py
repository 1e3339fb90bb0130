"""What siblings log: from any logger in a sibling to one whole line in the daemon's log, and nobody can silence anybody.

The idea of multiprocessing-logging is kept - the children's handlers send records, one process writes - and so is its handling of a record.  Its
transport is not: a thread, five looks a second, pickle, and one queue with one lock for all writers, so that a writer killed in the wrong instant
silences the others and a fork in the wrong instant hangs.  Here each sibling has a socketpair of its own to the service host.  A record is one frame
of SOCK_SEQPACKET, whole or absent whatever happens to its writer; unix(7).  The host's loop reads, and forgets the socketpair with the sibling.

A sibling waits for a host that does not read, but not for long: after BOUND_S it goes on, counts what is lost, and says so with the next record that
gets through.  What it writes to stdout and stderr (a traceback of the interpreter, a stack that faulthandler dumps at SIGABRT, a library that prints)
goes over a pipe and becomes lines of the log too.

Records come from processes that may be broken: whatever arrives is checked and bounded, and never disturbs the host.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import time

import msgspec
from multiprocessing_logging import MultiProcessingHandler

from efsupervisor.log import MAX_LINE, Log
from efsupervisor.reactor import READ, Reactor

BOUND_S = 1.0
"""How long one record may wait for the host to read."""

SEND_BUFFER = 512 << 10
"""Bytes of records that may wait in the kernel."""

MAX_RECORD = 96 << 10
"""Bytes of one frame."""

BURST = 64
"""Records, and pieces of stderr, that are read before the loop looks at anything else."""

LAST_WORDS = 4096
"""Records of a dead sibling that are still written."""

PIECE = 4096


class Record(msgspec.Struct, frozen=True):
    """One record.  level: as in logging.  lost: records before it that did not get through."""

    level: int
    text: str
    lost: int = 0


# In the sibling -------------------------------------------------------------------------------------------------------------------------------------


class SiblingHandler(MultiProcessingHandler):  # type: ignore[misc]
    """Sends records over a socket of its own.  Works from any thread, and from a child that inherits it."""

    def __init__(self, sock: socket.socket, bound_s: float = BOUND_S) -> None:
        logging.Handler.__init__(self)  # not the parent's own: it starts the thread and makes the queue
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._socket = sock
        self._bound_s = bound_s
        self._encode = msgspec.json.Encoder().encode
        self._late = False
        self._lost = 0

    def _send(self, record: logging.LogRecord) -> None:
        """Called by `emit` with the handler's lock, once message and exception are text."""
        frame = self._frame(record)
        try:
            sent = self._sent(frame) or (not self._late and self._sent_late(frame))
        except OSError:
            sent = False  # the host is dead, and so are we
        self._late = not sent
        self._lost = 0 if sent else self._lost + 1

    def _sent(self, frame: bytes) -> bool:
        try:
            self._socket.send(frame)
        except BlockingIOError:
            return False
        return True

    def _sent_late(self, frame: bytes) -> bool:
        """Wait for the host to read, but only so long."""
        end = time.monotonic() + self._bound_s
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        while (left_s := end - time.monotonic()) > 0:
            poll.poll(left_s * 1000)
            if self._sent(frame):
                return True
        return False

    def _frame(self, record: logging.LogRecord) -> bytes:
        name = "" if record.name in ("root", logging.getLogger().name) else f"{record.name}: "
        parts = [f"{name}{record.getMessage()}", record.exc_text or "", record.stack_info or ""]
        text = "\n".join(part for part in parts if part)[:MAX_LINE].encode("utf-8", "backslashreplace").decode()
        frame = self._encode(Record(record.levelno, text, self._lost))
        return frame if len(frame) <= MAX_RECORD else self._encode(Record(record.levelno, text[: MAX_LINE // 4], self._lost))

    def fileno(self) -> int:
        """The socket's descriptor; a child that logs keeps it."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
        logging.Handler.close(self)


def install(sock: socket.socket) -> SiblingHandler:
    """Make this the one handler of the process."""
    handler = SiblingHandler(sock)
    root = logging.getLogger()
    for former in list(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    return handler


# In the host ----------------------------------------------------------------------------------------------------------------------------------------


class Ends:
    """The two ways on which one sibling is heard: records, and what it writes to stderr.  `ours` stay in the host, `theirs` go to the sibling; both
    are owned by whoever holds the object.  OSError when the system gives no descriptors."""

    def __init__(self) -> None:
        self.records, self.their_records = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.stderr, self.their_stderr = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            self.records.close()
            self.their_records.close()
            raise
        self.records.setblocking(False)

    def close_theirs(self) -> None:
        """In the host, after the fork."""
        self.their_records.close()
        os.close(self.their_stderr)

    def close_ours(self) -> None:
        """The sibling is dead and heard to the end."""
        self.records.close()
        os.close(self.stderr)


class Listener:
    """Writes down what one sibling says, until `close`.  log: may be set to another one."""

    def __init__(self, name: str, ends: Ends, reactor: Reactor, log: Log) -> None:
        self._name = name
        self._ends = ends
        self._reactor = reactor
        self.log = log
        self._decode = msgspec.json.Decoder(Record).decode
        self._rest = b""
        reactor.watch(ends.records.fileno(), READ, lambda _events: self._records(BURST))
        reactor.watch(ends.stderr, READ, lambda _events: self._stderr(1))

    def close(self) -> None:
        """The sibling is dead: its last words, then silence."""
        self._records(LAST_WORDS)
        self._stderr(LAST_WORDS)
        if self._rest:
            self.log.warning(f"{self._name}: {self._rest.decode('utf-8', 'replace')}")
        self._forget()
        self._ends.close_ours()

    def _forget(self) -> None:
        self._reactor.forget(self._ends.records.fileno())
        self._reactor.forget(self._ends.stderr)

    def _records(self, count: int) -> None:
        for _ in range(count):
            try:
                frame = self._ends.records.recv(MAX_RECORD + 1)
            except BlockingIOError:
                return
            except OSError:
                frame = b""
            if not frame:
                self._reactor.forget(self._ends.records.fileno())
                return
            self._write(frame)

    def _write(self, frame: bytes) -> None:
        try:
            record = self._decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.log.warning(f"{self._name}: a log record of {len(frame)} bytes that is none")
            return
        if record.lost:
            self.log.warning(f"{self._name}: {record.lost} log records were lost, because they were not read in time")
        for text in record.text.removeprefix(f"{self._name}: ").split("\n"):
            write(self.log, record.level, f"{self._name}: {text}")

    def _stderr(self, count: int) -> None:
        for _ in range(count):
            try:
                piece = os.read(self._ends.stderr, PIECE)
            except BlockingIOError:
                return
            if not piece:
                self._reactor.forget(self._ends.stderr)
                return
            *lines, self._rest = (self._rest + piece).split(b"\n")
            if len(self._rest) > MAX_LINE:
                lines, self._rest = [*lines, self._rest], b""
            for line in lines:
                if line.strip():
                    self.log.warning(f"{self._name}: {line.decode('utf-8', 'replace')}")


def write(log: Log, level: int, sentence: str) -> None:
    """One line with a level of `logging`."""
    if level >= logging.ERROR:
        log.error(sentence)
    elif level >= logging.WARNING:
        log.warning(sentence)
    elif level >= logging.INFO:
        log.info(sentence)
    else:
        log.debug(sentence)


def redirect(ends: Ends) -> None:
    """In the sibling: nothing to read, and what is printed goes to the host."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(ends.their_stderr, 1)
    os.dup2(ends.their_stderr, 2)

"""A small init: the parent of the Core under test, which adopts and reaps whatever the Core leaves behind, as a real init does.

It keeps a test independent of the machine's own init, which in a container may reap late or never.  One JSON line on stdin starts a process
({argv, env, cwd, stderr}); the answer is `started <pid>` on stdout, and `ended <pid> <wait status>` follows when it dies.  End-of-file on stdin
ends the init without touching anybody.  It must stay tiny: it is started once for each supervisor.
"""

import ctypes
import json
import os
import select
import signal


def start(order: "dict[str, object]") -> int:
    """Fork and execute one process in a session of its own."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.chdir(str(order["cwd"]))
        null, errors = os.open("/dev/null", os.O_RDWR), os.open(str(order["stderr"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for source, target in ((null, 0), (errors, 1), (errors, 2)):
            os.dup2(source, target)
        os.closerange(3, 256)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.execve(order["argv"][0], order["argv"], order["env"])  # type: ignore[index, arg-type]
    finally:
        os._exit(127)


def reap(started: "set[int]") -> None:
    """Collect every dead child; tell only of those that were asked for."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if pid in started:
            os.write(1, b"ended %d %d\n" % (pid, status))


def main() -> None:
    """Serve orders until stdin ends."""
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    started: set[int] = set()
    rest = b""
    while True:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            reap(started)
        if 0 in ready:
            data = os.read(0, 1 << 20)
            if not data:
                return
            *orders, rest = (rest + data).split(b"\n")
            for order in orders:
                pid = start(json.loads(order))
                started.add(pid)
                os.write(1, b"started %d\n" % pid)


if __name__ == "__main__":
    main()

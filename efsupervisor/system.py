"""Every system call and the clocks, behind one small object, so that deciding code can be run on a fake machine.

`System` is what the rest of the package takes as an argument; `Real` is the machine, `tests` have others that fail the Nth call or jump in time.
The methods are named and shaped as in `os`, take and return what `os` does and raise OSError as `os` does.  Nothing above this module imports os,
signal, fcntl or time for anything but constants and pure helpers (os.path, os.fspath).

Fault points.  `fault(name)` is called between the steps of everything that must survive a kill.  It does nothing unless the environment variable
EFSUPERVISOR_FAULTS was set when the process started ("name=probability,name=probability"): then the process kills itself there with that
probability.  It is how the chaos tests hit instants that random kills miss.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import signal
import struct
import termios
import time
import unicodedata
from typing import Protocol

PIPE_BUF = 4096
"""Largest write to a pipe that the kernel does wholly or not at all; pipe(7)."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_SYS_PIDFD_GETFD = 438
"""The same on every architecture but alpha."""
_F_SETPIPE_SZ = 1031
_F_GETPIPE_SZ = 1032
_LIBC_SIGNALS = (32, 33)
_SYS_RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134, "armv7l": 174, "ppc64le": 173, "s390x": 174}
_SIGSET_BYTES = 8
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "ppc64le": 273, "s390x": 282}
_IOPRIO_WHO_PROCESS, _IOPRIO_CLASS_SHIFT = 1, 13


class Fault(Protocol):
    """A fault point: called with its name between two steps."""

    def __call__(self, name: str) -> None: ...


class System(Protocol):
    """What the package asks of the machine; see the module's docstring.  Descriptors that are returned are close-on-exec and owned by the caller."""

    def monotonic(self) -> float: ...
    def wall_ns(self) -> int: ...
    def getpid(self) -> int: ...
    def fault(self, name: str) -> None: ...
    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int: ...
    def close(self, fd: int) -> None: ...
    def read(self, fd: int, count: int) -> bytes: ...
    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int: ...
    def pread(self, fd: int, count: int, offset: int) -> bytes: ...
    def pwrite(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> int: ...
    def lseek(self, fd: int, offset: int, whence: int) -> int: ...
    def splice(self, source: int, target: int, count: int) -> int: ...
    def sendfile(self, target: int, source: int, offset: int, count: int) -> int: ...
    def fstat(self, fd: int) -> os.stat_result: ...
    def stat(self, path: str, dir_fd: int | None = None) -> os.stat_result: ...
    def utime_ns(self, fd: int, atime_ns: int, mtime_ns: int) -> None: ...
    def ftruncate(self, fd: int, length: int) -> None: ...
    def fchmod(self, fd: int, mode: int) -> None: ...
    def rename(self, source: str, target: str, dir_fd: int | None = None) -> None: ...
    def unlink(self, path: str, dir_fd: int | None = None) -> None: ...
    def mkdir(self, path: str, mode: int = 0o700, dir_fd: int | None = None) -> None: ...
    def listdir(self, path: str | int) -> list[str]: ...
    def fsync(self, fd: int) -> None: ...
    def flock(self, fd: int, operation: int) -> None: ...


class Real:
    """The machine itself.  Stateless; one instance (`REAL`) serves a process."""

    monotonic = staticmethod(time.monotonic)
    wall_ns = staticmethod(time.time_ns)
    close = staticmethod(os.close)
    read = staticmethod(os.read)
    write = staticmethod(os.write)
    pread = staticmethod(os.pread)
    pwrite = staticmethod(os.pwrite)
    lseek = staticmethod(os.lseek)
    splice = staticmethod(os.splice)
    sendfile = staticmethod(os.sendfile)
    fstat = staticmethod(os.fstat)
    ftruncate = staticmethod(os.ftruncate)
    fchmod = staticmethod(os.fchmod)
    fsync = staticmethod(os.fsync)
    flock = staticmethod(fcntl.flock)
    pidfd_open = staticmethod(os.pidfd_open)
    waitid = staticmethod(os.waitid)

    def __init__(self) -> None:
        self._faults = _armed(os.environ.get("EFSUPERVISOR_FAULTS", ""))

    def fault(self, name: str) -> None:
        """Kill this process with the probability armed for `name`; see the module's docstring."""
        if self._faults and int.from_bytes(os.urandom(4)) / (1 << 32) < self._faults.get(name, self._faults.get("*", 0.0)):
            os.kill(os.getpid(), signal.SIGKILL)

    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
        """As os.open, always close-on-exec."""
        return os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd)

    def stat(self, path: str, dir_fd: int | None = None) -> os.stat_result:
        """As os.stat, without following a link at the end."""
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def utime_ns(self, fd: int, atime_ns: int, mtime_ns: int) -> None:
        """Set a file's times in nanoseconds; before 1970 is negative."""
        os.utime(fd, ns=(atime_ns, mtime_ns))

    def rename(self, source: str, target: str, dir_fd: int | None = None) -> None:
        """As os.rename, both names below the same folder descriptor."""
        os.rename(source, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    def link(self, source: str, target: str) -> None:
        """A second name for a file; a link at the end of `source` is not followed."""
        os.link(source, target, follow_symlinks=False)

    def symlink(self, target: str, name: str, dir_fd: int | None = None) -> None:
        """As os.symlink; FileExistsError when something has that name."""
        os.symlink(target, name, dir_fd=dir_fd)

    def readlink(self, name: str, dir_fd: int | None = None) -> str | None:
        """Where a link leads; None when there is no such link."""
        try:
            return os.readlink(name, dir_fd=dir_fd)
        except OSError:
            return None

    def listdir(self, path: str | int) -> list[str]:
        """As os.listdir."""
        return os.listdir(path)

    def unlink(self, path: str, dir_fd: int | None = None) -> None:
        """As os.unlink."""
        os.unlink(path, dir_fd=dir_fd)

    def mkdir(self, path: str, mode: int = 0o700, dir_fd: int | None = None) -> None:
        """As os.mkdir."""
        os.mkdir(path, mode, dir_fd=dir_fd)

    # Pipes ---------------------------------------------------------------------------------------------------------------------------------------

    def mkfifo(self, path: str, mode: int) -> None:
        """Make a FIFO with exactly `mode`, whatever the umask is."""
        os.mkfifo(path, 0o600)
        os.chmod(path, mode)

    def unread(self, fd: int) -> int:
        """Bytes in a pipe that nobody has read yet (FIONREAD)."""
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"), "little")

    def pipe_size(self, fd: int, wanted: int = 0) -> int:
        """Capacity of a pipe in bytes, after an attempt to make it `wanted`; a refusal (a limit of the user) leaves what was there."""
        if wanted:
            with contextlib.suppress(OSError):
                return fcntl.fcntl(fd, _F_SETPIPE_SZ, wanted)
        return fcntl.fcntl(fd, _F_GETPIPE_SZ)

    # Processes -----------------------------------------------------------------------------------------------------------------------------------

    def fork(self) -> int:
        """As os.fork; the caller has one thread (DESIGN section 2.1)."""
        return os.fork()

    def getpid(self) -> int:
        """This process's id."""
        return os.getpid()

    def pidfd_signal(self, pidfd: int, number: int) -> bool:
        """Send a signal through a pidfd; False when the process is gone."""
        try:
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return False
        return True

    def pidfd_exit_status(self, pidfd: int) -> int | None:
        """Wait status of a dead and reaped process that need not be our child; None where the kernel cannot say (before Linux 6.15).

        Source: linux/pidfd.h, PIDFD_GET_INFO with PIDFD_INFO_EXIT.
        """
        answer = bytearray(64)
        struct.pack_into("<Q", answer, 0, _PIDFD_INFO_EXIT)
        try:
            fcntl.ioctl(pidfd, _PIDFD_GET_INFO, answer)
        except OSError:
            return None
        mask, status = struct.unpack_from("<Q", answer)[0], struct.unpack_from("<i", answer, 60)[0]
        return int(status) if mask & _PIDFD_INFO_EXIT else None

    def pidfd_getfd(self, pidfd: int, fd: int) -> int:
        """A copy of another process's descriptor, close-on-exec; pidfd_getfd(2).  OSError: EPERM where we may not look into it (ptrace(2)), ENOSYS
        before Linux 5.6."""
        copy = int(_LIBC.syscall(ctypes.c_long(_SYS_PIDFD_GETFD), ctypes.c_int(pidfd), ctypes.c_int(fd), ctypes.c_uint(0)))
        if copy < 0:
            failed = ctypes.get_errno()
            raise OSError(failed, os.strerror(failed))
        return copy

    def start_ticks(self, pid: int | str) -> int | None:
        """Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); None when it is gone or a zombie."""
        try:
            fields = small_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in b"ZX" else int(fields[19])

    def become_subreaper(self) -> None:
        """Orphans below this process become its children; prctl(2)."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def set_name(self, name: str) -> None:
        """The name that ps and top show (15 bytes)."""
        _prctl(_PR_SET_NAME, name.encode()[:15])

    def die_with_parent(self) -> None:
        """Ask the kernel for SIGKILL when the parent dies."""
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def no_new_privs(self) -> None:
        """execve can no longer raise privileges; prctl(2)."""
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)

    def default_signals(self) -> None:
        """Default disposition for every signal that is ignored or caught here; the mask stays.

        What is at its default already is not touched: a forked child runs this before each exec, and each object that it touches is a page that is
        copied.  The C library keeps two signals for itself and lets nobody set them (signal(7): 32 and 33); a parent that ignored them passes that on
        through every exec, and only the system call itself can take it back.
        """
        for number in _changed_signals():
            if number in _LIBC_SIGNALS:
                _default_by_system_call(number)
            else:
                signal.signal(number, signal.SIG_DFL)

    def ionice(self, kind: int, level: int) -> None:
        """Priority of this process for disks; kind 1 realtime, 2 best effort, 3 idle; level 0 (high) to 7.  ioprio_set(2)."""
        number = _SYS_IOPRIO_SET.get(os.uname().machine)
        if number is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        value = ctypes.c_int(kind << _IOPRIO_CLASS_SHIFT | level)
        if _LIBC.syscall(ctypes.c_long(number), ctypes.c_int(_IOPRIO_WHO_PROCESS), ctypes.c_int(0), value) < 0:
            failed = ctypes.get_errno()
            raise OSError(failed, os.strerror(failed))

    def oom_score_adj(self, value: int | None = None) -> int:
        """How readily the kernel ends this process when memory is short (-1000 to 1000), after it was made `value`; 0 where there is no such file.
        OSError when it may not be made so."""
        if value is not None:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(value))
            return value
        try:
            return int(small_file("/proc/self/oom_score_adj"))
        except FileNotFoundError:
            return 0

    def shield(self, value: int) -> None:
        """Let the kernel spare this process (value below 0) when memory is short, as far as we may: only root can, and in a container perhaps not.
        One that is spared already, because it was forked from one that is, goes up to `value`."""
        with contextlib.suppress(OSError):
            inherited = self.oom_score_adj()
            if inherited < value or (value < inherited == 0 and os.geteuid() == 0):
                self.oom_score_adj(value)

    def drop_bounding_set(self) -> None:
        """Remove every capability from the bounding set; needs CAP_SETPCAP, so it comes before the uid changes."""
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            last = int(file.read())
        for capability in range(last + 1):
            _prctl(_PR_CAPBSET_DROP, capability)


_LIBC = ctypes.CDLL(None, use_errno=True)


def small_file(path: str) -> bytes:
    """A file of /proc in one read of at most 4 KiB: without the machinery of file objects, which a forked child would have to copy first."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def _changed_signals() -> list[int]:
    """Signals of this process that are not at their default (proc(5): SigIgn and SigCgt); every one where /proc does not tell (a user in hundreds of
    groups has them listed before)."""
    try:
        lines = small_file("/proc/self/status").split(b"\n")
    except FileNotFoundError:
        lines = []
    masks = [int(line.partition(b":")[2], 16) for line in lines if line.startswith((b"SigIgn:", b"SigCgt:"))]
    if len(masks) != 2:
        return sorted({*signal.valid_signals(), *_LIBC_SIGNALS} - {signal.SIGKILL, signal.SIGSTOP})
    changed = masks[0] | masks[1]
    return [number for number in range(1, changed.bit_length() + 1) if changed >> (number - 1) & 1]


def _default_by_system_call(signum: int) -> None:
    """An architecture whose number for the call is not known here is left as it is."""
    number = _SYS_RT_SIGACTION.get(os.uname().machine)
    if number is not None:
        default = bytes(64)  # longer than struct kernel_sigaction anywhere; SIG_DFL, no flags, an empty mask are zeros
        _LIBC.syscall(ctypes.c_long(number), ctypes.c_long(signum), default, None, ctypes.c_long(_SIGSET_BYTES))


def _prctl(option: int, value: int | bytes) -> None:
    argument = ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_ulong(value)
    if _LIBC.prctl(ctypes.c_int(option), argument, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _armed(text: str) -> dict[str, float]:
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {name.strip(): float(value or "1") for name, _, value in pairs}


REAL = Real()


def boot_id() -> str:
    """The kernel's identity of this boot; a pid means nothing in another one."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def folded(name: str) -> str:
    """The form in which two names are compared: NFKC and case folding, so that look-alikes are the same name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def short_id(name: str) -> str:
    """Twelve characters that stand for a name in paths and socket addresses; no name reaches the file system."""
    return base64.b32encode(hashlib.sha256(folded(name).encode()).digest())[:12].decode().lower()


def ticket_of(words: str) -> str:
    """Sixteen hex digits that name a wish; the same for the same words, empty for none."""
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16] if words else ""


def write_whole(system: Real, path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace a small file in one step: a reader sees the old content or the new one, never a part.

    The temporary file carries the pid, so that two processes cannot share it.  Raises OSError, and then the old content stays.
    """
    temporary = f"{path}.{system.getpid()}.tmp"
    try:
        fd = system.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        try:
            if system.write(fd, data) != len(data):
                raise OSError(28, os.strerror(28), temporary)
        finally:
            system.close(fd)
        system.rename(temporary, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            system.unlink(temporary)
        raise

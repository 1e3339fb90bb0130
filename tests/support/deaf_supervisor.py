"""efsupervisord whose own parent ignored every signal that can be ignored, as some container runtimes and schedulers do.

Signals 32 and 33 are the C library's own: no library call can set them, so this makes the system call itself; x86_64 and aarch64 only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from efsupervisor.core.main import main

IGNORE = (1).to_bytes(8, "little") + bytes(56)
RT_SIGACTION = {"x86_64": 13, "aarch64": 134}


def ignore_everything() -> None:
    """SIGKILL and SIGSTOP cannot be ignored, SIGCHLD would change what waitpid does."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        libc.syscall(ctypes.c_long(RT_SIGACTION[os.uname().machine]), ctypes.c_long(number), IGNORE, None, ctypes.c_long(8))


if __name__ == "__main__":
    ignore_everything()
    sys.exit(main())

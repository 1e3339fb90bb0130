"""efsupervisord on a machine whose wall clock somebody sets: the nanoseconds in the file EFS_TEST_JUMP (8 bytes, signed, little endian) are added to
what the clock says, in the Core and in all workers.  The monotonic clock stays what it is, as on a real machine."""

from __future__ import annotations

import mmap
import os
import sys
import time

_time_ns = time.time_ns
with open(os.environ["EFS_TEST_JUMP"], "r+b") as _file:
    _offset = mmap.mmap(_file.fileno(), 8)


def time_ns() -> int:
    """The wall clock as it is set now."""
    return _time_ns() + int.from_bytes(_offset[:8], "little", signed=True)


if __name__ == "__main__":
    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    from efsupervisor.core.main import main

    sys.exit(main())

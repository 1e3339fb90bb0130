"""A witness outside: a process of its own that looks at /proc every 10 ms for two copies of one task's program.

A copy is a living process that was executed with the task's EFS_COOKIE; a worker's child before its exec still has the Core's environment and
does not count. Witness programs start no processes of their own, so one cookie is one process.  Two are believed only when the first is still
there after the second was seen.

Processes that are there when it starts and do not carry the mark are not looked at again: start it before the supervisor.

Run as `sampler.py OUTPUT [VARIABLE=VALUE]` (only processes with that variable count); at SIGTERM it writes one JSON object {samples, copies:
[...], longest_gap_ms} to OUTPUT and ends.
"""

import json
import os
import signal
import sys
import time


def environment(pid: str) -> bytes:
    """The environment of a process, empty when it cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0" + file.read()
    except OSError:
        return b""


def cookie(pid: str, mark: bytes) -> bytes:
    """The EFS_COOKIE of a process that carries the mark, empty else."""
    found = environment(pid)
    if b"\0" + mark + b"\0" not in found:
        return b""
    _, _, rest = found.partition(b"\0EFS_COOKIE=")
    return rest.partition(b"\0")[0]


def sample(strangers: "set[str]", mark: bytes) -> "list[tuple[str, list[str]]]":
    """Tasks with more than one living copy right now."""
    copies: dict[bytes, list[str]] = {}
    for pid in os.listdir("/proc"):
        if pid.isdigit() and pid not in strangers:
            task = cookie(pid, mark)
            if task:
                copies.setdefault(task, []).append(pid)
    return [(task.decode(), pids) for task, pids in copies.items() if len(pids) > 1 and sum(cookie(pid, mark) == task for pid in pids) > 1]


def main() -> None:
    """Sample until SIGTERM."""
    output, mark = sys.argv[1], sys.argv[2].encode()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    strangers = {pid for pid in os.listdir("/proc") if pid.isdigit() and b"\0" + mark + b"\0" not in environment(pid)}
    samples, longest, found, last = 0, 0.0, [], time.monotonic()
    while not stopping:
        found += sample(strangers, mark)
        samples += 1
        now = time.monotonic()
        longest = max(longest, now - last)
        last = now
        time.sleep(0.01)
    with open(output, "w", encoding="utf-8") as file:
        json.dump({"samples": samples, "copies": found[:100], "longest_gap_ms": round(longest * 1000)}, file)


main()

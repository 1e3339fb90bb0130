"""What a program's tree uses: resident memory and processor time, read from /proc.

A process that goes while we look counts nothing.  Processor time is that of the living and of the dead they have waited for, so a tree that works in
short-lived children is seen; the time of an orphan is lost with it, and a difference below zero is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """At one moment: bytes, and seconds of processor time so far."""

    rss: int
    cpu_s: float


def parse(stat: bytes) -> Sample:
    """/proc/PID/stat; fields 14 to 17 are times, field 24 is pages; proc_pid_stat(5)."""
    fields = stat.rpartition(b")")[2].split()
    return Sample(int(fields[21]) * PAGE, sum(map(int, fields[11:15])) / TICKS)


def of(pids: Iterable[int]) -> Sample:
    """All of these processes together."""
    rss, cpu_s = 0, 0.0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                one = parse(file.read())
        except (FileNotFoundError, ProcessLookupError):
            continue
        rss, cpu_s = rss + one.rss, cpu_s + one.cpu_s
    return Sample(rss, cpu_s)


def verdict(now: Sample, before: Sample | None, over_s: float, max_rss: int, max_cpu: int) -> str:
    """Why a tree uses too much; empty when it does not.  Limits of 0 are none.  over_s: time between the two samples."""
    if max_rss and now.rss > max_rss:
        return f"uses {now.rss:,} bytes of memory, more than max_rss ({max_rss:,})"
    if max_cpu and before is not None and over_s > 0:
        percent = 100 * max(0.0, now.cpu_s - before.cpu_s) / over_s
        if percent > max_cpu:
            return f"uses {percent:.0f} % of a processor over {over_s:.1f} s, more than max_cpu ({max_cpu})"
    return ""

"""One look at the machine and at the trees of tasks, by psutil.

Rates are differences between two looks; the first look has none.  A process is (pid, create time), so a number that is given to another process
starts from zero.  What cannot be read (a process that just ended, a file that is not ours) counts as nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import psutil

from efsupervisor.messages.call import NodeSample, TaskSample
from efsupervisor.task import tree


class Subject(NamedTuple):
    """A task that is looked at.  pid, worker_pid: 0 for none."""

    name: str
    pid: int
    worker_pid: int


class Counters(NamedTuple):
    """What only grows: seconds of processor time, bytes read and written."""

    cpu_s: float = 0.0
    read: int = 0
    written: int = 0


class Machine:
    """Looks at the node.  disk: a path on the file system that is watched."""

    def __init__(self, disk: str) -> None:
        self._disk = disk
        self._at = 0.0
        self._former = (0, 0, 0, 0)
        psutil.cpu_percent(None)

    def look(self, now: float, wall: float) -> NodeSample:
        """One sample; now: monotonic."""
        memory, swap, disk = psutil.virtual_memory(), psutil.swap_memory(), psutil.disk_usage(self._disk)
        blocks, net = psutil.disk_io_counters(), psutil.net_io_counters()
        totals = (
            blocks.read_bytes if blocks else 0,
            blocks.write_bytes if blocks else 0,
            net.bytes_recv if net else 0,
            net.bytes_sent if net else 0,
        )
        took = now - self._at if self._at else 0.0
        rates = [max(0.0, (total - before) / took) if took > 0 else 0.0 for total, before in zip(totals, self._former, strict=True)]
        self._at, self._former = now, totals
        return NodeSample(
            wall=wall,
            cpu=psutil.cpu_percent(None),
            cpus=psutil.cpu_count() or 1,
            load1=os.getloadavg()[0],
            memory_total=memory.total,
            memory_used=memory.total - memory.available,
            swap_used=swap.used,
            disk_total=disk.total,
            disk_used=disk.used,
            disk_read=rates[0],
            disk_written=rates[1],
            net_received=rates[2],
            net_sent=rates[3],
            processes=len(psutil.pids()),
        )


class Trees:
    """Looks at the trees of tasks.  Remembers the processes of the last look."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}
        self._former: dict[tuple[int, float], Counters] = {}
        self._at = 0.0

    def look(self, subjects: Iterable[Subject], now: float, wall: float) -> Iterator[tuple[str, TaskSample]]:
        """A sample for each task whose program runs, one for each step of the iterator, so that a caller can do other things in between."""
        took = now - self._at if self._at else 0.0
        known: dict[int, psutil.Process] = {}
        counted: dict[tuple[int, float], Counters] = {}
        for subject in subjects:
            if subject.pid:
                yield subject.name, self._task(subject, took, wall, known, counted)
        self._known, self._former, self._at = known, counted, now

    def _task(
        self, subject: Subject, took: float, wall: float, known: dict[int, psutil.Process], counted: dict[tuple[int, float], Counters]
    ) -> TaskSample:
        rss = threads = fds = processes = 0
        cpu, read, written = 0.0, 0, 0
        for pid in sorted(_members(subject)):
            process = self._known.get(pid) or _opened(pid)
            if process is None:
                continue
            seen = _seen(process)
            if seen is None:
                continue
            known[pid] = process
            identity, counters, size, count, open_files = seen
            counted[identity] = counters
            before = self._former.get(identity, Counters() if took else counters)
            cpu += counters.cpu_s - before.cpu_s
            read += counters.read - before.read
            written += counters.written - before.written
            rss, threads, fds, processes = rss + size, threads + count, fds + open_files, processes + 1
        per_s = 1 / took if took > 0 else 0.0
        return TaskSample(
            wall=wall,
            cpu=max(0.0, cpu * per_s * 100),
            rss=rss,
            threads=threads,
            fds=fds,
            processes=processes,
            read=max(0.0, read * per_s),
            written=max(0.0, written * per_s),
            worker_rss=_rss(subject.worker_pid),
        )


def _members(subject: Subject) -> set[int]:
    """The program and all below it, and what its worker reaps of it; not the worker itself."""
    found = {subject.pid, *tree.descendants(subject.pid)}
    if subject.worker_pid:
        found.update(tree.descendants(subject.worker_pid))
    return found - {subject.worker_pid}


def _opened(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


_Seen = tuple[tuple[int, float], Counters, int, int, int]


def _seen(process: psutil.Process) -> _Seen | None:
    """((pid, create time), counters, rss, threads, descriptors); None when it is gone, another process by now, or a zombie."""
    try:
        with process.oneshot():
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return None
            times, memory, threads = process.cpu_times(), process.memory_info(), process.num_threads()
            identity = (process.pid, process.create_time())
            read, written, fds = _closed_to_others(process)
    except psutil.Error:
        return None
    return identity, Counters(times.user + times.system, read, written), memory.rss, threads, fds


def _closed_to_others(process: psutil.Process) -> tuple[int, int, int]:
    """What only the owner or root may read: bytes read and written, descriptors."""
    try:
        io = process.io_counters()
        return io.read_chars, io.write_chars, process.num_fds()
    except psutil.AccessDenied:
        return 0, 0, 0


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else 0
    except psutil.Error:
        return 0

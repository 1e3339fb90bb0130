"""Blocking work (a large file) in a few threads beside the loop; the result comes back through an eventfd as a callback of the loop.

The number of threads and of works that wait is bounded; one more is refused at once.  Threads begin with the first work, and the process ends without
waiting for them.  Nothing of the loop's is touched by a thread but the queue of results.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from efsupervisor.errors import Code, EfError
from efsupervisor.reactor import READ, Reactor

THREADS = 2
MAX_WAITING = 64


class _Work(NamedTuple):
    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[BaseException], None]


class Pool:
    """The threads of one process and the way back from them."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._todo: queue.Queue[_Work] = queue.Queue(MAX_WAITING)
        self._results: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        reactor.watch(self._fd, READ, self._came)

    def submit(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None]) -> None:
        """Do the work; one of the two is called from the loop.  EfError (given to `failed`) when too much waits already."""
        try:
            self._todo.put_nowait(_Work(work, done, failed))
        except queue.Full:
            failed(EfError(f"{MAX_WAITING} slow commands wait already; try again", Code.REFUSED))
            return
        if len(self._threads) < THREADS:
            thread = threading.Thread(target=self._labour, name=f"slow-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Take no results any more.  The eventfd stays open: a thread may still write to it."""
        self._reactor.forget(self._fd)

    def _labour(self) -> None:
        while True:
            each = self._todo.get()
            self._results.put(_outcome(each))
            os.eventfd_write(self._fd, 1)

    def _came(self, _events: int) -> None:
        os.eventfd_read(self._fd)
        while not self._results.empty():
            self._results.get()()


def _outcome(each: _Work) -> Callable[[], None]:
    """Run in a thread: do the work, and say what the loop is to call."""
    try:
        result = each.work()
    except EfError as error:
        refusal: BaseException = error
    except OSError as error:
        refusal = EfError(f"it could not be read: {error}", Code.SYSTEM)
    except Exception as error:  # carried over to whoever waits, who says what it means
        refusal = error
    else:
        return lambda: each.done(result)
    return lambda: each.failed(refusal)

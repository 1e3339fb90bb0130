"""What waits for the listeners of one pool: a bounded buffer in a file, shared by the members of the pool.

A member works under the pool's lock: it adds what happened since the pool's cursor, takes the oldest event for itself, gives one back, or is done
with it.  The file is written whole and renamed, so a kill leaves the one before or the one after.  An event that a member has taken is noted under
its name until it is done: a member that dies while it works on one finds it there when it is started again, and gives it back.

The buffer holds `size` events; one more takes the place of the oldest, which is counted and told: nothing is dropped silently, and a listener that
hangs fills its own pool only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from efsupervisor.listener.kinds import Event


class Waiting(msgspec.Struct):
    """One event in the pool.  serial counts all that the pool was given, poolserial those that it took in."""

    serial: int
    poolserial: int
    name: str
    payload: bytes


class Kept(msgspec.Struct):
    """The file.  cursor: number of the Core's next event, -1 before the first look.  second: of the last tick.  offsets: of logs that are followed.
    taken: by member."""

    cursor: int = -1
    second: int = 0
    serial: int = 0
    poolserial: int = 0
    waiting: list[Waiting] = []
    taken: dict[str, Waiting] = {}
    offsets: dict[str, int] = {}
    discarded: int = 0


class Figures(NamedTuple):
    """For the status."""

    waiting: int
    discarded: int


class Pool:
    """One pool's file.  folder: made if it is missing.  say: whom to tell of what is discarded."""

    def __init__(self, folder: str, name: str, size: int, say: Callable[[str], None]) -> None:
        os.makedirs(folder, 0o700, exist_ok=True)
        self._folder = folder
        self._name = name
        self._size = size
        self._say = say

    @contextlib.contextmanager
    def opened(self) -> Iterator[Kept]:
        """The pool's content, under its lock; what was changed is saved.  OSError as the kernel gives it: nothing was changed."""
        lock = os.open(f"{self._folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = self._load()
            before = msgspec.msgpack.encode(kept)
            yield kept
            after = msgspec.msgpack.encode(kept)
            if after != before:
                self._save(after)
        finally:
            os.close(lock)

    def add(self, kept: Kept, events: list[Event]) -> None:
        """Take events in."""
        for event in events:
            kept.serial += 1
            kept.poolserial += 1
            kept.waiting.append(Waiting(kept.serial, kept.poolserial, event.name, event.payload))
        self._shorten(kept)

    def take(self, kept: Kept, member: str) -> Waiting | None:
        """The oldest event, for this member."""
        if not kept.waiting:
            return None
        kept.taken[member] = kept.waiting.pop(0)
        return kept.taken[member]

    def done(self, kept: Kept, member: str) -> None:
        """The member's event is dealt with."""
        kept.taken.pop(member, None)

    def give_back(self, kept: Kept, member: str) -> None:
        """The member's event comes first again."""
        event = kept.taken.pop(member, None)
        if event is not None:
            kept.waiting.insert(0, event)
            self._shorten(kept, spare=1)

    def _shorten(self, kept: Kept, spare: int = 0) -> None:
        """At most `size` wait; the one that was given back (spare) stays."""
        while len(kept.waiting) > self._size + spare:
            gone = kept.waiting.pop(spare)
            kept.discarded += 1
            self._say(f"pool {self._name} event buffer overflowed, discarding event {gone.serial} ({gone.name}); {kept.discarded} in all")

    def _load(self) -> Kept:
        try:
            with open(f"{self._folder}/pool", "rb") as file:
                return msgspec.msgpack.decode(file.read(), type=Kept)
        except FileNotFoundError:
            return Kept()
        except msgspec.DecodeError:
            self._say(f"pool {self._name}: its file is damaged; it begins anew")
            return Kept()

    def _save(self, data: bytes) -> None:
        path = f"{self._folder}/pool"
        with open(f"{path}.tmp", "wb") as file:
            file.write(data)
        os.rename(f"{path}.tmp", path)

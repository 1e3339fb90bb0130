"""The protocol between supervisord and a listener.  Pure.

    listener      READY\\n                          it may be given an event
    supervisor    one line of words, then len bytes
    listener      RESULT n\\n and n bytes           OK: done; anything else: again, from the head of what waits

Whatever else a listener says makes it UNKNOWN: it gets no event any more until it is started anew.  len counts bytes, also where supervisord 4.3
counts characters.  Source: supervisor 4.3.0, dispatchers.py (PEventListenerDispatcher), process.py (_eventEnvelope)."""

from __future__ import annotations

import enum

READY = b"READY\n"
RESULT = b"RESULT "
MAX_RESULT_LINE = 40
MAX_RESULT = 1 << 20


class Mood(enum.Enum):
    """What is known of a listener."""

    ACKNOWLEDGED = "ACKNOWLEDGED"
    READY = "READY"
    BUSY = "BUSY"
    UNKNOWN = "UNKNOWN"


class Said(enum.Enum):
    """What a listener's bytes meant."""

    READY = enum.auto()
    OK = enum.auto()
    FAIL = enum.auto()
    NONSENSE = enum.auto()


def envelope(server: str, pool: str, serial: int, poolserial: int, name: str, payload: bytes) -> bytes:
    """An event as it is sent."""
    head = f"ver:3.0 server:{server} serial:{serial} pool:{pool} poolserial:{poolserial} eventname:{name} len:{len(payload)}\n"
    return head.encode() + payload


class Ear:
    """Understands one listener.  mood: changed here by what it says, and by `sent`."""

    def __init__(self) -> None:
        self.mood = Mood.ACKNOWLEDGED
        self._buffer = b""
        self._length = -1

    def sent(self) -> None:
        """It was given an event."""
        self.mood = Mood.BUSY

    def heard(self, data: bytes) -> list[Said]:
        """What its next bytes mean, in order."""
        found: list[Said] = []
        self._buffer += data if self.mood is not Mood.UNKNOWN else b""
        while self._buffer:
            said = self._next()
            if said is None:
                break
            found.append(said)
        return found

    def _next(self) -> Said | None:
        match self.mood:
            case Mood.ACKNOWLEDGED:
                return self._awaited()
            case Mood.BUSY:
                return self._result()
            case _:
                return self._nonsense()  # it was ready, and spoke without being asked

    def _awaited(self) -> Said | None:
        if self._buffer.startswith(READY):
            self._buffer = self._buffer[len(READY) :]
            self.mood = Mood.READY
            return Said.READY
        return None if READY.startswith(self._buffer) else self._nonsense()

    def _result(self) -> Said | None:
        if self._length < 0:
            line, newline, rest = self._buffer.partition(b"\n")
            if not newline:
                whole = RESULT.startswith(line[: len(RESULT)]) and len(line) <= MAX_RESULT_LINE
                return None if whole else self._nonsense()
            number = line[len(RESULT) :].strip()
            if not line.startswith(RESULT) or not number.isdigit() or len(number) > 9 or int(number) > MAX_RESULT:
                return self._nonsense()
            self._length, self._buffer = int(number), rest
        if len(self._buffer) < self._length:
            return None
        result, self._buffer = self._buffer[: self._length], self._buffer[self._length :]
        self._length = -1
        self.mood = Mood.ACKNOWLEDGED
        return Said.OK if result == b"OK" else Said.FAIL

    def _nonsense(self) -> Said:
        self.mood = Mood.UNKNOWN
        self._buffer = b""
        return Said.NONSENSE

"""Judges what witness programs saw: pure functions from histories to a verdict.

What was produced is told by the producer: lines whose write had returned are certain, lines of a write that was under way when it was killed are
possible.  A possible line that anybody saw was produced, and then so was every line before it.  What was received is told by the consumer.

`event`: an acknowledgement counts once the consumer's write to fd 2 had returned; a consumer that died after it received an event and before it
recorded the acknowledgement may or may not have acknowledged it, so its successor may begin at either of two events.  Within one life every event
comes once, whole and in order, and no more than the window is outstanding (one, until past those that were outstanding when a program died).

`stream`: a successor begins at the start of the record that holds the first byte the dead one had not read.  A dead program may have read up to
one read more than it recorded.

`share`: each event is acknowledged once; it comes a second time only after a life that had not acknowledged it has ended.

The log is compared byte by byte with the lines that the producer made.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.programs import lines

Key = tuple[int, int]


# Histories ------------------------------------------------------------------------------------------------------------------------------------------


class Received(NamedTuple):
    """One event or line that a program took up.  outstanding: whole lines it held without having acknowledged them, this one included."""

    key: Key
    whole: bool
    outstanding: int = 1


@dataclasses.dataclass
class Life:
    """What one life of a program recorded."""

    number: int
    pid: int
    incarnation: int
    received: list[Received] = dataclasses.field(default_factory=list)
    acknowledged: list[Key] = dataclasses.field(default_factory=list)
    intended: int = 0  # producer: lines up to this one were about to be written
    done: int = 0  # producer: lines up to this one are written
    read: int = 0  # consumer: whole lines (event) or bytes (stream) read
    passing: list[Key] = dataclasses.field(default_factory=list)
    passed: list[Key] = dataclasses.field(default_factory=list)
    noises: int = 0
    code: int | None = None
    busy_us: int = 0
    ended: bool = False  # it saw end-of-file or finished its work


@dataclasses.dataclass
class History:
    """All lives of one program.  copies: starts that found another copy alive; malformed: records that are no records."""

    lives: list[Life] = dataclasses.field(default_factory=list)
    copies: int = 0
    malformed: int = 0

    def only(self, wanted: Callable[[int], bool]) -> History:
        """The same lives with the lines whose number is wanted; damaged ones stay."""
        lives = [
            dataclasses.replace(
                life,
                received=[entry for entry in life.received if not entry.whole or wanted(entry.key[1])],
                acknowledged=[key for key in life.acknowledged if wanted(key[1])],
            )
            for life in self.lives
        ]
        return History(lives, self.copies, self.malformed)


class Produced(NamedTuple):
    """What one life of a producer wrote for certain, and what it may have written beyond."""

    certain: list[Key]
    possible: list[Key]


def read_history(path: str | Path) -> History:
    """The history in a witness file.  A torn record is forgiven where a killed life ends, and only there."""
    history = History()
    torn = False
    data = Path(path).read_bytes() if Path(path).exists() else b""
    for record in data.split(b"\n"):
        if not record:
            continue
        kind, *words = record.split(b" ")
        if kind == b"S":
            torn = False
        elif torn:
            history.malformed += 1
            torn = False
        try:
            _take(history, kind, [int(word) for word in words])
        except (ValueError, IndexError):
            torn = True
    return history


def _take(history: History, kind: bytes, words: list[int]) -> None:
    if kind == b"S":
        number, pid, incarnation = words
        history.lives.append(Life(number, pid, incarnation))
        return
    if kind == b"X":
        history.copies += 1
        return
    life = history.lives[-1]
    if kind == b"R":
        first, second, whole = words
        life.received.append(Received((first, second), bool(whole), life.read - len(life.acknowledged)))
    elif kind in (b"A", b"P", b"W"):
        first, second = words
        {b"A": life.acknowledged, b"P": life.passing, b"W": life.passed}[kind].append((first, second))
    elif kind in _COUNTERS:
        (number,) = words
        setattr(life, _COUNTERS[kind], number)
        life.ended = life.ended or kind == b"F"
    elif kind == b"E" and not words:
        life.ended = True
    else:
        raise ValueError(kind)


_COUNTERS = {b"I": "intended", b"D": "done", b"F": "done", b"G": "read", b"N": "noises", b"C": "code", b"B": "busy_us"}


def produced_by(history: History, first: int = 0) -> list[Produced]:
    """What a producer (programs/producer.py) wrote, life by life, beginning with line `first`."""
    result: list[Produced] = []
    for life in history.lives:
        done, intended = max(life.done, first), max(life.intended, life.done, first)
        number = life.number
        result.append(Produced([(number, seq) for seq in range(first, done)], [(number, seq) for seq in range(done, intended)]))
        first = intended
    return result


def passed_by(history: History) -> list[Produced]:
    """What a filter (programs/stream_consumer.py with pass=1) wrote, life by life."""
    return [Produced(life.passed, life.passing[len(life.passed) :]) for life in history.lives]


def settle(produced: Iterable[Produced], seen: Iterable[Key]) -> list[Key]:
    """The lines that were produced, in order: the certain ones and the possible ones up to the last that anybody saw."""
    known, result = set(seen), []
    for certain, possible in produced:
        last = max((index for index, key in enumerate(possible) if key in known), default=-1)
        result += certain + possible[: last + 1]
    return result


def seen_by(*histories: History) -> set[Key]:
    """Every whole line that any of these programs received."""
    return {entry.key for history in histories for life in history.lives for entry in life.received if entry.whole}


def lines_in(journal: Journal) -> set[Key]:
    """Every whole line that a log holds; it settles which lines of a dying write were written."""
    parsed = (lines.parse(line) for line in journal.data.split(b"\n"))
    return {key for key, whole in parsed if whole}


# Verdicts -------------------------------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Verdict:
    """How often each promise was broken; details are sentences for the first few.  lines: how many were judged."""

    name: str = ""
    lines: int = 0
    lost: int = 0
    torn: int = 0
    reordered: int = 0
    doubled: int = 0
    redelivered_though_acknowledged: int = 0
    over_window: int = 0
    unknown: int = 0
    copies: int = 0
    malformed: int = 0
    details: list[str] = dataclasses.field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing was broken."""
        return not any(getattr(self, name) for name in _BROKEN)

    def broke(self, what: str, count: int, sentence: str) -> None:
        """Count a broken promise."""
        setattr(self, what, getattr(self, what) + count)
        if len(self.details) < 20:
            self.details.append(f"{what} {count}: {sentence}")

    def __str__(self) -> str:
        counts = ", ".join(f"{getattr(self, name)} {name}" for name in _BROKEN if getattr(self, name)) or "clean"
        return "\n  ".join([f"{self.name}: {self.lines} lines, {counts}", *self.details])


_BROKEN = ("lost", "torn", "reordered", "doubled", "redelivered_though_acknowledged", "over_window", "unknown", "copies", "malformed")


def _begin(name: str, expected: Sequence[Key], *histories: History) -> Verdict:
    verdict = Verdict(name, len(expected))
    for history in histories:
        if history.copies:
            verdict.broke("copies", history.copies, "a program started while another copy of it was alive")
        if history.malformed:
            verdict.broke("malformed", history.malformed, "the witness file holds records that no program writes")
    return verdict


class _Order:
    """Follows the lines of one life: where each belongs, and whether it may come now."""

    def __init__(self, expected: Sequence[Key], verdict: Verdict) -> None:
        self.place = {key: index for index, key in enumerate(expected)}
        self.verdict = verdict

    def of(self, entry: Received, life: Life) -> int | None:
        """The index of a received line, None (and counted) when it is damaged or was never produced."""
        if not entry.whole:
            self.verdict.broke("torn", 1, f"life {life.number} received a damaged line")
            return None
        if entry.key not in self.place:
            self.verdict.broke("unknown", 1, f"life {life.number} received {entry.key}, which nobody produced")
            return None
        return self.place[entry.key]

    def walk(self, life: Life) -> list[int]:
        """Indexes of a life's lines; gaps, repeats and steps back inside the life are counted."""
        verdict, seen, last, result = self.verdict, set[int](), None, []
        gaps: set[int] = set()
        for entry in life.received:
            index = self.of(entry, life)
            if index is None:
                continue
            result.append(index)
            if index in seen:
                verdict.broke("doubled", 1, f"life {life.number} received line {index} {entry.key} twice")
            elif last is not None and index < last:
                verdict.broke("reordered", 1, f"life {life.number} received line {index} after line {last}")
                gaps.discard(index)
            elif last is not None and index > last + 1:
                gaps.update(range(last + 1, index))
            seen.add(index)
            last = index if last is None else max(last, index)
        if gaps:
            verdict.broke("lost", len(gaps), f"life {life.number} never received {len(gaps)} lines, the first is {min(gaps)}")
        return result


def relayed(name: str, expected: Sequence[Key], relay: History, journal: Journal) -> tuple[Verdict, list[Key]]:
    """Judge what a relay (programs/relay.py) made of its events, by its log; and the keys of its own lines, in order, for the edge behind it.

    Each event is in the log once, whole and in order.  A second time only when the relay died after it had written the line and before its
    acknowledgement counted: it writes one line for each event and acknowledges it before the next, so that a death doubles one event at most.
    """
    verdict = _begin(name, expected, relay)
    for fault in journal.faults:
        verdict.broke("torn", 1, fault)
    place = {key: index for index, key in enumerate(expected)}
    own: list[Key] = []
    inner: list[int] = []
    for line in journal.data.split(b"\n")[:-1]:
        key, whole = lines.parse(line)
        event, event_whole = lines.parse(line.split(b" ", 3)[3]) if whole else ((-1, -1), False)
        if not event_whole:
            verdict.broke("torn", 1, f"the log holds {line[:60]!r}")
        elif event not in place:
            verdict.broke("unknown", 1, f"the log holds {event}, which nobody produced")
        else:
            own.append(key)
            inner.append(place[event])
    _judge_relayed(verdict, own, inner, deaths=max(0, len(relay.lives) - 1))
    missing = sorted(set(range(len(expected))) - set(inner))
    if missing:
        verdict.broke("lost", len(missing), f"never passed on, the first is {expected[missing[0]]}")
    said = settle(passed_by(relay), own)
    if said != own:
        at = next((index for index, (a, b) in enumerate(itertools.zip_longest(said, own)) if a != b), 0)
        verdict.broke("lost", 1, f"the log differs from what the relay wrote at its line {at}: {said[at : at + 2]} and {own[at : at + 2]}")
    return verdict, own


def _judge_relayed(verdict: Verdict, own: list[Key], inner: list[int], *, deaths: int) -> None:
    doubled = 0
    for (before, after), (first, second) in zip(itertools.pairwise(inner), itertools.pairwise(own), strict=True):
        if after == before and second[0] > first[0]:
            doubled += 1
        elif after == before:
            verdict.broke("doubled", 1, f"life {second[0]} passed line {after} on twice")
        elif after < before:
            verdict.broke("reordered", 1, f"life {second[0]} passed line {after} on after line {before}")
    if doubled > deaths:
        verdict.broke("doubled", doubled - deaths, f"{doubled} lines were passed on again, but the relay died {deaths} times")


def stretches(name: str, expected: Sequence[Key], consumer: History, *, begun: int) -> Verdict:
    """Judge a consumer whose edge was taken away and made again: between two beginnings its lines have no gap and keep their order.

    begun: how often the edge was made.  A line comes again only behind a death, which is the business of event_edge.
    """
    verdict = _begin(name, expected, consumer)
    order, last, gaps = _Order(expected, verdict), -1, 0
    for life in consumer.lives:
        floor = last - 1
        for entry in life.received:
            index = order.of(entry, life)
            if index is None:
                continue
            if index < floor or (index <= last and entry is not life.received[0]):
                verdict.broke("reordered", 1, f"life {life.number} received line {index} after line {last}")
            gaps += index > last + 1
            last, floor = max(last, index), 0
    if gaps > begun:
        verdict.broke("lost", gaps - begun, f"{gaps} gaps, but the edge was made {begun} times")
    return verdict


def event_edge(name: str, expected: Sequence[Key], consumer: History, *, window: int, complete: bool = True) -> Verdict:
    """Judge a broad edge with acknowledgements.  complete: every event must have been acknowledged by now."""
    verdict = _begin(name, expected, consumer)
    order = _Order(expected, verdict)
    low = high = extent = 0  # the next life begins between low and high; events below extent were outstanding at some death
    for life in consumer.lives:
        indexes = order.walk(life)
        if indexes:
            _judge_begin(verdict, life, indexes[0], low, high)
            low = high = indexes[0]
        _judge_acknowledgements(verdict, life)
        for entry in life.received:
            limit = 1 if order.place.get(entry.key, extent) < extent else window
            if entry.outstanding > limit:
                verdict.broke("over_window", 1, f"life {life.number} held {entry.outstanding} events at {entry.key}, allowed were {limit}")
        extent = max(extent, low + life.read)
        low = order.place.get(life.acknowledged[-1], low) + 1 if life.acknowledged else low
        high = max(low, high) if not indexes else low + (1 if len(life.received) > len(life.acknowledged) else 0)
    if complete and low < len(expected):
        verdict.broke("lost", len(expected) - low, f"never acknowledged, the first is line {low} {expected[low]}")
    return verdict


def _judge_begin(verdict: Verdict, life: Life, first: int, low: int, high: int) -> None:
    if first < low:
        verdict.broke("redelivered_though_acknowledged", low - first, f"life {life.number} begins at line {first}, acknowledged up to {low}")
    if first > high:
        verdict.broke("lost", first - high, f"life {life.number} begins at line {first}, the first not acknowledged was {high}")


def _judge_acknowledgements(verdict: Verdict, life: Life) -> None:
    received = [entry.key for entry in life.received]
    if life.acknowledged != received[: len(life.acknowledged)]:
        verdict.broke("malformed", 1, f"life {life.number} acknowledged other events than it received")


def stream_edge(name: str, expected: Sequence[Key], sizes: Sequence[int], consumer: History, *, largest_read: int, complete: bool = True) -> Verdict:
    """Judge an edge without acknowledgements; sizes: bytes of each expected line with its newline."""
    verdict = _begin(name, expected, consumer)
    order = _Order(expected, verdict)
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    low = high = 0
    for position, life in enumerate(consumer.lives):
        indexes = order.walk(life)
        if indexes:
            first = indexes[0]
            if first < low:
                verdict.broke("doubled", low - first, f"life {life.number} begins at line {first}, the dead one had read up to {low}")
            if first > high:
                verdict.broke("lost", first - high, f"life {life.number} begins at line {first}, the dead one had read at most up to {high}")
            low = high = first
        if position < len(consumer.lives) - 1:
            low, high = _holding(starts, starts[low] + life.read), _holding(starts, starts[high] + life.read + largest_read)
        elif complete and (not indexes or indexes[-1] + 1 < len(expected)) and expected:
            reached = indexes[-1] + 1 if indexes else low
            if reached < len(expected):
                verdict.broke("lost", len(expected) - reached, f"never received, the first is line {reached} {expected[reached]}")
    if expected and not consumer.lives:
        verdict.broke("lost", len(expected), "the consumer never lived")
    return verdict


def _holding(starts: list[int], byte: int) -> int:
    """Index of the line that holds this byte; the number of lines when it is the end."""
    return min(bisect.bisect_right(starts, byte) - 1, len(starts) - 1)


def share_group(name: str, expected: Sequence[Key], members: Sequence[History], *, window: int, complete: bool = True) -> Verdict:
    """Judge a group whose members compete: each event acknowledged once, delivered again only after an unacknowledging life had ended."""
    verdict = _begin(name, expected, *members)
    place = {key: index for index, key in enumerate(expected)}
    acknowledged: dict[Key, int] = {}
    doubtful: set[Key] = set()  # received last by a life that died before it recorded the acknowledgement
    holders: dict[Key, int] = {}  # deliveries that nothing excuses
    for history in members:
        for position, life in enumerate(history.lives):
            died = position < len(history.lives) - 1
            _judge_acknowledgements(verdict, life)
            _judge_member(verdict, life, place, window, in_order=not any(len(member.lives) > 1 for member in members))
            open_ones = [entry.key for entry in life.received[len(life.acknowledged) :]]
            for key in life.acknowledged:
                acknowledged[key] = acknowledged.get(key, 0) + 1
            if died:
                doubtful.update(open_ones)
            else:
                for key in open_ones:
                    holders[key] = holders.get(key, 0) + 1
    _judge_steps_back(verdict, members, place, window)
    for key, count in acknowledged.items():
        if count > 1:
            verdict.broke("redelivered_though_acknowledged", count - 1, f"{key} was acknowledged {count} times")
    for key, count in holders.items():
        if count + (key in acknowledged) > 1:
            verdict.broke("doubled", count + (key in acknowledged) - 1, f"{key} is held by more than one living member")
    if complete:
        missing = [key for key in expected if key not in acknowledged and key not in doubtful]
        if missing:
            verdict.broke("lost", len(missing), f"never acknowledged, the first is {missing[0]}")
    return verdict


def _judge_steps_back(verdict: Verdict, members: Sequence[History], place: dict[Key, int], window: int) -> None:
    """A member goes back only to what came back to the group, and a death gives back a window at most."""
    deaths = sum(max(0, len(history.lives) - 1) for history in members)
    steps = 0
    for life in (life for history in members for life in history.lives):
        indexes = [place[entry.key] for entry in life.received if entry.key in place]
        steps += sum(second < first for first, second in itertools.pairwise(indexes))
    if deaths and steps > deaths * window:
        verdict.broke("reordered", steps - deaths * window, f"members went back {steps} times, {deaths} deaths gave back {deaths * window} at most")


def _judge_member(verdict: Verdict, life: Life, place: dict[Key, int], window: int, *, in_order: bool) -> None:
    order, last, seen = _Order([], verdict), -1, set[Key]()
    order.place = place
    for entry in life.received:
        index = order.of(entry, life)
        if index is None:
            continue
        if entry.key in seen:
            verdict.broke("doubled", 1, f"life {life.number} received {entry.key} twice")
        elif in_order and index < last:
            verdict.broke("reordered", 1, f"life {life.number} received line {index} after line {last}")
        if entry.outstanding > window:
            verdict.broke("over_window", 1, f"life {life.number} held {entry.outstanding} events, the window is {window}")
        seen.add(entry.key)
        last = max(last, index)


# The log --------------------------------------------------------------------------------------------------------------------------------------------


class Journal(NamedTuple):
    """A journal's bytes, and what is wrong with its files."""

    data: bytes
    faults: list[str]
    segments: int


def read_journal(folder: str | Path) -> Journal:
    """Read a journal's segments as the design describes them: the name is the base offset, and a segment ends where the next begins.  One that could
    not be cut there when the next was begun (ftruncate failed) still has the bytes with which the next begins."""
    names = sorted(name for name in (path.name for path in Path(folder).iterdir()) if name.endswith(".log") and name[:-4].isdigit())
    data, faults = bytearray(), []
    base = int(names[0][:-4]) if names else 0
    for position, name in enumerate(names):
        if base + len(data) != int(name[:-4]):
            faults.append(f"segment {name} begins at {int(name[:-4])}, the one before it ends at {base + len(data)}")
        piece = (Path(folder) / name).read_bytes()
        if position < len(names) - 1:
            length = int(names[position + 1][:-4]) - int(name[:-4])
            if (Path(folder) / names[position + 1]).read_bytes().startswith(piece[length:]):
                piece = piece[:length]
        if position < len(names) - 1 and not piece.endswith(b"\n"):
            faults.append(f"segment {name} ends inside a record")
        data += piece
    return Journal(bytes(data), faults, len(names))


def log_of_producer(
    name: str, producer: History, journal: Journal, *, seed: int, largest: int = lines.LONGEST, text: list[bytes] | None = None
) -> Verdict:
    """Judge a producer's log: every byte whose write had returned is there, in order, once; between two lives at most what a dying write left."""
    produced = produced_by(producer)
    verdict = _begin(name, [key for certain, _ in produced for key in certain], producer)
    for fault in journal.faults:
        verdict.broke("torn", 1, fault)
    data, at = journal.data, 0
    for position, (life, (certain, possible)) in enumerate(zip(producer.lives, produced, strict=True)):
        wanted = b"".join(lines.make(seed, *key, largest, text=text) for key in certain)
        if not data.startswith(wanted, at):
            agree = _common(data, at, wanted)
            line = wanted.count(b"\n", 0, agree)
            verdict.broke(
                "lost",
                len(certain) - line,
                f"the log differs from what life {life.number} wrote at byte {at + agree}, line {line}: {data[at + agree : at + agree + 60]!r}",
            )
            return verdict
        at += len(wanted)
        tail = b"".join(lines.make(seed, *key, largest, text=text) for key in possible)
        at += _common(data, at, tail) if position == len(produced) - 1 else _tail_before_next(data, at, tail, produced, position)
    if at < len(data):
        verdict.broke("doubled", max(1, data.count(b"\n", at)), f"the log has {len(data) - at} bytes too many at byte {at}: {data[at : at + 60]!r}")
    return verdict


def _common(data: bytes, at: int, wanted: bytes) -> int:
    """Length of the common beginning of data[at:] and wanted."""
    if data.startswith(wanted, at):
        return len(wanted)
    low, high = 0, min(len(wanted), len(data) - at)
    while low < high:
        middle = (low + high + 1) // 2
        if data.startswith(wanted[:middle], at):
            low = middle
        else:
            high = middle - 1
    return low


def _tail_before_next(data: bytes, at: int, tail: bytes, produced: Sequence[Produced], position: int) -> int:
    """How much of a dying write is in the log: the longest beginning of it after which the next life's first line can begin."""
    following = next((key for certain, possible in produced[position + 1 :] for key in certain + possible), None)
    longest = _common(data, at, tail)
    if following is None:
        return longest
    header = b"%d %d " % following
    for length in range(longest, -1, -1):
        rest = data[at + length : at + length + len(header)]
        if rest == header or (at + length + len(rest) == len(data) and header.startswith(rest)):
            return length
    return longest


def noise_log(name: str, consumer: History, journal: Journal) -> Verdict:
    """Judge the stderr log of an event consumer: each of its messages is there once, whole and in order."""
    said = [line for line in journal.data.split(b"\n") if line]
    verdict = Verdict(name, len(said), copies=0)
    expected = [(life.number, number, number <= life.noises) for life in consumer.lives for number in range(1, life.noises + 2)]
    place = {(life, number): index for index, (life, number, _) in enumerate(expected)}
    seen: list[int] = []
    for line in said:
        words = line.split(b" ")
        try:
            key = (int(words[1]), int(words[2]))
        except (ValueError, IndexError):
            verdict.broke("torn", 1, f"the stderr log holds {line[:60]!r}")
            continue
        if words[0] != b"noise" or words[3:5] != [b"of", b"event"] or key not in place:
            verdict.broke("unknown", 1, f"the stderr log holds {line[:60]!r}")
            continue
        seen.append(place[key])
    once = set(seen)
    if len(once) < len(seen):
        verdict.broke("doubled", len(seen) - len(once), "messages appear more than once in the stderr log")
    if seen != sorted(seen):
        verdict.broke("reordered", 1, "messages appear in another order than they were written")
    missing = [entry for index, entry in enumerate(expected) if entry[2] and index not in once]
    if missing:
        verdict.broke("lost", len(missing), f"messages are missing in the stderr log, the first is life {missing[0][0]}, number {missing[0][1]}")
    return verdict

"""EventStdIn: at most `window` unacknowledged events at the program, acknowledged in order on stderr.

The watcher serves stdin and stderr together.  stderr is spliced into a spool (a byte is either still in the FIFO or already in the file) and parsed
from the offset that the delivery record holds: a blank line, or the oldest event repeated, acknowledges the oldest event; every other line is a
message of the program and goes to the stderr journal.  Parsing is a function of the record alone, so a successor that parses again comes to the same
result; messages that its predecessor had already appended are recognised by the journal's end.

A line that is longer than PARSE_BYTES is a message, taken in pieces; `mid_line` in the record says that parsing stands inside one, so that its end
is no blank line.  How much is taken at once is bounded, whatever the program writes.

Before an event goes into an empty window, stderr is drained: a blank line that is older than the event can never acknowledge it.

After a death only the oldest unacknowledged event is charged; when it was charged `max_deliveries` times it goes to the dead-letter journal, with its
edge and offset, so that a second move is recognised.  What was outstanding is given again at window 1.
"""

from __future__ import annotations

import base64
import os
from collections import deque
from collections.abc import Iterable

import msgspec

from efsupervisor.journal import Reader, Writer
from efsupervisor.journal.framing import DIGITS
from efsupervisor.reactor import READ, Timer
from efsupervisor.states import Mode
from efsupervisor.system import PIPE_BUF
from efsupervisor.task.dead import DeadLetter, decoded, forget_settled
from efsupervisor.task.delivery import MAX_RUNS, Run
from efsupervisor.task.policy import describe
from efsupervisor.task.seat import Seat
from efsupervisor.task.share import ShareSource
from efsupervisor.task.source import Batch, Oversize, Source
from efsupervisor.task.stdin import FlowStdIn

SPOOL_SEGMENT = 1 << 20
PARSE_BYTES = 64 << 10
COLLECT_BYTES = 1 << 20
"""As much as any pipe holds: what was there when a collection began is taken by it."""
LAST_LINES = 50
LINE_CHARACTERS = 1024
ALERT_BYTES = 48 << 10
"""Of the last lines, as they travel."""
ALERT_GAP_S = 0.5
TEND_S = 1.0
HINT_BYTES = 256 << 10
QUARTERS = 4
GROUP_S = 1.0


class EventStdIn(FlowStdIn):
    """The watcher of `protocol: event`."""

    serves_stderr = True

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat)
        system, paths = seat.system, seat.paths
        self._err_fd = system.open(paths.fifo("err"), os.O_RDONLY | os.O_NONBLOCK)
        self._spool = Writer(
            paths.spool, system=system, segment_bytes=SPOOL_SEGMENT, max_event=SPOOL_SEGMENT, boot_id=seat.boot, floor=self.state.spool_parsed
        )
        self._spooled = Reader(paths.spool, system=system)
        output = seat.spec.output
        self._err = Writer(
            paths.err_journal, system=system, segment_bytes=output.segment_bytes, max_event=1 << 20, boot_id=seat.boot, floor=self.state.err_end
        )
        self._lines: deque[bytes] = deque(maxlen=LAST_LINES)
        self._unsaid = self._unsaid_blank = 0
        self._status: int | None = None
        self._why_ended = ""
        self._hung = False
        self._quarter: Timer | None = None
        self._quarters = 0
        self._progress = (0, 0)
        self._during = b""
        self._alert_timer: Timer | None = None
        self._tend_timer: Timer | None = None
        self._group_timer: Timer | None = None
        self._outstanding = 0
        self._unsent_events = 0
        self._dirty = False
        self._poison = ""
        self._hinted = 0
        if self.state.spool_parsed < self._spool.first:
            self.state.spool_parsed = self._spool.first

    @property
    def framing(self) -> int:
        """See FlowStdIn.framing."""
        return int(self.seat.spec.input.framing) if self.seat.spec.input else 0

    # Beginning and taking over ----------------------------------------------------------------------------------------------------------------------

    def open(self, incarnation: int) -> int:
        """As FlowStdIn.open; what stderr holds of earlier lives was parsed at their close."""
        self._outstanding = self._unsent_events = 0
        self._hung, self._quarters = False, 0
        for source in self.sources:
            source.reframe = self.framing
        return super().open(incarnation)

    def began(self) -> None:
        """Listen to stderr, then send."""
        self.seat.reactor.watch(self._err_fd, READ, self._stderr_ready)
        super().began()

    def _resume(self) -> None:
        """Events that are listed but not wholly written are pending; then stderr is parsed on."""
        state = self.state
        for run in state.runs:
            source = self._source(run.edge)
            if source is not None:
                source.remember(run)
        self._outstanding = state.outstanding
        self._pending = self._wire_from(state.put)
        self._count_unsent()
        self.seat.reactor.watch(self._err_fd, READ, self._stderr_ready)
        self.pump()

    def _wire_from(self, put: int) -> bytes:
        """The bytes of the outstanding runs from position `put` on."""
        position, parts = self.state.base, []
        for run in self.state.runs:
            if position + run.wire > put:
                source = self._source(run.edge)
                assert source is not None, "an outstanding run belongs to an edge that is served"
                data = b"".join(source.records(run))
                parts.append(data[max(0, put - position) :])
            position += run.wire
        return b"".join(parts)

    def _count_unsent(self) -> None:
        """How many of the outstanding events are not wholly in the pipe."""
        left, count = len(self._pending), 0
        for run in reversed(self.state.runs):
            for size in reversed(run.lengths):
                if left <= 0:
                    break
                left -= size
                count += 1
        self._unsent_events = count

    # stderr -----------------------------------------------------------------------------------------------------------------------------------------

    def _stderr_ready(self, _events: int) -> None:
        self.pump()

    def _collect(self) -> bool:
        """Everything that is in the stderr FIFO goes into the spool; True at end-of-file."""
        taken = 0
        try:
            while moved := self._spool.splice_from(self._err_fd):
                taken += moved
                if taken > COLLECT_BYTES:
                    return False
        except BlockingIOError:
            return False
        self.seat.reactor.forget(self._err_fd)
        return True

    def _parse(self) -> None:
        """Sort whole lines of the spool into acknowledgements and messages."""
        state = self.state
        while state.spool_parsed < self._spool.end:
            data = self._unparsed()
            size = data.rfind(b"\n") + 1
            if not size:
                size = len(data) if len(data) >= PARSE_BYTES else 0
                if not size:
                    return
            self._dirty = True
            if not state.mid_line and self._blank_lines(data, size):
                state.spool_parsed += size
            else:
                self._sort(data[:size])
        if self._spool.end - self._spool.first > SPOOL_SEGMENT:
            self._spool.retain(keep_bytes=0, keep_age_s=0.0, needed=state.spool_parsed, wall_ns=0, hard_bytes=0)

    def _unparsed(self) -> bytes:
        """At most PARSE_BYTES of the spool; a line may go on in its next segment."""
        found, at = b"", self.state.spool_parsed
        while len(found) < PARSE_BYTES and (part := self._spooled.read(at + len(found), PARSE_BYTES - len(found))):
            found += part
        return found

    def _blank_lines(self, data: bytes, size: int) -> bool:
        """The usual case, nothing but acknowledgements: done at once."""
        sent = self._outstanding - self._unsent_events
        if size > sent or self._ack == "echo" or data.count(b"\n", 0, size) != size:
            return False
        self._acknowledge(size)
        return True

    @property
    def _ack(self) -> str:
        spec = self.seat.spec.input
        return spec.ack if spec else "either"

    def _sort(self, data: bytes) -> None:
        """Line by line.  `spool_parsed` moves with each step that cannot fail any more: when the stderr journal takes nothing (a full disk), what was
        acknowledged before that line counts once, and the line is met again."""
        messages: list[bytes] = []
        for line in _lines(data):
            whole = line.endswith(b"\n") and not (self.state.mid_line and not messages)
            if not whole or not self._is_acknowledgement(line[:-1]):
                messages.append(line)
                continue
            self._keep_messages(messages)
            self._acknowledge(1)
            self.state.spool_parsed += len(line)
        self._keep_messages(messages)

    def _keep_messages(self, messages: list[bytes]) -> None:
        if messages:
            data = b"".join(messages)
            self._keep(data)
            self.state.spool_parsed += len(data)
            heard = messages[1:] if self.state.mid_line else messages
            self.state.mid_line = not data.endswith(b"\n")
            self._hear(heard)
            messages.clear()

    def _is_acknowledgement(self, line: bytes) -> bool:
        if self._outstanding <= self._unsent_events:
            return False
        if not line and self._ack != "echo":
            return True
        return self._ack != "empty" and self._repeats(line)

    def _repeats(self, line: bytes) -> bool:
        run = self.state.runs[0]
        if not len(line) <= run.spans[0] <= len(line) + DIGITS + 2:
            return False
        source = self._source(run.edge)
        return source is not None and source.payload(run) == line

    def _acknowledge(self, count: int) -> None:
        """The oldest `count` events are done."""
        state = self.state
        state.acknowledged += count
        state.careful = max(0, state.careful - count)
        self._outstanding -= count
        while count:
            run = state.runs[0]
            if count >= len(run.lengths):
                count -= len(run.lengths)
                state.base += run.wire
                state.runs.popleft()
            else:
                size, wire = sum(run.spans[:count]), sum(run.lengths[:count])
                if run.spans is not run.lengths:
                    del run.spans[:count]
                del run.lengths[:count]
                run.offset += size
                run.length -= size
                run.wire -= wire
                state.base += wire
                count = 0

    def _keep(self, data: bytes) -> None:
        """Messages go to the stderr journal, once: what a predecessor appended after the record was saved is there already."""
        there = self._err.end - self.state.err_end
        if there < len(data):
            self._err.append(data[max(0, there) :])
            if self._tend_timer is None:
                self._tend_timer = self.seat.reactor.after(TEND_S, self._tend)
        self.state.err_end += len(data)

    def _tend(self) -> None:
        """The stderr journal's index and retention, once a second while messages come; as for any other output."""
        self._tend_timer = None
        output, now_ns = self.seat.spec.kept("err"), self.seat.system.wall_ns()
        self._err.limit(segment_bytes=output.segment_bytes, max_event=1 << 20)
        self._err.index(now_ns)
        try:
            self._err.retain(keep_bytes=output.keep_bytes, keep_age_s=output.keep_age_s, needed=1 << 62, wall_ns=now_ns, hard_bytes=0)
        except OSError as error:
            self.seat.ill("retention", f"old segments of stderr cannot be removed: {error.strerror}")
        if output.compress != "none" and self._err.first != self._err.base:
            self.seat.pack(self.seat.paths.err_journal, lambda: None)

    def _hear(self, messages: list[bytes]) -> None:
        """A message of an event task is an alert, with the event in progress; bursts are told together."""
        if not messages:
            return
        self._lines.extend(line[: 4 * LINE_CHARACTERS] for line in messages)
        self._unsaid += len(messages)
        self._unsaid_blank += messages.count(b"\n")
        self._during = self._in_progress()  # by the time the burst is told it may be acknowledged
        if self._alert_timer is None:
            self._tell_messages()

    def _tell_messages(self) -> None:
        self._alert_timer = None
        if not self._unsaid:
            return
        lines = last_lines(self._lines)
        said, blank = self._unsaid, self._unsaid_blank
        self._unsaid = self._unsaid_blank = 0
        sentence = f"{said} message{'s' if said > 1 else ''} on stderr, the last: {lines[-1]}"
        if said == blank:
            sentence = f"{said} blank line{'s' if said > 1 else ''} on stderr acknowledged nothing: no event was left that the program had been given"
        self.seat.message(sentence, self._during, lines)
        self._alert_timer = self.seat.reactor.after(ALERT_GAP_S, self._tell_messages)

    def _in_progress(self) -> bytes:
        if not self.state.runs:
            return b""
        run = self.state.runs[0]
        source = self._source(run.edge)
        return b"" if source is None else source.content(run.offset, min(4096, run.spans[0] if run.spans else 0))

    # stdin ------------------------------------------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Take acknowledgements, then send; one record for both where possible."""
        try:
            self._pump()
        except OSError as error:
            why = f"acknowledgements cannot be kept ({error.strerror}): the input waits, nothing is lost; tried again twice a second"
            self.seat.ill("stderr", why)
            self.seat.reactor.forget(self._err_fd)
            self.seat.reactor.after(0.5, self._again)
            return
        self.seat.well("stderr")

    def _again(self) -> None:
        if self._fd >= 0 or self._peek >= 0:
            self.seat.reactor.watch(self._err_fd, READ, self._stderr_ready)
        self.pump()

    def _pump(self) -> None:
        self._collect()
        self._parse()
        sequence = self.state.sequence
        if self._live and self._fd >= 0 and not self.state.end_given and not self.seat.reactor.watches(self._fd):
            self._overflow()
            self._send()
        if self._dirty:
            self._settle_cursors()
            if self.state.sequence == sequence:
                self._save()
            self._dirty = False
            self.seat.dirty()
        self._watch_progress()
        if self._leaving:
            self._leave_groups()
        if not self._outstanding or self._far():
            self._hint()
            self._maybe_end()

    # Acknowledgement time-out -----------------------------------------------------------------------------------------------------------------------

    def _watch_progress(self) -> None:
        """Time is counted in silent quarters of ack_timeout_s, so that a thousand acknowledgements a second cost no timers.  A successor begins to
        count anew: it cannot know how long its predecessor had waited, and a program is not to be ended because workers die."""
        timeout_s = self._ack_timeout_s
        if not timeout_s or self._hung or not self._live or self._outstanding <= self._unsent_events:
            self._quarters = 0
            return
        now = (self.state.incarnation, self.state.acknowledged)
        if now != self._progress:
            self._progress, self._quarters = now, 0
        if self._quarter is None:
            self._quarter = self.seat.reactor.after(timeout_s / QUARTERS, self._quarter_over)

    def _quarter_over(self) -> None:
        self._quarter = None
        self._quarters += 1
        self._watch_progress()
        if self._quarters <= QUARTERS or self._hung or not self._ack_timeout_s:
            return
        self._hung = True
        self.hung(f"it has not acknowledged its oldest event within {self._ack_timeout_s:g} s (input.ack_timeout_s): deemed hung")

    @property
    def _ack_timeout_s(self) -> float:
        return self.seat.spec.input.ack_timeout_s if self.seat.spec.input else 0.0

    def died(self, status: int | None, why: str) -> None:
        """See StdIn.died."""
        self._status, self._why_ended = status, why

    def _far(self) -> bool:
        cursor = sum(source.state.cursor for source in self.sources)
        if cursor - self._hinted < HINT_BYTES:
            return False
        self._hinted = cursor
        return True

    def _send(self) -> None:
        assert self._register is not None
        for _ in range(256):
            if not self._pending and not self._load():
                return
            piece = self._pending[:PIPE_BUF]
            if not self._register.put(piece, self.state):
                self._wait_for_room()
                return
            self._pending = self._pending[len(piece) :]
            if self._pending:
                self._count_unsent()
            else:
                self._unsent_events = 0
            self._dirty = True
        self.seat.reactor.defer(self.pump)

    def _load(self) -> bool:
        """The next events go into the runs; False when there are none or no room."""
        spec = self.seat.spec.input
        window = spec.window if spec else 1
        room = (1 if self.state.careful else window) - self._outstanding
        if room <= 0 or len(self.state.runs) >= MAX_RUNS:
            return False
        if not self._outstanding:
            before = self.state.spool_parsed
            self._collect()
            self._parse()
            if self.state.spool_parsed != before:
                self._dirty = True
        return self._take(room)

    def _take(self, room: int) -> bool:
        count = len(self.sources)
        for step in range(count):
            source = self.sources[(self._turn + step) % count]
            found = source.take(room, PIPE_BUF)
            if isinstance(found, Oversize):
                if self._outstanding:
                    return False
                self._pass_oversize(source, found)
                return self._take(room)
            if found is not None:
                self._turn = (self._turn + step + 1) % count
                self._accept(found)
                return True
            if isinstance(source, ShareSource) and source.contended:
                self._soon()
            if source.hungry:
                self.seat.reactor.defer(self.pump)
        self._settle_cursors()
        if self._group_timer is None and any(isinstance(source, ShareSource) and source.behind() for source in self.sources):
            self._group_timer = self.seat.reactor.after(GROUP_S, self._look_at_group)
        return False

    def _look_at_group(self) -> None:
        """What the others acknowledge is seen in our lag a second later at most, while nothing else wakes us."""
        self._group_timer = None
        before = [source.state.cursor for source in self.sources]
        self.pump()
        if before != [source.state.cursor for source in self.sources]:
            self.seat.dirty()

    def _accept(self, batch: Batch) -> None:
        run = batch.run
        last = self.state.runs[-1] if self.state.runs else None
        joins = last is not None and last.edge == run.edge and last.framing == run.framing and last.offset + last.length == run.offset
        if last is not None and joins and not last.flags and not run.flags:
            last.length += run.length
            last.wire += run.wire
            if last.spans is not last.lengths:
                last.spans += run.spans
            last.lengths += run.lengths
        else:
            self.state.runs.append(run)
        self._outstanding += len(run.lengths)
        self._unsent_events = len(run.lengths)
        self._pending = batch.data

    # Dead letters -----------------------------------------------------------------------------------------------------------------------------------

    def _pass_oversize(self, source: Source, found: Oversize) -> None:
        self._bury(source, found.offset, found.length, 0, found.why or f"{found.length} bytes, over max_event")
        if isinstance(source, ShareSource):
            source.pass_oversize()
        else:
            source.rewind(found.offset + found.length)
        self._settle_cursors()
        self._save()

    def _bury(self, source: Source, offset: int, length: int, deliveries: int, reason: str) -> None:
        """Append to the dead-letter journal unless it is there already."""
        seat = self.seat
        spec = seat.spec.input
        event = source.content(offset, min(length, spec.max_event if spec else 1 << 20))
        letter = DeadLetter(
            edge=source.edge.id, producer=source.edge.producer, offset=offset, length=length, deliveries=deliveries, reason=reason,
            wall=seat.system.wall_ns() / 1e9, event=base64.b64encode(event).decode(), framing=source.reader.framing(offset),
            died=describe(self._status) if deliveries else "", status=self._status if deliveries else None,
            lines=last_lines(self._lines) if deliveries else [],
        )  # fmt: skip
        keep = not spec or spec.on_poison == "dead-letter" or not deliveries
        if keep and not self._buried(letter):
            writer = Writer(seat.paths.dead_journal, system=seat.system, segment_bytes=64 << 20, max_event=16 << 20, boot_id=seat.boot)
            try:
                if writer.last_record_end() < writer.end:
                    writer.append(b"\n")  # a predecessor was killed in the middle of a letter
                writer.append(msgspec.json.encode(letter) + b"\n")
                forget_settled(seat.paths, writer, seat.system)
                writer.index(seat.system.wall_ns())
            finally:
                writer.close()
            seat.system.fault("dead:appended")
        self.state.dead_letters += 1
        became = "became a dead letter" if keep else "is dropped (on_poison)"
        whose = letter.producer or "its own input queue"
        seat.alert("dead-letter", f"an event of {whose} (offset {offset}) {became}: {reason}", event, letter.lines)

    def _buried(self, letter: DeadLetter) -> bool:
        reader = Reader(self.seat.paths.dead_journal, system=self.seat.system)
        try:
            start = reader.tail_offset(1)
            parts = []
            while part := reader.read(start, 1 << 20):
                parts.append(part)
                start += len(part)
        finally:
            reader.close()
        last = b"".join(parts)
        if not last.strip():
            return False
        known = decoded(last)
        return known is not None and (known.edge, known.offset) == (letter.edge, letter.offset)

    def _charge(self) -> None:
        """The program died by itself with events at it: the oldest is suspected."""
        state, spec = self.state, self.seat.spec.input
        if not state.runs or state.put <= state.base or spec is None:
            return
        run = state.runs[0]
        source = self._source(run.edge)
        if source is None:
            return
        front = (source.edge.id, run.offset)
        state.charges = state.charges + 1 if state.charged == front else 1
        state.charged = front
        if not spec.max_deliveries or state.charges < spec.max_deliveries:
            return
        if spec.on_poison == "stop":
            what = f"the event of {source.edge.producer} at offset {run.offset}"
            self._poison = f"{what} was delivered {state.charges} times and the program died each time"
            state.charges = 0
            return
        size = run.spans[0]
        reason = f"the program died {state.charges} times while this was its oldest event"
        if self._hung:
            reason = f"not acknowledged within {self._ack_timeout_s:g} s or died of, {state.charges} times"
        self._bury(source, run.offset, size, state.charges, reason)
        self._unsent_events = min(self._unsent_events, self._outstanding - 1)
        self._acknowledge(1)
        state.charges, state.charged = 0, ("", 0)

    @property
    def poisoned(self) -> str:
        """See StdIn.poisoned."""
        return self._poison

    # The end ----------------------------------------------------------------------------------------------------------------------------------------

    def _everything_acknowledged(self) -> bool:
        return not self._outstanding

    def drain(self) -> bool:
        """After the death: the rest of stderr; True when no descendant holds it."""
        try:
            ended = self._collect()
        except OSError as error:
            self.seat.ill("stderr", f"stderr cannot be kept ({error.strerror}); tried again twice a second")
            return False
        self._parse()
        return ended

    def close(self, incarnation: int, own_death: bool) -> bool:
        """Everything acknowledged is settled; the rest is given again."""
        state = self.state
        self.seat.reactor.forget(self._err_fd)
        if state.incarnation > incarnation:
            return True
        self._poison = ""
        self._collect()
        self._parse()
        self._torn_line()
        if own_death and self._peek >= 0 and state.incarnation == incarnation:
            self._charge()
        if not self._return_claims(incarnation):
            return False
        self._settle_cursors()
        state.careful = max(state.careful, sum(len(run.lengths) for run in state.runs if self._is_broad(run)))
        self._outstanding = self._unsent_events = 0
        self._next_life(incarnation)
        self._dirty = False
        return True

    def _is_broad(self, run: Run) -> bool:
        source = self._source(run.edge)
        return source is not None and source.edge.mode is Mode.BROAD

    def _torn_line(self) -> None:
        """What a dead program left without a newline on stderr is a message."""
        state = self.state
        rest = self._unparsed()
        if rest or state.mid_line:
            self._keep(rest + b"\n")
            self._hear([] if state.mid_line else [rest + b"\n"])
            state.spool_parsed += len(rest)
            state.mid_line = False

    def err_end(self) -> int:
        """End of the stderr journal."""
        return self._err.end

    def err_journal(self) -> Writer:
        """The stderr journal, for retention."""
        return self._err

    def shut(self) -> None:
        """Close everything."""
        self.seat.reactor.forget(self._err_fd)
        if self._quarter is not None:
            self._quarter.cancel()
        if self._alert_timer is not None:
            self._alert_timer.cancel()
            self._tell_messages()
            if self._alert_timer is not None:
                self._alert_timer.cancel()
        if self._tend_timer is not None:
            self._tend_timer.cancel()
            self._tend()
        if self._group_timer is not None:
            self._group_timer.cancel()
        self.seat.system.close(self._err_fd)
        self._spool.close()
        self._spooled.close()
        self._err.close()
        super().shut()


def last_lines(lines: Iterable[bytes]) -> list[str]:
    """What an alert tells of them: text of any bytes, each line and all together bounded, the latest last.  Pure."""
    found: list[str] = []
    left = ALERT_BYTES
    for line in reversed(list(lines)):
        text = line.rstrip(b"\n").decode("utf-8", "backslashreplace")[:LINE_CHARACTERS]
        left -= len(msgspec.json.encode(text)) + 1
        if left < 0:
            break
        found.append(text)
    return found[::-1]


def _lines(data: bytes) -> list[bytes]:
    """Lines at newlines only: a carriage return belongs to its line."""
    parts = data.split(b"\n")
    last = parts.pop()
    return [part + b"\n" for part in parts] + ([last] if last else [])

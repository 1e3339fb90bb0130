"""The saved state: what was added by command, what was wanted, what happened.  DESIGN section 6; the file is described in docs/state.rst.

Truth is in memory, the file follows.  A mutator changes memory and marks a row as unwritten; `flush` writes all that is unwritten in one transaction.
So the file is always an earlier state as a whole, a change that is made twice costs one write, and a disk that is full or a file that somebody locked
costs nothing but an `ailment`: everything stays in memory, is tried again, and is written when it clears.  The same memory makes the file anew when
it is found damaged, or gone, while we run.

    mutator -> memory -> wake -> flush -> file         one transaction; synchronous=FULL when a command's row is in it
                          ^        |
                          +-- RETRY_S when it fails

Who calls: the Core's one thread.  Give `wake` (the reactor's `after`), call `flush()` before a command is answered.  After a fork the child calls
nothing but `abandon`.

This module must never block on a lock, nor raise into the Core for what the disk or the file does; only the listings (`history`, `alerts`) say by an
EfError that they cannot be read.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
from collections.abc import Callable, Collection

import msgspec

from efsupervisor.conf.schema import FlowSpec, GroupSpec, ScheduleSpec, TaskSpec
from efsupervisor.core import store_file as file
from efsupervisor.core.store_listings import Alerts, Listing, Row, Runs
from efsupervisor.core.store_opening import Opened, Says, opened, opened_again, reason
from efsupervisor.core.store_rows import FlowRun, Intent, Kept, Key, Kind, LastTime, Mark, Saved, Scale, Setting, collected, encode
from efsupervisor.core.store_schema import PUT
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import EventRow, RunRow
from efsupervisor.states import Goal
from efsupervisor.system import Real, short_id

BATCH_S = 2.0
"""Rows of the listings wait so long for company: an event storm costs one transaction in two seconds."""

RETRY_S = 2.0
MEND_S = 60.0
"""A file that is damaged again within this time is not set aside again: the disk is at fault, and each time costs a copy."""

Wake = Callable[[float, Callable[[], None]], object]
_VERSION_KEY = (Kind.MARK, "version")


class Store:
    """One open state file.  ailment: a sentence while it cannot be written (the Core shows it in ServicesReply.ailments), else empty."""

    def __init__(self, path: str, had: Opened, system: Real, log: Says, history: int, alerts: int) -> None:
        self.path = path
        self.ailment = ""
        self._wake: Wake | None = None
        self._system = system
        self._log = log
        self._owner = system.getpid()
        self._kept = {key: each for key, each in had.contents.kept.items() if key != _VERSION_KEY}
        self._complete = had.complete
        self._position = max((each.position for each in self._kept.values()), default=0)
        self._unwritten: dict[Key, None] = {}
        self._urgent = False
        self._runs = Runs(history)
        self._alerts = Alerts(alerts)
        self._awake_at: float | None = None
        self._descriptors: list[int] = []
        self._connection: sqlite3.Connection | None = None
        self._inode = (0, 0)
        self._anew = False
        self._suspicion = ""
        self._mend_not_before = 0.0
        self._marks: dict[str, int] = {}
        self._take(had)
        self._note_marks(self._kept)
        self._runs.number = max(self._runs.number, self.mark("run"))
        if had.ailment:
            self._failed(had.ailment)

    @classmethod
    def open(cls, path: str, *, system: Real, log: Says, history: int = 100_000, alerts: int = 10_000) -> Store:
        """Open or make the file (0600) and its folder (0700); at most a second, whatever it holds.

        What is damaged is set aside as `state.sqlite.damaged-<time>` and said in the log; what can be read of it is in the new file.  A disk that is
        full or cannot be written: what is there is read, `ailment` is set.
        EfError: REFUSED (a link, a foreign file, not ours alone), VERSION (a newer efsupervisor wrote it), SYSTEM (another process has locked it for
        itself, or it cannot even be read); then nothing may be started, because what is saved is not known.
        """
        return cls(path, opened(path, system, log), system, log, history, alerts)

    @property
    def wake(self) -> Wake | None:
        """wake(delay_s, callback) calls `callback` once after so many seconds: assign `reactor.after`; until then only `flush` writes."""
        return self._wake

    @wake.setter
    def wake(self, wake: Wake) -> None:
        self._wake = wake
        self._awake_at = None
        if self._pending:
            self._want(0.0)

    def saved(self) -> Saved:
        """What is saved now (memory, not the file)."""
        return collected(self._kept, complete=self._complete)

    @property
    def complete(self) -> bool:
        """Saved.complete, without the rest."""
        return self._complete

    def intent(self, task: str) -> Intent | None:
        """What an operator last wanted of one task."""
        each = self._kept.get((Kind.INTENT, short_id(task)))
        return msgspec.json.decode(each.value, type=Intent) if each is not None else None

    # What changes: at once in memory, on disk at the next flush.  Names are compared as `short_id` does. -----------------------------------------

    def put_task(self, spec: TaskSpec) -> None:
        """Add or replace; a replaced one keeps its place in the order."""
        self._put(Kind.TASK, short_id(spec.name), spec)

    def del_task(self, name: str) -> None:
        """Forget the task, its intent too; harmless when it is not there (so are the others)."""
        self._del(Kind.TASK, short_id(name))
        self.forget_intent(name)

    def put_flow(self, spec: FlowSpec) -> None:
        """Add or replace."""
        self._put(Kind.FLOW, short_id(spec.name), spec)

    def del_flow(self, name: str) -> None:
        """Forget."""
        self._del(Kind.FLOW, short_id(name))

    def put_group(self, spec: GroupSpec) -> None:
        """Add or replace."""
        self._put(Kind.GROUP, short_id(spec.name), spec)

    def del_group(self, name: str) -> None:
        """Forget."""
        self._del(Kind.GROUP, short_id(name))

    def put_schedule(self, spec: ScheduleSpec) -> None:
        """Add or replace; the last time it was due stays known."""
        self._put(Kind.SCHEDULE, short_id(spec.name), spec)

    def del_schedule(self, name: str) -> None:
        """Forget, its last time too."""
        self._del(Kind.SCHEDULE, short_id(name))
        self._del(Kind.TIME, short_id(name))

    def set_setting(self, key: str, value: str | None) -> None:
        """Save one setting; None forgets it."""
        if value is None:
            self._del(Kind.SETTING, key)
        else:
            self._put(Kind.SETTING, key, Setting(key=key, value=value))

    def set_intent(self, task: str, goal: Goal, *, autostart: bool, waits: bool = False, ticket: str = "") -> None:
        """An operator wants this of the task; autostart: as it is configured now; waits: it cannot begin yet; ticket: of the wish."""
        self._put(Kind.INTENT, short_id(task), Intent(task=task, goal=goal, autostart=autostart, waits=waits, ticket=ticket))

    def forget_intent(self, task: str) -> None:
        """Nobody wants anything of it any more."""
        self._del(Kind.INTENT, short_id(task))

    def set_scale(self, scale: Scale) -> None:
        """So many instances are wanted; as many as the file says forgets it."""
        if scale.instances == scale.written:
            self._del(Kind.SCALE, short_id(scale.task))
        else:
            self._put(Kind.SCALE, short_id(scale.task), scale)

    def scheduled(self, last: LastTime) -> None:
        """A schedule was due and is dealt with (also when it was skipped).  Flush before acting: then a crash cannot make it run twice."""
        self._put(Kind.TIME, short_id(last.schedule), last)

    def last_time(self, schedule: str) -> LastTime | None:
        """What was saved of a schedule's times."""
        each = self._kept.get((Kind.TIME, short_id(schedule)))
        return msgspec.json.decode(each.value, type=LastTime) if each is not None else None

    def put_run(self, run: FlowRun) -> None:
        """This is run now."""
        self._put(Kind.RUN, short_id(run.name), run)

    def del_run(self, name: str) -> None:
        """It is over."""
        self._del(Kind.RUN, short_id(name))

    def ran(self, row: RunRow) -> RunRow:
        """One ended run for the history; given back with its number, which counts up and is never used twice."""
        numbered = self._runs.add(row)
        self._put(Kind.MARK, "run", Mark(number=numbered.number), urgent=False)
        return numbered

    def alert(self, row: EventRow) -> None:
        """Keep an alert (core/events.py gives it its number and cuts it to what a frame takes)."""
        self._alerts.add(row)
        self._want(BATCH_S)

    def retain(self, history: int, alerts: int) -> None:
        """How many rows of each are kept from now on (settings may change at run time)."""
        self._runs.keep, self._alerts.keep = history, alerts
        self._want(BATCH_S)

    def _put(self, kind: Kind, key: str, value: msgspec.Struct, *, urgent: bool = True) -> None:
        data = encode(value)
        former = self._kept.get((kind, key))
        if former is not None and former.value == data:
            return
        if former is None:
            self._position += 1
        self._kept[kind, key] = Kept(self._position if former is None else former.position, data)
        self._changed((kind, key), urgent)

    def _del(self, kind: Kind, key: str) -> None:
        if self._kept.pop((kind, key), None) is not None:
            self._changed((kind, key), urgent=True)

    def _changed(self, key: Key, urgent: bool) -> None:
        self._unwritten[key] = None
        self._urgent = self._urgent or urgent
        self._want(0.0 if urgent else BATCH_S)

    # Numbers ---------------------------------------------------------------------------------------------------------------------------------------

    def mark(self, name: str) -> int:
        """A saved number that never goes back; 0 when it was never set.  This is what the file holds, not what waits."""
        return self._marks.get(name, 0)

    def set_mark(self, name: str, number: int, *, exactly: bool = False) -> None:
        """Save a number; a lower one than the present is ignored, unless `exactly` says that nothing above it was used."""
        former = self._kept.get((Kind.MARK, name))
        if exactly or former is None or msgspec.json.decode(former.value, type=Mark).number < number:
            self._put(Kind.MARK, name, Mark(number=number))

    @property
    def newest_alert(self) -> int:
        """The highest number an alert has, written or not; 0 when there is none."""
        return self._alerts.newest

    @property
    def lost_alert(self) -> int:
        """The highest number of an alert that is not kept any more; 0 when none was given up."""
        return max(self._alerts.lost, self.mark("trimmed"))

    def _note_marks(self, keys: Collection[Key]) -> None:
        for kind, name in keys:
            if kind is Kind.MARK:
                self._marks[name] = msgspec.json.decode(self._kept[kind, name].value, type=Mark).number

    # Writing ---------------------------------------------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Write what is unwritten; whether everything that was commanded before is on disk now.  Bounded work; sets or clears `ailment`."""
        if self._system.getpid() != self._owner:
            return False  # a forked child: the file is its parent's
        try:
            if not self._pending and self._in_place():
                return True
            self._reach()
            self._write()
        except (sqlite3.Error, OSError, EfError, file.Damaged) as error:
            self._broken(error)
        return not self._unwritten

    @property
    def _pending(self) -> bool:
        return bool(self._unwritten or self._runs.pending or self._alerts.pending or self._suspicion or self._connection is None)

    def _in_place(self) -> bool:
        """Whether the path still names the file that is open."""
        return file.inode(self.path, self._system) == self._inode

    def _reach(self) -> None:
        """A connection to the file that the path names now."""
        if self._connection is not None and (self._suspicion or not self._in_place()):
            self._disconnect()
        if self._connection is None:
            self._take(opened_again(self.path, self._system, self._log, self._kept, self._suspicion))
            self._suspicion = ""
            self._anew = True

    def _take(self, had: Opened) -> None:
        self._connection = had.connection
        self._runs.found(had.contents.newest_run, had.contents.runs)
        self._alerts.found(had.contents.newest_alert, had.contents.alerts)
        if had.connection is not None:
            self._inode = file.inode(self.path, self._system)
            self._descriptors = file.descriptors(self.path)
            # A child that dropped the last reference would close SQLite's descriptors, whose numbers are other files there: it has none to drop.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(had.connection))

    def _write(self) -> None:
        connection, urgent = self._connection, self._urgent or self._anew
        assert connection is not None
        keys = list(self._kept) if self._anew else list(self._unwritten)
        connection.execute(f"PRAGMA synchronous={'FULL' if urgent else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._system.fault("store:begun")
            if self._anew:
                connection.execute("DELETE FROM saved WHERE NOT (kind=? AND key=?)", _VERSION_KEY)
            self._write_saved(connection, keys)
            self._system.fault("store:half")
            runs, alerts = self._runs.write(connection), self._alerts.write(connection)
            self._system.fault("store:written")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        self._system.fault("store:committed")
        self._written(keys)
        self._runs.written(runs)
        self._alerts.written(alerts)
        self._rest()

    def _write_saved(self, connection: sqlite3.Connection, keys: list[Key]) -> None:
        connection.executemany(PUT, [file.as_row(key, self._kept[key]) for key in keys if key in self._kept])
        connection.executemany("DELETE FROM saved WHERE kind=? AND key=?", [key for key in keys if key not in self._kept])

    def _written(self, keys: list[Key]) -> None:
        self._note_marks([key for key in keys if key in self._kept])
        self._unwritten.clear()
        self._urgent = self._anew = False
        if self.ailment:
            self.ailment = ""
            dropped = self._runs.dropped + self._alerts.dropped
            lost = f"; {dropped} runs and alerts were too many to be kept in memory and are lost" if dropped else ""
            self._log.info(f"the state file {self.path} is written again{lost}")
            self._runs.dropped = self._alerts.dropped = 0

    def _rest(self) -> None:
        """What one transaction did not do."""
        trimmed = self._alerts.lost
        if trimmed > self.mark("trimmed"):
            self._put(Kind.MARK, "trimmed", Mark(number=trimmed), urgent=False)
        if self._runs.pending or self._alerts.pending:
            self._want(0.0)

    # When it fails ---------------------------------------------------------------------------------------------------------------------------------

    def _broken(self, error: Exception) -> None:
        damaged = isinstance(error, file.Damaged) or (isinstance(error, sqlite3.Error) and file.is_damage(error))
        now = self._system.monotonic()
        if damaged and self._connection is not None and now >= self._mend_not_before:
            self._mend_not_before = now + MEND_S
            self._suspicion = f"was found damaged in use ({error})"
            self._want(0.0)
            return
        self._failed(reason(error))

    def _failed(self, why: str) -> None:
        sentence = f"the state file {self.path} cannot be written: {why}; what was commanded since is kept in memory and lost if efsupervisord ends"
        if sentence != self.ailment:
            self._log.error(sentence)
        self.ailment = sentence
        self._want(RETRY_S)

    def _want(self, delay_s: float) -> None:
        """Be woken in so many seconds, or sooner when that is settled already; while something ails, not before the next try."""
        if self.ailment:
            delay_s = max(delay_s, RETRY_S)
        at = self._system.monotonic() + delay_s
        if self._awake_at is None or at < self._awake_at:
            self._awake_at = at
            if self._wake is not None:
                self._wake(delay_s, self._woken)

    def _woken(self) -> None:
        self._awake_at = None
        self.flush()

    def _disconnect(self) -> None:
        connection, self._connection, self._descriptors = self._connection, None, []
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                self._log.warning(f"the state file {self.path} could not be closed: {reason(error)}")

    def close(self) -> None:
        """Flush all and close.  The file is one file again (no -wal) unless somebody else reads it."""
        self.flush()
        while self._pending and self.flush() and not self.ailment:
            continue
        self._disconnect()
        self._owner = -1

    def abandon(self) -> None:
        """In a forked child: close the inherited descriptors and nothing else; the parent's locks and file stay as they are."""
        for fd in self._descriptors:
            os.close(fd)

    # Reading ---------------------------------------------------------------------------------------------------------------------------------------

    def history(self, names: Collection[str] = (), limit: int = 50, before: int | None = None) -> list[RunRow]:
        """Ended runs of these tasks (of all when empty), newest first, what waits to be written included.  EfError SYSTEM when it cannot be read."""
        identities = {short_id(name) for name in names}
        return self._listed(self._runs, lambda connection: self._runs.rows(connection, identities, limit, before))

    def alerts(self, since: int = 0, limit: int = 200) -> list[EventRow]:
        """Alerts from number `since` on, oldest first, what waits to be written included.  EfError SYSTEM when they cannot be read."""
        return self._listed(self._alerts, lambda connection: self._alerts.rows(connection, since, limit))

    def _listed(self, listing: Listing[Row], look: Callable[[sqlite3.Connection | None], list[Row]]) -> list[Row]:
        try:
            return look(self._connection)
        except (sqlite3.Error, file.Damaged) as error:
            self._broken(error)
            self.flush()
        try:
            return look(self._connection)
        except (sqlite3.Error, file.Damaged) as error:
            raise EfError(f"the {listing.table} cannot be read from {self.path}: {reason(error)}", Code.SYSTEM) from error

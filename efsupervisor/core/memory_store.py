"""A store that keeps nothing: stands in while the real one is being built.  TO BE REMOVED."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any

import msgspec

from efsupervisor.core.events import Found, Waiter
from efsupervisor.core.store_rows import Intent, LastTime, Saved
from efsupervisor.messages import EventRow, RunRow
from efsupervisor.system import short_id


class MemoryStore:
    def __init__(self) -> None:
        self.kept = Saved()
        self.runs: list[RunRow] = []
        self.alert_rows: list[EventRow] = []
        self.ailment = ""
        self.wake: Callable[[float, Callable[[], None]], object] = lambda delay_s, callback: None
        self.flushes = 0

    def saved(self) -> Saved:
        return self.kept

    def _put(self, parts: list[Any], spec: Any) -> None:
        for number, each in enumerate(parts):
            if short_id(each.name) == short_id(spec.name):
                parts[number] = spec
                return
        parts.append(spec)

    def _del(self, parts: list[Any], name: str) -> None:
        parts[:] = [each for each in parts if short_id(each.name) != short_id(name)]

    def put_task(self, spec: Any) -> None:
        self._put(self.kept.tasks, spec)

    def del_task(self, name: str) -> None:
        self._del(self.kept.tasks, name)
        self.forget_intent(name)

    def put_flow(self, spec: Any) -> None:
        self._put(self.kept.flows, spec)

    def del_flow(self, name: str) -> None:
        self._del(self.kept.flows, name)

    def put_group(self, spec: Any) -> None:
        self._put(self.kept.groups, spec)

    def del_group(self, name: str) -> None:
        self._del(self.kept.groups, name)

    def put_schedule(self, spec: Any) -> None:
        self._put(self.kept.schedules, spec)

    def del_schedule(self, name: str) -> None:
        self._del(self.kept.schedules, name)

    def set_setting(self, key: str, value: str | None) -> None:
        if value is None:
            self.kept.settings.pop(key, None)
        else:
            self.kept.settings[key] = value

    def set_intent(self, task: str, goal: Any, *, autostart: bool) -> None:
        self.kept.intents[short_id(task)] = Intent(task=task, goal=goal, autostart=autostart)

    def forget_intent(self, task: str) -> None:
        self.kept.intents.pop(short_id(task), None)

    def scheduled(self, schedule: str, wall: float, outcome: str = "") -> None:
        self.kept.times[short_id(schedule)] = LastTime(schedule=schedule, wall=wall, outcome=outcome)

    def ran(self, row: RunRow) -> RunRow:
        row = msgspec.structs.replace(row, number=len(self.runs) + 1)
        self.runs.append(row)
        return row

    def alert(self, row: EventRow) -> None:
        self.alert_rows.append(row)

    def retain(self, history: int, alerts: int) -> None:
        pass

    def flush(self) -> bool:
        self.flushes += 1
        return True

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def history(self, names: Collection[str] = (), limit: int = 50, before: int | None = None) -> list[RunRow]:
        ids = {short_id(name) for name in names}
        rows = [row for row in reversed(self.runs) if (not ids or short_id(row.task) in ids) and (before is None or row.number < before)]
        return rows[:limit]

    def alerts(self, since: int = 0, limit: int = 200) -> list[EventRow]:
        return [row for row in self.alert_rows if row.seq >= since][:limit]


class MemoryEvents:
    def __init__(self, store: Any, *, keep: int = 10_000) -> None:
        self.rows: list[EventRow] = []
        self.waiters: list[Waiter] = []

    @property
    def next(self) -> int:
        return len(self.rows) + 1

    def publish(self, what: str, task: str, wall: float, *, lines: Collection[str] = (), **more: Any) -> EventRow:
        row = EventRow(seq=self.next, wall=wall, what=what, task=task, lines=list(lines), **more)
        self.rows.append(row)
        return row

    def since(self, since: int, limit: int = 200, names: Collection[str] = (), what: Collection[str] = ()) -> Found:
        rows = [row for row in self.rows if row.seq >= since and (not names or row.task in names) and (not what or row.what in what)]
        rows = rows[:limit]
        return Found(rows, rows[-1].seq + 1 if len(rows) == limit else self.next, 0)

    def wait(self, waiter: Waiter) -> bool:
        self.waiters.append(waiter)
        return True

    def _take(self, ready: Callable[[Waiter], bool]) -> list[Waiter]:
        found = [waiter for waiter in self.waiters if ready(waiter)]
        self.waiters = [waiter for waiter in self.waiters if waiter not in found]
        return found

    def published(self) -> list[Waiter]:
        return self._take(lambda waiter: bool(self.since(waiter.since, waiter.limit, waiter.names, waiter.what).rows))

    def expired(self, now: float) -> list[Waiter]:
        return self._take(lambda waiter: waiter.deadline <= now)

    def gone(self, key: Hashable) -> None:
        self.waiters = [waiter for waiter in self.waiters if waiter.key != key]

    def deadline(self) -> float | None:
        return min((waiter.deadline for waiter in self.waiters), default=None)

    def close(self) -> None:
        pass

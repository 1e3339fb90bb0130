"""What tests of the saved state share: a log that remembers, a store at a path, a reactor that is only a list."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from efsupervisor.conf.schema import FlowSpec, GroupSpec, ScheduleSpec, TaskSpec
from efsupervisor.core.store import Store
from efsupervisor.core.store_rows import LastTime
from efsupervisor.messages import EventRow, RunRow
from efsupervisor.states import Goal
from efsupervisor.system import REAL, Real


class Told:
    """A log; lines by level."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.info, self.warning, self.error = self.infos.append, self.warnings.append, self.errors.append


class Woken:
    """`reactor.after`, played by hand."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.asked.append((delay_s, callback))

    def pass_time(self) -> list[float]:
        """Run everything that was asked for; the delays."""
        asked, self.asked = self.asked, []
        for _, callback in asked:
            callback()
        return [delay_s for delay_s, _ in asked]


class Clock(Real):
    """The machine with a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def monotonic(self) -> float:  # type: ignore[override]
        return self.now


def path_in(folder: Path) -> str:
    return str(folder / "lib" / "state.sqlite")


def opened(folder: Path, log: Told | None = None, system: Real = REAL, **numbers: int) -> Store:
    folder.mkdir(exist_ok=True)
    return Store.open(path_in(folder), system=system, log=log or Told(), **numbers)


def task(name: str, word: str = "true") -> TaskSpec:
    return TaskSpec(name=name, command=["/bin/echo", word])


def run(name: str) -> RunRow:
    return RunRow(number=0, task=name, incarnation=1, began=1.0, ended=2.0, exit_status=0, reason="exit status 0")


def alert(seq: int, name: str = "a") -> EventRow:
    return EventRow(seq=seq, wall=1.0, what="message", task=name, sentence="it said something", event=b"\xff\0", lines=["one"])


def filled(store: Store) -> None:
    """A little of everything."""
    for name in ("first", "second", "third"):
        store.put_task(task(name))
    store.put_flow(FlowSpec(name="flow", producers=["first"], consumers=["second"]))
    store.put_group(GroupSpec(name="group", tasks=["f*"]))
    store.put_schedule(ScheduleSpec(name="nightly", cron="0 3 * * *", act=["first"]))
    store.set_setting("web.port", "8080")
    store.set_intent("second", Goal.TRM, autostart=True)
    store.scheduled(LastTime(schedule="nightly", wall=5.0, outcome="act: ok"))


def asides(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder / "lib") if ".damaged-" in name)


def sql(folder: Path, *statements: str) -> None:
    """Another program at the file."""
    connection = sqlite3.connect(path_in(folder), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


TASKS = 40


def original(folder: Path) -> tuple[bytes, bytes]:
    """A file of some pages with TASKS + 3 tasks, and beside it the -wal with 20 more, as a kill leaves them."""
    store = opened(folder)
    filled(store)
    for number in range(TASKS):
        store.put_task(task(f"task-{number}", "word " * 20))
    for number in range(60):
        store.ran(run(f"task-{number}"))
        store.alert(alert(number + 1))
    store.close()
    store = opened(folder)
    store.set_intent("task-1", Goal.ACT, autostart=False)
    for number in range(20):
        store.put_task(task(f"late-{number}"))
        store.flush()
    files = Path(path_in(folder)).read_bytes(), Path(path_in(folder) + "-wal").read_bytes()
    store.close()
    return files


def laid(folder: Path, data: bytes, wal: bytes) -> None:
    """These two files in a folder of their own."""
    (folder / "lib").mkdir(mode=0o700, parents=True)
    Path(path_in(folder)).write_bytes(data)
    if wal:
        Path(path_in(folder) + "-wal").write_bytes(wal)


VERSION_1 = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA application_id=1164333942",
    "PRAGMA user_version=1",
    "CREATE TABLE saved (kind TEXT NOT NULL, key TEXT NOT NULL, position INTEGER NOT NULL, value BLOB NOT NULL, "
    "PRIMARY KEY (kind, key)) WITHOUT ROWID",
    "CREATE TABLE history (number INTEGER PRIMARY KEY, task TEXT NOT NULL, value BLOB NOT NULL)",
    "CREATE TABLE alerts (seq INTEGER PRIMARY KEY, task TEXT NOT NULL, value BLOB NOT NULL)",
    """INSERT INTO saved VALUES ('mark', 'version', 0, CAST('{"number":1}' AS BLOB))""",
    """INSERT INTO saved VALUES ('task', 'rq3egd3hxxni', 2, CAST('{"name":"b","command":["/bin/b"]}' AS BLOB))""",
    """INSERT INTO saved VALUES ('task', 'zklqp7hiw3ls', 1, CAST('{"name":"a","command":["/bin/a"]}' AS BLOB))""",
    """INSERT INTO history VALUES (7, 'zklqp7hiw3ls', CAST('{"number":7,"task":"a","incarnation":1,"began":1.0,"ended":2.0}' AS BLOB))""",
)


def old_file(folder: Path) -> None:
    """A file of version 1."""
    (folder / "lib").mkdir(mode=0o700)
    sql(folder, *VERSION_1)

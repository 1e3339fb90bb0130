"""The state file under ten thousand mutations, under kills at every step and at random, and after a loss of power: the old state or the new one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.core.store_schema import PAGE
from efsupervisor.states import Goal
from tests.support.stores import TASKS, Told, asides, filled, laid, old_file, opened, original, path_in, task

OPEN_S = 1.0
SECTOR = 512
WRITER = Path(__file__).parent.parent / "support" / "programs" / "store_writer.py"
ROOT = Path(__file__).parent.parent.parent


def mutated(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    match chance.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        case 2:
            return data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :]
        case 3:
            return data[:at] + chance.randbytes(min(PAGE, len(data) - at)) + data[at + PAGE :]
        case 4:
            page, other = (chance.randrange(max(1, len(data) // PAGE)) * PAGE for _ in range(2))
            return data[:page] + data[other : other + PAGE] + data[page + PAGE :]
        case _:
            at = chance.randrange(min(100, len(data)))
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder where a sync costs nothing, if the machine has one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def test_a_thousand_mutations_of_file_and_wal_open_within_a_second_and_tell_no_untruth(in_memory: Path, full: bool, seed: int) -> None:
    tmp_path = in_memory
    data, wal = original(tmp_path / "original")
    known = {each.name: each for each in opened(tmp_path / "original").saved().tasks}
    mutations, chance = 10_000 if full else 1200, random.Random(seed)
    damaged = lost = 0
    slowest = 0.0
    for number in range(mutations):
        folder = tmp_path / f"m{number}"
        of_wal = chance.random() < 0.25
        mine, mine_wal = (data, mutated(wal, chance)) if of_wal else (mutated(data, chance), wal if chance.random() < 0.5 else b"")
        laid(folder, mine, mine_wal)
        log = Told()
        begun = time.monotonic()
        store = opened(folder, log)
        slowest = max(slowest, time.monotonic() - begun)
        saved, at_start = store.saved(), asides(folder)
        for each in saved.tasks:
            assert known[each.name] == each, f"seed {seed}, mutation {number}: a task that nobody saved"
        for row in store.history():
            assert row.reason == "exit status 0"
        store.put_task(task("new"))
        assert store.flush(), f"seed {seed}, mutation {number}: {store.ailment}"
        store.close()
        set_aside = asides(folder)
        assert saved.complete == (not at_start)
        assert bool(set_aside) == bool(log.errors)
        if at_start:
            damaged += 1
            lost += len(saved.tasks) < TASKS + 3
            aside = next(name for name in at_start if not name.endswith("-wal"))
            assert (folder / "lib" / aside).read_bytes() == mine, "what was damaged is as it was found"
            assert any(aside in line for line in log.errors)
        store = opened(folder)
        assert "new" in [each.name for each in store.saved().tasks]
        assert asides(folder) == set_aside, "a file that was mended is whole"
        store.close()
        shutil.rmtree(folder)
    assert slowest < OPEN_S
    assert damaged > mutations // 10, "the mutations are worth their name"
    assert lost < damaged // 2, f"{lost} of {damaged} damaged files lost a task that was not in the -wal"


# Kills ---------------------------------------------------------------------------------------------------------------------------------------------

POINTS = ("store:begun", "store:half", "store:written", "store:committed")
MENDING = ("store:wal aside", "store:aside", "store:made", "store:salvaged", "store:cleared", "store:renamed")


def writer(folder: Path, faults: str = "", after_s: float = 0.0, keep: int = 500) -> list[str]:
    """Run a process that adds step-1, step-2 ... and says each number when its flush came back, until it dies; what it said."""
    environment = {**os.environ, "EFSUPERVISOR_FAULTS": faults, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, str(WRITER), path_in(folder), str(keep)], env=environment, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        try:
            process.wait(after_s or 30.0)
        except subprocess.TimeoutExpired:
            process.kill()
        said = process.stdout.read().split("\n")
    assert process.returncode == -signal.SIGKILL
    return [word for word in said[:-1] if word]


def last_number(folder: Path) -> int:
    """The number that is saved; every row of its transaction must be there."""
    store = opened(folder)
    saved = store.saved()
    names = [each.name for each in saved.tasks]
    number = int(saved.settings.get("number", "0"))
    assert names == [f"step-{each}" for each in range(max(1, number - 9), number + 1)], "a transaction was torn"
    assert saved.complete
    assert asides(folder) == []
    assert {each.goal for each in saved.intents.values()} <= {Goal.ACT}
    runs = [row.number for row in store.history(limit=100_000)]
    assert runs == sorted(set(runs), reverse=True)
    store.close()
    return number


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_step_of_a_write_leaves_the_old_state_or_the_new_one(tmp_path: Path, point: str) -> None:
    told = 0
    opened(tmp_path).close()
    for _ in range(4):
        said = writer(tmp_path, f"{point}=0.2")
        told = int(said[-1]) if said else told
        found = last_number(tmp_path)
        assert found in (told, told + 1), f"{found} is saved, {told} was the last that was said to be"
        told = found


def test_kills_at_random_lose_nothing_that_was_said_to_be_saved(tmp_path: Path, full: bool, seed: int) -> None:
    chance, told, moved = random.Random(seed), 0, 0
    opened(tmp_path).close()
    for _ in range(200 if full else 12):
        said = writer(tmp_path, after_s=0.25 + chance.random() * 0.3)
        moved += bool(said)
        told = int(said[-1]) if said else told
        found = last_number(tmp_path)
        assert found in (told, told + 1), f"seed {seed}: {found} is saved, {told} was the last that was said to be"
        told = found
    assert moved, "the writer was killed before it wrote anything, each time"


@pytest.mark.parametrize("point", MENDING)
def test_a_kill_while_a_damaged_file_is_replaced_loses_nothing_more(tmp_path: Path, point: str) -> None:
    """Some of these steps come twice, once for the page that the salvage borrows from a new file: hence the half chance."""
    data, wal = original(tmp_path / "original")
    known = {each.name for each in opened(tmp_path / "original").saved().tasks}
    damaged = bytes(100) + data[100:]
    for number in range(5):
        folder = tmp_path / str(number)
        laid(folder, damaged, wal)
        writer(folder, f"{point}=0.5", after_s=0.6, keep=1_000_000)
        store = opened(folder)
        assert {each.name for each in store.saved().tasks} >= known, "what was in the -wal as well"
        assert len([row for row in store.history(limit=1_000_000) if row.reason]) == 60
        store.close()
        kept = [(folder / "lib" / name).read_bytes() for name in asides(folder)]
        assert damaged in kept
        assert wal in kept
        assert not [name for name in os.listdir(folder / "lib") if ".new" in name or ".salvage" in name]


# Loss of power -------------------------------------------------------------------------------------------------------------------------------------


def test_a_wal_of_which_any_sectors_were_lost_or_torn_gives_the_old_state_or_the_new_one(tmp_path: Path, full: bool, seed: int) -> None:
    """What was written and not yet synced may be on disk in any part: each prefix, each single hole, and random subsets of 512-byte sectors."""
    store = opened(tmp_path / "live")
    filled(store)
    store.flush()
    live = Path(path_in(tmp_path / "live"))
    before = Path(f"{live}-wal").read_bytes()
    for number in range(12):
        store.put_task(task(f"new-{number}", "word " * 40))
    store.set_setting("web.port", "9")
    store.flush()
    data, after = live.read_bytes(), Path(f"{live}-wal").read_bytes()
    store.close()
    sectors = range(len(before) // SECTOR, -(-len(after) // SECTOR))
    chance = random.Random(seed)
    chosen = [set(sectors[:count]) for count in range(len(sectors) + 1)]
    chosen += [set(sectors) - {each} for each in sectors]
    chosen += [{each for each in sectors if chance.random() < 0.5} for _ in range(1000 if full else 60)]
    seen = set()
    for number, those in enumerate(chosen):
        torn = bytearray(before.ljust(len(after), b"\0"))
        for sector in those:
            torn[sector * SECTOR : (sector + 1) * SECTOR] = after[sector * SECTOR : (sector + 1) * SECTOR]
        folder = tmp_path / str(number)
        laid(folder, data, bytes(torn))
        store = opened(folder)
        saved = store.saved()
        state = (len(saved.tasks), saved.settings["web.port"])
        assert state in {(3, "8080"), (15, "9")}, f"seed {seed}: {state}"
        assert saved.complete
        seen.add(state)
        store.close()
        shutil.rmtree(folder)
    assert len(seen) == 2


def test_a_file_of_which_any_sectors_of_a_checkpoint_were_lost_gives_the_new_state(tmp_path: Path, full: bool, seed: int) -> None:
    """The -wal is synced before its pages are carried into the file, so it is whole whenever the file may be torn."""
    store = opened(tmp_path / "live")
    filled(store)
    store.close()
    live = Path(path_in(tmp_path / "live"))
    before = live.read_bytes()
    store = opened(tmp_path / "live")
    for number in range(30):
        store.put_task(task(f"new-{number}", "word " * 40))
    store.flush()
    wal = Path(f"{live}-wal").read_bytes()
    store.close()
    after = live.read_bytes()
    assert before != after
    chance = random.Random(seed)
    for number in range(500 if full else 60):
        torn = bytearray(before.ljust(len(after), b"\0"))
        for sector in range(len(after) // SECTOR):
            if chance.random() < 0.5:
                torn[sector * SECTOR : (sector + 1) * SECTOR] = after[sector * SECTOR : (sector + 1) * SECTOR]
        folder = tmp_path / str(number)
        laid(folder, bytes(torn[: chance.choice([len(before), len(after)])]), wal)
        store = opened(folder)
        assert len(store.saved().tasks) == 33
        store.close()
        shutil.rmtree(folder)


def test_every_step_of_the_writer_has_been_named() -> None:
    """A new fault point must get a test above."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "efsupervisor" / "core").glob("store*.py"))
    named = {part.split('"')[0] for part in source.split('fault("')[1:]}
    assert named == {*POINTS, *MENDING, "store:migrated"}


def test_a_kill_in_the_middle_of_a_migration_leaves_a_file_that_migrates_again(tmp_path: Path) -> None:
    old_file(tmp_path)
    writer(tmp_path, "store:migrated=1")
    store = opened(tmp_path)
    assert [each.name for each in store.saved().tasks] == ["a", "b"]
    assert asides(tmp_path) == []
    store.close()

"""What the machine does to us: a full disk, a file system without FIFO times, another user."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from efsupervisor.states import State
from tests.support.field import Field
from tests.support.nemesis import Nemesis
from tests.support.supervisor import ROOT, Supervisor
from tests.support.wait import until

Mount = Callable[..., Path]


def fill(folder: Path) -> Path:
    """A file that takes all room there is."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    continue
    return filler


def test_a_full_disk_loses_nothing_and_work_goes_on_when_it_clears(mount: Mount, tmp_path: Path) -> None:
    disk = mount("tmpfs", "disk", "size=48m,mode=700")
    field = Field(tmp_path, seed=1, rate=1500, parts=("E8", "F", "G"), var=disk / "var")
    with field.supervisor:
        field.await_traffic()
        for _ in range(2):
            fill(disk)
            stuck = until(lambda: _stands_still(field), 30, "the producer is held back by the full disk")
            assert stuck
            assert field.supervisor.status(), "the Core answers while the disk is full"
            until(
                lambda: "space" in field.supervisor.story() + str(field.supervisor.row("P")),
                10,
                lambda: f"somebody says why: {field.supervisor.row('P')}\n{field.supervisor.story()}",
            )
            (disk / "filler").unlink()
            before = field.history("P").lives[-1].done
            until(lambda: field.history("P").lives[-1].done > before + 500, 30, lambda: f"the producer goes on\n{field.supervisor.story()}")  # noqa: B023
        trouble = field.settle_down()
        bad = [str(verdict) for verdict in field.verdicts() if not verdict.clean]
        assert not bad, "\n".join([*bad, trouble])
        assert not trouble
        assert field.lives() == dict.fromkeys(field.tasks, 1)


def _stands_still(field: Field) -> bool:
    before = field.supervisor.witness("P").stat().st_size
    marks = iter(range(100))
    until(lambda: next(marks) == 99 or field.supervisor.witness("P").stat().st_size != before, 5)
    return field.supervisor.witness("P").stat().st_size == before


def test_workers_killed_on_a_full_disk_lose_nothing_either(mount: Mount, tmp_path: Path) -> None:
    disk = mount("tmpfs", "disk", "size=48m,mode=700")
    field = Field(tmp_path, seed=2, rate=1500, parts=("E8", "F"), var=disk / "var")
    with field.supervisor:
        field.await_traffic()
        nemesis = Nemesis(field.supervisor, field.tasks, 2)
        fill(disk)
        until(lambda: _stands_still(field), 30, "the producer is held back by the full disk")
        for task in field.tasks:
            old = field.supervisor.kill_worker(task)
            until(lambda: nemesis.worker(task) not in (0, old), 15, lambda: f"{task} has another worker\n{field.supervisor.story()}")  # noqa: B023
        (disk / "filler").unlink()
        trouble = field.settle_down()
        bad = [str(verdict) for verdict in field.verdicts() if not verdict.clean]
        assert not bad, "\n".join([*bad, trouble])
        assert not trouble
        assert field.lives() == dict.fromkeys(field.tasks, 1)


def test_on_overlayfs_the_fifos_move_to_a_tmpfs_and_everything_works(mount: Mount, tmp_path: Path) -> None:
    layers = mount("tmpfs", "layers", "size=64m")
    for name in ("lower", "upper", "work"):
        (layers / name).mkdir()
    merged = mount("overlay", "merged", f"lowerdir={layers}/lower,upperdir={layers}/upper,workdir={layers}/work")
    field = Field(tmp_path, seed=3, parts=("E1", "E8", "F", "G"), var=merged / "var")
    with field.supervisor:
        field.await_traffic()
        moved = Path((field.supervisor.task_dir("E8") / "run" / "fifos").read_text().strip())
        assert moved.is_absolute() and not moved.is_relative_to(merged)
        assert stat.S_IMODE(moved.stat().st_mode) == 0o700
        assert any(stat.S_ISFIFO(path.stat().st_mode) for path in moved.iterdir())
        nemesis = Nemesis(field.supervisor, field.tasks, 3)
        while nemesis.tally.total < 15:
            nemesis.strike_worker()
        trouble = field.settle_down()
        bad = [str(verdict) for verdict in field.verdicts() if not verdict.clean]
        assert not bad, "\n".join([*bad, trouble])
        assert not trouble
        assert field.lives() == dict.fromkeys(field.tasks, 1)
        assert moved.name in field.supervisor.story() or str(moved.parent) in (field.supervisor.var / "log" / "efsupervisord.log").read_text()


def test_a_program_of_another_user_can_open_its_standard_streams_by_name(as_root: None, tmp_path: Path) -> None:
    tasks = {
        "N": {
            "command": ["sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr; id -u; id -g; echo more >> /dev/stdout"],
            "kind": "job",
            "user": "nobody",
            "directory": "/",
        }
    }
    with Supervisor(tmp_path, tasks) as supervisor:
        row = supervisor.await_state("N", State.EXITED)
        nobody, group = pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid
        assert row.exit_status == 0, supervisor.output("N", "err")
        assert supervisor.output("N") == f"out\n{nobody}\n{group}\nmore\n".encode()
        assert supervisor.output("N", "err") == b"err\n"


def test_a_program_of_another_user_keeps_no_privilege_and_no_ignored_signal(as_root: None, tmp_path: Path) -> None:
    tasks = {
        "N": {
            "command": ["grep", "-E", "^(Uid|Gid|Groups|NoNewPrivs|CapEff|CapBnd|SigIgn|SigBlk):", "/proc/self/status"],
            "kind": "job",
            "user": "nobody",
            "directory": "/",
        }
    }
    with Supervisor(tmp_path, tasks, launcher=ROOT / "tests" / "support" / "deaf_supervisor.py") as supervisor:
        supervisor.await_state("N", State.EXITED)
        lines = dict(line.split(":\t", 1) for line in supervisor.output("N").decode().splitlines())
        nobody = str(pwd.getpwnam("nobody").pw_uid)
        assert lines["Uid"].split() == [nobody] * 4
        assert lines["NoNewPrivs"] == "1"
        assert int(lines["CapEff"], 16) == int(lines["CapBnd"], 16) == 0
        assert int(lines["SigIgn"], 16) == int(lines["SigBlk"], 16) == 0


def test_a_program_has_three_descriptors_and_a_clean_environment(tmp_path: Path) -> None:
    tasks = {"E": {"command": ["sh", "-c", "ls /proc/self/fd; env"], "kind": "job"}}
    with Supervisor(tmp_path, tasks, environment={"A_SECRET_OF_THE_DAEMON": "1"}) as supervisor:
        supervisor.await_state("E", State.EXITED)
        text = supervisor.output("E").decode()
        assert text.splitlines()[:3] == ["0", "1", "2"]
        assert "A_SECRET_OF_THE_DAEMON" not in text
        assert "EFS_TASK=E" in text and "EFS_INCARNATION=1" in text and "EFS_COOKIE=" in text


@pytest.fixture
def open_folder(as_root: None) -> Iterator[Path]:
    """A folder that belongs to `nobody`, where everybody may go."""
    folder = Path(tempfile.mkdtemp(prefix="efs-humble-"))
    nobody = pwd.getpwnam("nobody")
    folder.chmod(0o755)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def test_core_workers_and_programs_run_as_a_user_who_is_not_root(open_folder: Path) -> None:
    """A flow under deaths of the Core and of workers; only what needs root is refused."""
    seen, gate = open_folder / "seen", open_folder / "gate"
    quick = {"startsecs": 0, "backoff_s": 0.001}
    count = "n=0; while [ $n -lt 3000 ]; do n=$((n+1)); echo line $n; done; while [ ! -e \"$1\" ]; do sleep 0.05; done; echo last > /dev/stdout"
    tasks = {
        "P": {"command": ["sh", "-c", count, "sh", str(gate)], "kind": "job"},
        "F": {"command": "cat", "input": {"protocol": "stream", "stdin": "open"}, **quick},
        "E": {
            "command": ["sh", "-c", 'while read -r line; do echo "$line" >> "$1"; echo >&2; done', "sh", str(seen)],
            "input": {"protocol": "event", "window": 8},
            **quick,
        },
        "R": {"command": "id", "user": "root", "autostart": False},
    }
    flows = {"one": {"from": "P", "to": "F", "start": "begin"}, "two": {"from": "F", "to": "E", "start": "begin"}}
    launcher = ROOT / "tests" / "support" / "humble_supervisor.py"
    with Supervisor(open_folder, tasks, flows, launcher=launcher) as supervisor:
        nobody = pwd.getpwnam("nobody").pw_uid
        for name in ("F", "E"):
            supervisor.await_state(name, State.RUNNING)
        pids = {name: supervisor.program_pid(name) for name in ("F", "E")}
        everybody = [supervisor.core_pid, *pids.values(), *(worker.pid for worker in supervisor.workers().values())]
        assert {os.stat(f"/proc/{pid}").st_uid for pid in everybody} == {nobody}
        assert all(f"\nUid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}\n" in Path(f"/proc/{pid}/status").read_text() for pid in everybody)
        for name in ("F", "E"):
            supervisor.kill_worker(name)
        supervisor.kill_core()
        supervisor.start()
        gate.touch()
        expected = "".join(f"line {number}\n" for number in range(1, 3001)) + "last\n"
        until(lambda: seen.exists() and seen.stat().st_size >= len(expected), 30, lambda: f"everything arrived\n{supervisor.story()}")
        assert seen.read_text() == expected
        assert {name: supervisor.program_pid(name) for name in pids} == pids
        refused = supervisor.act("R").outcomes[0]
        assert not refused.ok
        assert "only root can run a task as user 'root'" in refused.sentence

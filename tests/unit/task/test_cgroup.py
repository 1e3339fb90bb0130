"""Control groups on a folder that stands for the kernel's: what is written where, and when there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from efsupervisor.conf.schema import CgroupSpec
from efsupervisor.system import REAL
from efsupervisor.task.cgroup import LEAF, Group, Unavailable, make, own_path, wanted

SPEC = CgroupSpec(memory_max=64 << 20, pids_max=10, cpu_max=150)
FILES = ("memory.max", "memory.oom.group", "pids.max", "cpu.max", "cgroup.kill", "cgroup.procs", "memory.events")


class Kernel:
    """A hierarchy with one delegated group, /ours; its files appear with a folder, as the kernel does it, for the names that are asked for."""

    def __init__(self, folder: Path, controllers: str = "cpu memory pids", enabled: str = "", procs: str = "") -> None:
        self.root = folder
        self.ours = folder / "ours"
        self.ours.mkdir()
        (folder / "cgroup.controllers").write_text(controllers)
        (self.ours / "cgroup.controllers").write_text(controllers)
        (self.ours / "cgroup.subtree_control").write_text(enabled)
        (self.ours / "cgroup.procs").write_text(procs)
        for name in ("efs-abc", LEAF):
            (self.ours / name).mkdir()
            for file in FILES:
                (self.ours / name / file).write_text("")

    def make(self, spec: CgroupSpec = SPEC, own: str = "/ours", mine: tuple[int, ...] = (7,)) -> Group:
        return make(REAL, spec, "abc", mine.__contains__, root=str(self.root), own=own)


def test_our_group_is_that_of_the_second_version() -> None:
    assert own_path("12:pids:/a\n0::/user.slice/x\n") == "/user.slice/x"
    assert own_path("12:pids:/a\n") is None


def test_only_what_a_spec_says_is_written() -> None:
    assert wanted(CgroupSpec()) == {}
    assert wanted(SPEC) == {"memory.max": str(64 << 20), "memory.oom.group": "1", "pids.max": "10", "cpu.max": "150000 100000"}


def test_a_group_is_made_and_limited_and_the_supervisor_moves_into_a_leaf(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, procs="7\n")
    group = kernel.make()
    assert Path(group.folder) == kernel.ours / "efs-abc"
    assert (kernel.ours / LEAF / "cgroup.procs").read_text() == "7"
    assert (kernel.ours / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert {name: (Path(group.folder) / name).read_text() for name in wanted(SPEC)} == wanted(SPEC)


def test_a_supervisor_that_is_in_its_leaf_already_makes_groups_beside_it(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, enabled="cpu memory pids", procs="")
    assert Path(kernel.make(own=f"/ours/{LEAF}").folder) == kernel.ours / "efs-abc"
    assert (kernel.ours / "cgroup.subtree_control").read_text() == "cpu memory pids"


def test_there_is_no_group_and_a_reason_where_others_live_in_ours(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, procs="7\n8\n9\n")
    with pytest.raises(Unavailable, match="2 processes that are not the supervisor's"):
        kernel.make()
    assert (kernel.ours / LEAF / "cgroup.procs").read_text() == ""


def test_there_is_no_group_and_a_reason_where_a_controller_is_not_delegated(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no controller cpu: delegate it"):
        Kernel(tmp_path, controllers="memory pids").make()


def test_there_is_no_group_and_a_reason_on_a_machine_of_the_first_version(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no cgroup v2"):
        make(REAL, SPEC, "abc", lambda _pid: True, root=str(tmp_path), own="/")


def test_a_limit_that_is_refused_is_named(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, enabled="cpu memory pids")
    (kernel.ours / "efs-abc" / "pids.max").unlink()
    with pytest.raises(Unavailable, match=r"pids.max cannot be set: No such file"):
        kernel.make()


def test_a_kill_of_the_kernel_counts_once(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, enabled="cpu memory pids")
    events = kernel.ours / "efs-abc" / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 1\n")
    group = kernel.make()
    assert not group.oom_killed(), "those before it are not its own"
    events.write_text("low 0\noom 4\noom_kill 2\n")
    assert (group.oom_killed(), group.oom_killed()) == (True, False)


def test_the_whole_group_is_killed_where_the_kernel_can(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, enabled="cpu memory pids")
    group = kernel.make()
    assert group.kill() and (kernel.ours / "efs-abc" / "cgroup.kill").read_text() == "1"
    (kernel.ours / "efs-abc" / "cgroup.kill").unlink()
    assert not group.kill()

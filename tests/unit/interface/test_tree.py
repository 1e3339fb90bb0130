"""The tree of processes: who stands below whom, from one look at /proc."""

from __future__ import annotations

import os
from typing import Any

from efsupervisor.interface.tree import Process, TaskTree, flat, grown, processes
from efsupervisor.messages import core
from efsupervisor.messages.call import Tree
from efsupervisor.states import Goal, State
from tests.unit.interface.fake_house import FakeHouse, run

CORE, HOST, MIDDLE, WORKER, PROGRAM = 10, 11, 12, 20, 21


def crowd(*parents: tuple[int, int]) -> dict[int, Process]:
    return {pid: Process(pid, parent, "S", f"p{pid}", 0.5, 4096) for pid, parent in parents}


OURS = ((CORE, 1), (HOST, CORE), (MIDDLE, HOST), (WORKER, CORE), (PROGRAM, WORKER), (22, PROGRAM), (23, 22), (24, WORKER))
EVERYBODY = crowd(*OURS, (99, 1), (30, CORE))
SERVICES = [core.ServiceRow(name="host", pid=HOST), core.ServiceRow(name="middle", pid=MIDDLE), core.ServiceRow(name="web")]


def task(pid: int = PROGRAM, worker: int = WORKER) -> core.TaskStatus:
    return core.TaskStatus(name="web", state=State.RUNNING, goal=Goal.ACT, pid=pid, worker_pid=worker)


def shape(rows: list[core.Twig]) -> list[tuple[int, str, int]]:
    return [(row.depth, row.what, row.pid) for row in rows]


def test_the_whole_tree_has_the_supervisor_its_siblings_each_task_and_every_descendant_once() -> None:
    rows = grown(CORE, SERVICES, [task()], EVERYBODY, {"web": 2.5})
    assert shape(rows) == [
        (0, "supervisor", CORE),
        (1, "host", HOST),
        (2, "sibling", MIDDLE),
        (1, "task", 0),
        (2, "worker", WORKER),
        (3, "program", PROGRAM),
        (4, "process", 22),
        (5, "process", 23),
        (3, "process", 24),
        (1, "process", 30),
    ]
    assert (rows[3].cpu, rows[3].rss, rows[3].cpu_s) == (2.5, 5 * 4096, 2.5)


def test_a_program_whose_worker_was_killed_is_still_below_its_task() -> None:
    everybody = crowd((CORE, 1), (PROGRAM, CORE), (22, PROGRAM))
    assert shape(grown(CORE, [], [task(worker=0)], everybody, whole=False)) == [(0, "task", 0), (1, "program", PROGRAM), (3, "process", 22)]


def test_a_task_at_rest_is_a_line_without_processes() -> None:
    assert shape(grown(CORE, [], [task(0, 0)], EVERYBODY, whole=False)) == [(0, "task", 0)]


def test_branches_stand_where_something_follows() -> None:
    rows = grown(CORE, SERVICES, [task()], EVERYBODY)
    assert [branches for branches, _ in flat(rows)] == [
        "", "├─ ", "│  └─ ", "├─ ", "│  └─ ", "│     ├─ ", "│     │  └─ ", "│     │     └─ ", "│     └─ ", "└─ ",
    ]  # fmt: skip


def test_this_very_process_is_found_in_proc_below_its_parent() -> None:
    found = processes()
    assert found[os.getpid()].parent == os.getppid()
    assert found[os.getpid()].rss > 1 << 20


def test_the_verb_cuts_a_tree_that_is_too_long_and_says_so() -> None:
    def fake(request: Any) -> list[core.Reply]:
        match request:
            case core.StatusRequest():
                return [core.StatusReply(id=request.id, tasks=[task(0, 0)] * 5)]
            case core.VersionRequest():
                return [core.VersionReply(id=request.id, version="1", pid=os.getpid(), since_wall=1.0)]
        return [core.ServicesReply(id=request.id, rows=[])]

    answer = run(TaskTree(names=["web"], limit=3), FakeHouse(fake))
    assert isinstance(answer, Tree)
    assert [row.what for row in answer.rows] == ["task", "task", "task", "more"]
    assert answer.rows[-1].name == "2 more lines"

"""Types of tasks that come with another distribution: found through their entry point, used like our own, refused when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from efsupervisor.errors import TABLE, Code
from efsupervisor.states import State
from tests.support.supervisor import ROOT, Supervisor

MODULE = '''
import msgspec
from efsupervisor.task.default import DefaultTask
from efsupervisor.task.process import ProcessTask


class Twice(ProcessTask):
    """Runs its command with each argument doubled."""

    def run(self, sock):
        words = self.wiring.spec.command
        spec = msgspec.structs.replace(self.wiring.spec, command=[words[0], *(word * 2 for word in words[1:])])
        self.wiring = msgspec.structs.replace(self.wiring, spec=spec)
        super().run(sock)


class Half(DefaultTask):
    """Cannot be started, and says nothing of its watchers."""

    def trm(self, channel, asked_by):
        super().trm(channel, asked_by)
'''


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """An environment in which a distribution with two types is installed."""
    site = tmp_path / "site"
    about = site / "efs_more_types-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "efs_more_types.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: efs-more-types\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[efsupervisor.task_types]\ntwice = efs_more_types:Twice\nhalf = efs_more_types:Half\n")
    return {"PYTHONPATH": f"{ROOT}:{site}"}


def test_a_type_of_another_distribution_runs_tasks_beside_ours(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    tasks = {"T": {"command": "echo ab", "type": "twice", "kind": "job"}, "P": {"command": "echo ab", "kind": "job"}}
    with Supervisor(tmp_path, tasks, environment=elsewhere) as supervisor:
        for name in tasks:
            supervisor.await_state(name, State.EXITED)
        assert (supervisor.output("T"), supervisor.output("P")) == (b"abab\n", b"ab\n")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("half", "lacks act, run: a type implements act, trm, run"), ("twise", 'tasks.T.type: "twise" is unknown; did you mean "twice"?')],
)
def test_a_type_that_cannot_be_used_is_named_before_anything_is_started(tmp_path: Path, elsewhere: dict[str, str], kind: str, sentence: str) -> None:
    supervisor = Supervisor(tmp_path, {"P": {"command": "sleep 1000"}, "T": {"command": "echo ab", "type": kind}}, environment=elsewhere)
    try:
        done = supervisor.run_daemon()
    finally:
        supervisor.abandon()
    said = done.stdout + done.stderr
    assert done.returncode == TABLE[Code.CONFIG].exit_status, said
    assert sentence in said
    assert "Traceback" not in said
    assert not (supervisor.task_dir("P") / "lives").exists()

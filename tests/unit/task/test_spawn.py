"""How a program will be run, and what a failure of its start-up says; the fork itself is tested in contract and system."""

from __future__ import annotations

import errno
import os
import pwd
from typing import Any

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import SpawnFailed
from efsupervisor.messages import Wiring
from efsupervisor.system import REAL
from efsupervisor.task import spawn
from efsupervisor.task.spawn import STAGES, cookie, failure, plan, refusal


def wiring(**more: Any) -> Wiring:
    return Wiring(spec=TaskSpec(name="t", command=["run", "a b"], **more), task_dir="/var/tasks/abcdefghijkl", namespace="n1")


def test_the_environment_is_a_clean_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("LD_PRELOAD", "/evil.so")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.delenv("PATH")
    monkeypatch.delenv("TZ", raising=False)
    environment = plan(wiring(), 7).environment
    own = pwd.getpwuid(os.geteuid())
    assert environment == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": own.pw_dir,
        "USER": own.pw_name,
        "LOGNAME": own.pw_name,
        "SHELL": own.pw_shell,
        "EFS_TASK": "t",
        "EFS_INCARNATION": "7",
        "EFS_COOKIE": "n1:abcdefghijkl",
    }


def test_a_tasks_own_environment_goes_over_the_clean_list_and_never_over_the_cookie() -> None:
    environment = plan(wiring(environment={"PATH": "/x", "A": "1", "EFS_COOKIE": "forged", "EFS_TASK": "forged"}), 1).environment
    assert (environment["PATH"], environment["A"], environment["EFS_TASK"]) == ("/x", "1", "t")
    assert f"EFS_COOKIE={environment['EFS_COOKIE']}" == cookie(wiring())


def test_a_plan_holds_the_rest_of_the_spec() -> None:
    made = plan(wiring(directory="/srv", umask="027"), 1)
    assert (made.argv, made.directory, made.umask, made.account) == (["run", "a b"], "/srv", 0o027, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a task as another user")
@pytest.mark.parametrize(
    ("user", "uid", "gid"), [("nobody", 65534, 65534), ("65534", 65534, 65534), ("nobody:root", 65534, 0), ("nobody:4242", 65534, 4242)]
)
def test_a_user_by_name_or_number_with_or_without_a_group(user: str, uid: int, gid: int) -> None:
    account = plan(wiring(user=user), 1).account
    assert account is not None
    assert (account.uid, account.gid) == (uid, gid)
    assert gid in account.groups
    assert plan(wiring(user=user), 1).environment["USER"] == "nobody"


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ("no-such-user-here", "user 'no-such-user-here' does not exist"),
        ("root:no-such-group", "group 'no-such-group' does not exist"),
        ("4242424", "user '4242424' does not"),
    ],
)
def test_a_user_or_group_that_does_not_exist_is_no_shortage_of_the_machine(user: str, sentence: str) -> None:
    with pytest.raises(SpawnFailed, match=sentence) as failed:
        plan(wiring(user=user), 1)
    assert (failed.value.stage, failed.value.transient) == ("privileges", False)


def test_only_root_runs_a_task_as_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawn.os, "geteuid", lambda: 65534)
    with pytest.raises(SpawnFailed, match="only root can run a task as user 'root'") as failed:
        plan(wiring(user="root"), 1)
    assert (failed.value.errno, failed.value.transient) == (errno.EPERM, False)
    assert plan(wiring(user="nobody"), 1).account is not None


@pytest.mark.parametrize(
    ("stage", "number", "sentence", "transient"),
    [
        ("exec", errno.ENOENT, "'run' cannot be executed: No such file or directory", False),
        ("exec", errno.EACCES, "'run' cannot be executed: Permission denied", False),
        ("exec", errno.ENOMEM, "'run' cannot be executed: Cannot allocate memory", True),
        ("fork", errno.EAGAIN, "start-up failed at fork: Resource temporarily unavailable", True),
        ("record", errno.ENOSPC, "start-up failed at record: No space left on device", True),
        ("privileges", errno.EPERM, "the user could not be changed to: Operation not permitted", False),
        ("privileges", errno.EAGAIN, "the user could not be changed to: Resource temporarily unavailable", True),
        ("directory", errno.ENOENT, "the working directory cannot be entered: No such file or directory", False),
        ("directory", errno.EIO, "the working directory cannot be entered: Input/output error", False),
    ],
)
def test_a_failure_says_its_stage_and_whether_the_machine_or_the_task_is_to_blame(stage: str, number: int, sentence: str, transient: bool) -> None:
    failed = refusal(stage, number, ["run"])
    assert (failed.message, failed.stage, failed.errno, failed.transient) == (sentence, stage, number, transient)


def test_the_childs_pipe_says_a_stage_and_an_errno_or_that_the_program_runs() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with pytest.raises(BlockingIOError):
        failure(REAL, reader, ["run"])
    os.write(writer, STAGES.index("exec").to_bytes(4, "little") + errno.ENOENT.to_bytes(4, "little"))
    told = failure(REAL, reader, ["run"])
    assert told is not None
    assert (told.stage, told.errno) == ("exec", errno.ENOENT)
    os.close(writer)
    assert failure(REAL, reader, ["run"]) is None
    os.close(reader)

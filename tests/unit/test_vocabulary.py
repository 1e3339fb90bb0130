"""States, errors and the helpers of the machine's room: words that monitors, scripts and files rely on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor import system
from efsupervisor.errors import TABLE, Code, ConfigError, EfError, OffsetGone, ProtocolError, SpawnFailed, TypeRefused
from efsupervisor.states import Framing, Goal, State
from efsupervisor.system import REAL, folded, short_id, write_whole
from tests.unit.journal.fakes import Killed, Machine, Refuse, StopAt

# States --------------------------------------------------------------------------------------------------------------------------------------------


def test_states_have_supervisords_names_and_numbers() -> None:
    assert {state.value: state.number for state in State} == {
        "STOPPED": 0, "STARTING": 10, "RUNNING": 20, "BACKOFF": 30, "STOPPING": 40, "EXITED": 100, "FATAL": 200, "UNKNOWN": 1000,
    }  # fmt: skip


def test_a_task_is_at_rest_when_nothing_runs_and_nothing_will() -> None:
    assert {state for state in State if state.at_rest} == {State.STOPPED, State.EXITED, State.FATAL}


def test_words_and_numbers_of_records_never_change() -> None:
    assert [goal.value for goal in Goal] == ["act", "trm"]
    assert [(framing.name, int(framing)) for framing in Framing] == [("LINES", 0), ("NUL", 1), ("NETSTRING", 2)]


# Errors --------------------------------------------------------------------------------------------------------------------------------------------


def test_every_code_means_something_to_a_shell_and_to_a_web_client() -> None:
    assert set(TABLE) == set(Code)
    for code, verdict in TABLE.items():
        assert (verdict.exit_status == 0) == (code is Code.OK)
        assert 0 <= verdict.exit_status < 126, "126 and above are the shell's own"
        assert (verdict.http_status < 300) == (code is Code.OK)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EfError("x"), Code.INTERNAL),
        (EfError("x", Code.EXISTS), Code.EXISTS),
        (ConfigError(["a", "b"]), Code.CONFIG),
        (OffsetGone(1, 5), Code.GONE),
        (ProtocolError("x"), Code.BAD_REQUEST),
        (ProtocolError("x", Code.VERSION), Code.VERSION),
        (TypeRefused("x"), Code.REFUSED),
        (SpawnFailed("exec", 2, "x", transient=False), Code.SYSTEM),
    ],
)
def test_an_error_knows_its_code_and_its_row(error: EfError, code: Code) -> None:
    assert error.code is code
    assert error.verdict == TABLE[code]
    assert str(error) == error.message


def test_an_error_carries_what_its_reader_needs() -> None:
    assert ConfigError(["a", "b"]).message == "a\nb"
    assert (OffsetGone(1, 5).first, "offset 1" in OffsetGone(1, 5).message) == (5, True)
    failed = SpawnFailed("exec", 2, "x", transient=True)
    assert (failed.stage, failed.errno, failed.transient) == ("exec", 2, True)


# Names ---------------------------------------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=80))
def test_an_id_is_twelve_harmless_characters_and_the_same_for_names_that_look_alike(name: str) -> None:
    identity = short_id(name)
    assert len(identity) == 12
    assert set(identity) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert short_id(folded(name)) == identity
    assert folded(folded(name)) == folded(name)


def test_names_that_look_alike_are_one() -> None:
    assert len({folded(name) for name in ("Import", "IMPORT", "ｉｍｐｏｒｔ")}) == 1
    assert short_id("ß") == short_id("SS")
    assert short_id("a") != short_id("b")


# Files that are replaced in one step ----------------------------------------------------------------------------------------------------------------


def test_a_small_file_is_the_old_one_or_the_new_one_whatever_call_the_kill_came_at(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for number in range(20):
        path.write_bytes(b"old")
        machine = Machine(StopAt(number, torn=1))
        try:
            write_whole(machine, str(path), b"new and longer")  # type: ignore[arg-type]
        except Killed:
            assert path.read_bytes() in (b"old", b"new and longer")
            continue
        finally:
            machine.bury()
        assert number > 3
        assert path.read_bytes() == b"new and longer"
        return
    pytest.fail("it never came to its end")


@pytest.mark.parametrize("call", ["open", "write", "rename"])
def test_a_replacement_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path, call: str) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    machine = Machine(Refuse(call))
    with pytest.raises(OSError):
        write_whole(machine, str(path), b"new")  # type: ignore[arg-type]
    assert (path.read_bytes(), os.listdir(tmp_path), machine.descriptors()) == (b"old", ["state"], 0)


def test_a_link_laid_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / f"state.{os.getpid()}.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        write_whole(REAL, str(tmp_path / "state"), b"new")
    assert (tmp_path / "victim").read_bytes() == b"kept"


# Fault points ---------------------------------------------------------------------------------------------------------------------------------------


def test_a_fault_point_does_nothing_unless_it_is_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(system.os, "kill", lambda pid, number: killed.append(number))
    monkeypatch.delenv("EFSUPERVISOR_FAULTS", raising=False)
    system.Real().fault("life:begun")
    assert killed == []
    monkeypatch.setenv("EFSUPERVISOR_FAULTS", "life:begun, claims:appended=0")
    armed = system.Real()
    for name in ("claims:appended", "another:one", "life:begun"):
        armed.fault(name)
    assert killed == [signal.SIGKILL]
    monkeypatch.setenv("EFSUPERVISOR_FAULTS", "*=1")
    system.Real().fault("any:one")
    assert killed == [signal.SIGKILL] * 2

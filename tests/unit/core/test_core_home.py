"""The folder, its lock and the mark of a clean end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from efsupervisor.core.home import Former, Home, open_home, read_record
from efsupervisor.errors import Code, EfError
from efsupervisor.system import REAL


def leave(home: Home) -> None:
    os.close(home.lock_fd)


def refusal(var: Path) -> EfError:
    with pytest.raises(EfError) as caught:
        open_home(str(var), REAL)
    return caught.value


def test_a_new_folder_is_made_for_us_alone(tmp_path: Path) -> None:
    var = tmp_path / "deep" / "var"
    home = open_home(str(var), REAL)
    assert home.former == Former(existed=False, clean=True, same_boot=True)
    assert [stat.S_IMODE((var / name).stat().st_mode) for name in (".", "log", "tasks", "flows")] == [0o700] * 4
    leave(home)


def test_a_folder_that_others_could_enter_is_closed_to_them(tmp_path: Path) -> None:
    var = tmp_path / "var"
    var.mkdir()
    var.chmod(0o755)
    leave(open_home(str(var), REAL))
    assert stat.S_IMODE(var.stat().st_mode) == 0o700


def test_a_second_supervisor_is_refused_and_told_the_pid_of_the_first(tmp_path: Path) -> None:
    home = open_home(str(tmp_path / "var"), REAL)
    record = home.announce()
    error = refusal(tmp_path / "var")
    assert error.code is Code.ALREADY_RUNNING
    assert str(record.pid) in error.message
    leave(home)


def test_the_lock_decides_and_not_the_file_that_a_dead_supervisor_left(tmp_path: Path) -> None:
    home = open_home(str(tmp_path / "var"), REAL)
    home.announce()
    leave(home)
    again = open_home(str(tmp_path / "var"), REAL)
    assert again.former == Former(existed=True, clean=False, same_boot=True)
    leave(again)


def test_a_clean_end_is_remembered_and_forgotten_by_the_next_start(tmp_path: Path) -> None:
    home = open_home(str(tmp_path / "var"), REAL)
    home.announce()
    home.leave_clean()
    leave(home)
    second = open_home(str(tmp_path / "var"), REAL)
    assert second.former.clean
    second.announce()
    leave(second)
    third = open_home(str(tmp_path / "var"), REAL)
    assert not third.former.clean
    leave(third)


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 100, b'{"version": 1}', b"[]"])
def test_a_damaged_record_is_an_unclean_end_and_no_reason_not_to_start(tmp_path: Path, content: bytes) -> None:
    leave(open_home(str(tmp_path / "var"), REAL))
    (tmp_path / "var" / "core.json").write_bytes(content)
    home = open_home(str(tmp_path / "var"), REAL)
    assert not home.former.clean
    assert read_record(home.var) is None
    leave(home)


def test_a_file_in_the_way_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    error = refusal(tmp_path / "var")
    assert error.code is Code.SYSTEM
    assert str(tmp_path / "var") in error.message


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "elsewhere")
    assert refusal(tmp_path / "var").code is Code.SYSTEM


def test_the_namespace_is_the_same_for_every_supervisor_of_a_folder_and_another_for_another(tmp_path: Path) -> None:
    seen = []
    for name in ("var", "var", "other"):
        home = open_home(str(tmp_path / name), REAL)
        seen.append(home.namespace)
        leave(home)
    assert seen[0] == seen[1] != seen[2]

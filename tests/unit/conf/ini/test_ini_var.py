"""Where the state of a supervisord.conf goes that does not say it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from efsupervisor.conf.ini import var
from efsupervisor.errors import EfError

SOURCE = "/etc/supervisor/supervisord.conf"


def test_root_has_var_lib_then_tmpfs_and_each_configuration_a_folder_of_its_own() -> None:
    found = var.candidates(SOURCE, {}, 0)
    places = ["/var/lib/efsupervisor", "/run/efsupervisor", "/dev/shm/efsupervisor-0", "/tmp/efsupervisor-0"]
    assert [os.path.dirname(path) for path in found] == places
    assert {os.path.basename(path) for path in found} == {os.path.basename(found[0])}
    assert os.path.basename(found[0]).startswith("supervisord-")
    assert var.candidates("/etc/other/supervisord.conf", {}, 0)[0] != found[0]


def test_others_have_their_own_state_folder_first() -> None:
    environment = {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert [os.path.dirname(path) for path in var.candidates(SOURCE, environment, 7)] == [
        "/home/u/.local/state/efsupervisor",
        "/run/user/7/efsupervisor",
        "/dev/shm/efsupervisor-7",
        "/tmp/efsupervisor-7",
    ]


def test_the_first_that_can_be_written_is_taken_and_none_is_an_error_that_says_where() -> None:
    assert var.choose(SOURCE, {}, 0, lambda path, _uid: path.startswith("/dev/shm")).startswith("/dev/shm/efsupervisor-0/")
    with pytest.raises(EfError, match=r"none of /var/lib/efsupervisor, .* can be written; mount a tmpfs at /run"):
        var.choose(SOURCE, {}, 0, lambda _path, _uid: False)


def test_a_folder_of_somebody_else_is_not_usable(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    uid = os.geteuid()
    assert var.is_usable(str(tmp_path / "a" / "b"), uid)
    (tmp_path / "file").write_text("")
    assert not var.is_usable(str(tmp_path / "file" / "x"), uid)
    (tmp_path / "link").symlink_to(tmp_path)
    assert not var.is_usable(str(tmp_path / "link" / "x"), uid)


def test_a_client_looks_where_a_daemon_announced_itself_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [str(tmp_path / name) for name in ("one", "two")]
    monkeypatch.setattr(var, "candidates", lambda *_: places)
    monkeypatch.setattr(var, "is_usable", lambda *_: True)
    assert var.find(SOURCE, {}, 0) == places[0]
    for number, path in enumerate(places):
        os.mkdir(path)
        (Path(path) / "core.json").write_text("{}")
        os.utime(f"{path}/core.json", (number, number))
    assert var.find(SOURCE, {}, 0) == places[1]

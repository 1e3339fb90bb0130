"""Which files are read at all; the rest of the machine is a temporary folder."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from efsupervisor.conf import source
from efsupervisor.conf.loader import find_var, load
from efsupervisor.errors import ConfigError
from efsupervisor.system import REAL

TEXT = "tasks:\n  a: {command: cat}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o700)
    path = folder / "efsupervisor.yaml"
    path.write_text(TEXT)
    path.chmod(0o644)
    return path


def refusal(path: Path | str, uid: int | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(str(path), uid=uid)
    (finding,) = caught.value.findings
    return finding


def test_a_file_of_ours_in_a_folder_of_ours_is_loaded(file: Path) -> None:
    config = load(str(file))
    assert [task.name for task in config.tasks] == ["a"]
    assert config.supervisor.var == str(file.parent.parent / "var")


@pytest.mark.parametrize(("mode", "who"), [(0o664, f"the group {os.getgid()}"), (0o646, "everybody"), (0o666, "everybody")])
def test_a_file_that_others_may_write_is_refused(file: Path, mode: int, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "is_private_group", lambda _gid, _uid: False)
    file.chmod(mode)
    assert refusal(file) == f"{file}: may be written by {who}, who could have any command run as user {os.geteuid()}; chmod go-w {file}"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_file_in_a_folder_that_others_may_write_is_refused(file: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "is_private_group", lambda _gid, _uid: False)
    file.parent.chmod(mode)
    assert refusal(file).startswith(f"{file}: its folder {file.parent} may be written by ")


def test_the_group_of_one_user_is_nobody_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "is_private_group", lambda gid, uid: (gid, uid) == (os.getgid(), os.geteuid()))
    file.chmod(0o664)
    file.parent.chmod(0o775)
    assert [task.name for task in load(str(file)).tasks] == ["a"]


def test_a_group_is_private_when_it_has_the_users_name_and_no_other_member(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {1: ("ann", []), 2: ("ann", ["ann"]), 3: ("ann", ["bob"]), 4: ("staff", [])}
    monkeypatch.setattr(source.pwd, "getpwuid", lambda _uid: SimpleNamespace(pw_name="ann"))
    monkeypatch.setattr(source.grp, "getgrgid", lambda gid: SimpleNamespace(gr_name=groups[gid][0], gr_mem=groups[gid][1]))
    assert [source.is_private_group(gid, 1000) for gid in groups] == [True, True, False, False]


def test_a_file_of_somebody_else_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = REAL.fstat

    class Foreign(type(REAL)):  # type: ignore[misc]
        """A machine where regular files belong to user 4711."""

        def fstat(self, fd: int) -> os.stat_result:
            found = list(real(fd))
            found[4] = 4711
            return os.stat_result(found)

    with pytest.raises(ConfigError) as caught:
        load(str(file), system=Foreign(), uid=1000)
    assert caught.value.findings == [
        f"{file}: belongs to user 4711, who is neither root nor the user of the supervisor (1000), "
        "who could have any command run as user 1000; chown it to root or to user 1000"
    ]


def test_a_link_is_followed_and_both_folders_must_be_safe(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    link = elsewhere / "efsupervisor.yaml"
    link.symlink_to(file)
    assert load(str(link)).source == str(link)
    file.parent.chmod(0o777)
    assert f"its folder {file.parent} may be written by everybody" in refusal(link)
    file.parent.chmod(0o700)
    elsewhere.chmod(0o777)
    assert f"its folder {elsewhere} may be written by everybody" in refusal(link)


def test_what_is_no_regular_file_is_refused_without_reading_it(file: Path) -> None:
    os.mkfifo(file.parent / "fifo")
    assert refusal(file.parent / "fifo") == f"{file.parent}/fifo: is not a regular file"
    assert refusal(file.parent) == f"{file.parent}: is not a regular file"
    assert refusal("/dev/zero") == "/dev/zero: is not a regular file"


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    assert refusal(f"{file}.not") == f"{file}.not: cannot be read: No such file or directory"
    assert refusal("a\0b") == "a\\x00b: cannot be read: no path holds a zero byte"


def test_no_descriptor_is_left_open(file: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    load(str(file))
    file.write_text("tasks: [")
    refusal(file)
    file.chmod(0o666)
    refusal(file)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_the_state_folder_is_found_in_a_file_whose_tasks_are_broken(file: Path) -> None:
    file.write_text("supervisor: {var: ../state, nonsense: 1}\ntasks:\n  a: {comand: [\n")
    assert find_var(str(file)) == str(file.parent.parent / "state")
    file.write_text("tasks: {a: {}}\n")
    assert find_var(str(file)) == str(file.parent.parent / "var")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (
            "tasks: [\n",
            ":2: cannot be read as YAML: while parsing a flow node (begun in line 2), expected the node content, but found '<stream end>'",
        ),
        ("supervisor:\n  var: [a]\n", ":2: supervisor.var: must be one value, not a list"),
        ("supervisor:\n  var:\n", ":2: supervisor.var: has no value; write one or leave the key out"),
    ],
)
def test_the_state_folder_is_never_guessed_when_the_file_may_have_named_another(file: Path, text: str, end: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_var(str(file))
    (finding,) = caught.value.findings
    assert finding == f"{file}{end}"

"""Included files: which are taken, in which order, and how each mistake is told with the file and line where it stands."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.conf import include
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.findings import Adds
from efsupervisor.conf.loader import find_var, load, parse
from efsupervisor.conf.schema import Config
from efsupervisor.errors import ConfigError

A = "tasks:\n  a: {command: cat}\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    (folder / "conf.d").mkdir(parents=True, mode=0o700)
    return folder


def write(folder: Path, files: dict[str, str]) -> str:
    """The files below a folder; the path of the first."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    return str(folder / next(iter(files)))


def findings_of(folder: Path, files: dict[str, str]) -> list[str]:
    """What is wrong, with paths as seen from the folder."""
    path = write(folder, files)
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [finding.replace(f"{folder}/", "") for finding in caught.value.findings]


def names(config: Config) -> list[str]:
    return [task.name for task in config.tasks]


def test_included_files_add_their_parts_after_those_of_the_file_that_includes_them_in_the_order_of_their_names(etc: Path) -> None:
    path = write(
        etc,
        {
            "main.yaml": "include: [conf.d/*.yaml, more.yaml]\n" + A + "flows:\n  f: {from: b, to: c}\n",
            "conf.d/20.yaml": "tasks:\n  c: {command: cat}\n",
            "conf.d/10.yaml": "tasks:\n  b: {command: cat}\ngroups:\n  g: {tasks: [a, B]}\n",
            "conf.d/.hidden.yaml": "tasks:\n  h: {command: cat}\n",
            "conf.d/note.txt": "not: read",
            "more.yaml": "schedules:\n  s: {cron: '0 3 * * *', act: g}\nflows:\n  e: {from: a, to: c}\n",
        },
    )
    config = load(path)
    assert names(config) == ["a", "b", "c"]
    assert [flow.name for flow in config.flows] == ["f", "e"]
    assert config.groups[0].tasks == ["a", "b"]
    assert config.schedules[0].act == ["g"]
    assert config.source == path


def test_one_pattern_needs_no_list_and_may_match_nothing_even_in_a_folder_that_is_missing(etc: Path) -> None:
    assert names(load(write(etc, {"main.yaml": "include: conf.d/*.yaml\n" + A}))) == ["a"]
    assert names(load(write(etc, {"main.yaml": "include: nowhere/*.yaml\n" + A}))) == ["a"]


def test_paths_in_an_included_file_are_relative_to_its_own_folder(etc: Path) -> None:
    path = write(
        etc, {"main.yaml": "include: conf.d/*\n", "conf.d/x.yaml": "include: ../y.yaml\ntasks:\n  x: {command: cat, directory: d}\n", "y.yaml": A}
    )
    config = load(path)
    assert config.tasks[0].directory == f"{etc}/conf.d/d"
    assert names(config) == ["x", "a"]


def test_a_file_that_was_named_and_is_missing_is_told_at_the_line_that_names_it(etc: Path) -> None:
    assert findings_of(etc, {"main.yaml": A + "include:\n  - gone.yaml\n"}) == [
        "main.yaml:4: include[0]: gone.yaml cannot be read: No such file or directory"
    ]


def test_a_file_that_others_may_write_is_told_at_the_line_that_names_it(etc: Path) -> None:
    path = write(etc, {"main.yaml": "include: conf.d/*.yaml\n" + A, "conf.d/x.yaml": "tasks: {}\n"})
    (etc / "conf.d" / "x.yaml").chmod(0o646)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (finding,) = caught.value.findings
    assert finding.startswith(f"{path}:1: include: {etc}/conf.d/x.yaml may be written by everybody")


def test_what_is_no_regular_file_is_refused(etc: Path) -> None:
    (etc / "conf.d" / "x.yaml").mkdir()
    assert findings_of(etc, {"main.yaml": "include: conf.d/*.yaml\n"}) == ["main.yaml:1: include: conf.d/x.yaml is not a regular file"]


def test_findings_name_the_file_they_are_about_file_after_file(etc: Path) -> None:
    files = {
        "main.yaml": "include: [x.yaml, y.yaml]\ntasks:\n  a: {comand: cat}\n",
        "x.yaml": "tasks:\n  b: {umask: 9, command: cat}\nflows:\n  f: {from: aa, to: b}\n",
        "y.yaml": "tasks: [\n",
    }
    broken = findings_of(etc, files)
    assert broken[:2] == [
        'main.yaml:3: tasks.a.comand: unknown key; did you mean "command"?',
        'x.yaml:2: tasks.b.umask: "9" is not an octal mask between 000 and 777',
    ]
    assert broken[2].startswith("y.yaml:2: cannot be read as YAML")
    whole = findings_of(etc, files | {"y.yaml": "tasks: {}\n"})
    assert whole[1] == "main.yaml:3: tasks.a.command: is missing; say which program to run"
    assert whole[-1] == 'x.yaml:4: flows.f.from: there is no task "aa"; did you mean "a"?'


def test_a_name_in_two_files_is_refused_and_both_places_named(etc: Path) -> None:
    found = findings_of(etc, {"main.yaml": "include: x.yaml\n" + A, "x.yaml": "tasks:\n  A: {command: tac}\n"})
    assert found == ['x.yaml:2: tasks.A: is the same name as "a" in main.yaml:3: task names are compared without regard to case and width']


def test_a_group_with_the_name_of_a_task_in_another_file_is_refused_and_both_places_named(etc: Path) -> None:
    found = findings_of(etc, {"main.yaml": "include: x.yaml\n" + A, "x.yaml": "groups:\n  A: {tasks: a}\n"})
    assert found == ['x.yaml:2: groups.A: has the name of the task "a" in main.yaml:3; a group and a task may not share one']


def test_the_supervisor_belongs_into_the_first_file(etc: Path) -> None:
    found = findings_of(etc, {"main.yaml": "include: x.yaml\n" + A, "x.yaml": "supervisor: {var: /x}\nsupervisr: {}\n"})
    assert found == [
        "x.yaml:1: supervisor: belongs into the first file; an included one may have tasks, flows, groups, schedules and include",
        'x.yaml:2: supervisr: unknown key; did you mean "supervisor"?',
    ]


def test_a_loop_is_refused_where_it_closes(etc: Path) -> None:
    (etc / "link.yaml").symlink_to("main.yaml")
    assert findings_of(etc, {"main.yaml": "include: '*.yaml'\n"}) == [
        "main.yaml:1: include: link.yaml includes itself",
        "main.yaml:1: include: main.yaml includes itself",
    ]
    (etc / "link.yaml").unlink()
    assert findings_of(etc, {"main.yaml": "include: x.yaml\n", "x.yaml": "include: [y.yaml]\n", "y.yaml": "include:\n- x.yaml\n- ./main.yaml\n"}) == [
        "y.yaml:2: include[0]: x.yaml is included by a file that it includes: that would never end",
        "y.yaml:3: include[1]: ./main.yaml is included by a file that it includes: that would never end",
    ]


def test_a_file_that_is_included_twice_is_refused_and_both_places_named(etc: Path) -> None:
    assert findings_of(etc, {"main.yaml": "include:\n- x.yaml\n- conf.d/../x.yaml\n", "x.yaml": A}) == [
        "main.yaml:3: include[1]: conf.d/../x.yaml is included a second time; the first time in main.yaml:2"
    ]


def test_eight_levels_are_taken_and_nine_are_not(etc: Path) -> None:
    files = {f"{level}.yaml": f"include: {level + 1}.yaml\n" for level in range(8)} | {"8.yaml": A}
    assert names(load(write(etc, files))) == ["a"]
    assert findings_of(etc, files | {"8.yaml": "include: 9.yaml\n", "9.yaml": A}) == [
        "8.yaml:1: include: 9.yaml is included at the depth 9; 8 is the most"
    ]


def test_too_many_files_and_too_many_bytes_are_refused(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"main.yaml": "include: conf.d/*\n"} | {f"conf.d/{number}.yaml": f"tasks:\n  t{number}: {{command: cat}}\n" for number in range(5)}
    monkeypatch.setattr(include, "MAX_FILES", 5)
    assert len(names(load(write(etc, files)))) == 5
    monkeypatch.setattr(include, "MAX_FILES", 4)
    assert findings_of(etc, files) == ["main.yaml:1: include: conf.d/4.yaml is one file too many: a configuration includes at most 4"]
    monkeypatch.setattr(include, "MAX_FILES", 5)
    monkeypatch.setattr(include, "MAX_TOTAL", 120)
    assert "main.yaml:1: include: conf.d/4.yaml is too much: all files of a configuration together have at most 120 bytes" in findings_of(etc, files)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("''", "include: names no file"),
        ("", "include: has no value; write one or leave the key out"),
        ("~/x.yaml", "include: begins with ~, which is not expanded; write the path in full"),
        ("'*/x.yaml'", "include: may have *, ? and [ ] in the file's name alone, not in the folders before it"),
        ("conf.d/", 'include: "conf.d/" names a folder; write conf.d/*.yaml for the files in it'),
        ("[[a]]", "include[0]: must be one value, not a list"),
        ("{a: b}", "include: must be one value, not keys with values"),
        ("${NONE}/x.yaml", "include: "),
    ],
)
def test_what_cannot_be_included_is_refused(etc: Path, written: str, reason: str) -> None:
    (finding,) = findings_of(etc, {"main.yaml": f"include: {written}\n"})
    assert finding.startswith(f"main.yaml:1: {reason}")


def test_a_folder_that_cannot_be_listed_is_told(etc: Path) -> None:
    class Locked(include.Disk):
        def matching(self, pattern: str) -> list[str]:
            raise Unfit("cannot")

    with pytest.raises(ConfigError, match=r"x\.yaml:1: include: cannot"):
        parse(b"include: conf.d/*.yaml\n", "x.yaml", files=Locked(None, 0))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="this text is read by itself"):
        parse(b"include: conf.d/*.yaml\n", "x.yaml")


def test_the_state_folder_is_found_without_looking_at_included_files(etc: Path) -> None:
    path = write(etc, {"main.yaml": "include: gone.yaml\nsupervisor: {var: '${PLACE}/var'}\n"})
    assert find_var(path, environment={"PLACE": "/srv"}) == "/srv/var"
    with pytest.raises(ConfigError, match=r'supervisor\.var: the environment has no variable "PLACE"'):
        find_var(path, environment={})


# Cut anywhere --------------------------------------------------------------------------------------------------------------------------------------

FIRST = """\
# 첫 파일
include:
  - more.yaml
  - "conf.d/*.yaml"
supervisor: {var: ../var, log_level: info, web: {port: 8642}}
tasks:
  읽기:
    command: tail -F '${LOG:-/var/log/messages}'
    environment: {A: 22:22, B: "\\u00e9$${C}"}
flows:
  f: {from: 읽기, to: [store]}
groups:
  every: {tasks: ["*"]}
"""
MORE = """\
tasks:
  store: {command: cat, input: {protocol: event}}
schedules:
  nightly: {cron: "0 3 * * *", timezone: Asia/Seoul, act: every, missed: once}
  tick: {cron: "*/5 * * * *", task: store, put: "tick {time}"}
"""
LAST = "tasks:\n  z: {command: 'echo \"${HOME}\"', kind: job}\n"
TREE = {"etc/first.yaml": FIRST, "etc/more.yaml": MORE, "etc/conf.d/z.yaml": LAST}


class Memory:
    """Files that are not on a disk."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def matching(self, pattern: str) -> list[str]:
        folder, name = os.path.split(pattern)
        return sorted(each for each in self.files if os.path.dirname(each) == folder) if "*" in name else [pattern]

    def read(self, path: str, findings: Adds) -> bytes | None:
        if path not in self.files:
            findings.add(0, "", "cannot be read: it is not there")
        return self.files.get(path)


def loads_or_is_refused(files: dict[str, bytes]) -> bool:
    """True when it loads.  Any other exception than ConfigError fails the test, and so does a second of work."""
    began = time.process_time()
    try:
        parse(files["etc/first.yaml"], "etc/first.yaml", files=Memory(files), environment={"HOME": "/root"})
    except ConfigError as error:
        assert error.findings and all(finding.startswith("etc/") and "\n" not in finding for finding in error.findings)
        return False
    finally:
        assert time.process_time() - began < 1.0
    return True


def encoded(files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


@pytest.mark.parametrize("name", list(TREE))
def test_a_good_configuration_with_one_file_cut_at_any_byte_loads_or_is_refused(name: str) -> None:
    whole = encoded(TREE)
    assert loads_or_is_refused(whole)
    loaded = sum(loads_or_is_refused(whole | {name: whole[name][:length]}) for length in range(len(whole[name])))
    assert loaded < len(whole[name]) // 2


PIECES = st.sampled_from(
    [b"", b"\n", b": ", b"- ", b"[", b"]", b"{", b"}", b"'", b'"', b"*", b"include: first.yaml\n", b"include: [more.yaml, more.yaml]\n", b"${",
     b"${HOME}", b"$${", b"${A:-", b"${A:-b}", b"groups:\n", b"schedules:\n", b"cron: 0 0 31 2 *\n", b"&a ", b"\xff", b"\0", b"<<: ", b"tasks:\n",
     b"z: {}\n", b"1" * 400]
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(list(TREE)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), PIECES | st.binary(max_size=4)), min_size=1, max_size=4))
def test_a_good_configuration_with_some_bytes_changed_loads_or_is_refused(name: str, mutations: list[tuple[float, int, bytes]]) -> None:
    files = encoded(TREE)
    data = bytearray(files[name])
    for place, removed, piece in mutations:
        at = int(place * len(data))
        data[at : at + removed] = piece
    loads_or_is_refused(files | {name: bytes(data)})

"""Finding the supervisor that is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from efsupervisor.cli.where import Where, scan, socket_path
from efsupervisor.errors import Code, EfError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, var: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"supervisor:\n  var: {var}\n")
    return path


def test_what_is_said_explicitly_wins_over_what_is_found(place: Path) -> None:
    conf = write(place / "conf.yaml", "from-conf")
    other = write(place / "other.yaml", "from-environment")
    write(place / "etc" / "efsupervisor.yaml", "found")
    environment = {"EFSUPERVISOR_SOCKET": "/socket/of/environment", "EFSUPERVISOR_CONF": str(other)}
    everything = Where(socket="/the/socket", var="/the/var", conf=str(conf))
    assert socket_path(everything, environment) == "/the/socket"
    assert socket_path(everything._replace(socket=""), environment) == "/the/var/core.sock"
    assert socket_path(Where(conf=str(conf)), environment) == f"{place}/from-conf/core.sock"
    assert socket_path(Where(), environment) == "/socket/of/environment"
    assert socket_path(Where(), {"EFSUPERVISOR_CONF": str(other)}) == f"{place}/from-environment/core.sock"
    assert socket_path(Where(), {}) == f"{place}/etc/found/core.sock"


def test_the_configuration_is_looked_for_in_order(place: Path) -> None:
    write(place / "efsupervisor.yaml", "second")
    assert socket_path(Where(), {}) == f"{place}/second/core.sock"
    write(place / "etc" / "efsupervisor.yaml", "/absolute/first")
    assert socket_path(Where(), {}) == "/absolute/first/core.sock"


def test_a_relative_var_is_relative_to_the_file_not_to_the_shell(place: Path) -> None:
    write(place / "a" / "b" / "x.yaml", "../state")
    assert socket_path(Where(conf="a/b/x.yaml"), {}) == f"{place}/a/state/core.sock"


def test_no_configuration_at_all_says_how_to_name_one(place: Path) -> None:
    with pytest.raises(EfError, match=r"-c FILE, --var FOLDER or --socket PATH") as raised:
        socket_path(Where(), {})
    assert raised.value.code is Code.CONFIG


@pytest.mark.parametrize("where", [Where(conf="nowhere.yaml"), Where()])
def test_a_configuration_that_is_not_there_is_named(place: Path, where: Where) -> None:
    with pytest.raises(EfError, match=r"nowhere\.yaml") as raised:
        socket_path(where, {"EFSUPERVISOR_CONF": "nowhere.yaml"})
    assert raised.value.code is Code.CONFIG


@pytest.mark.parametrize(
    "text",
    ["supervisor:\n", "tasks:\n", "supervisor: {var: ../var}\n", "supervisor:\n  var: '../var'\n", "supervisor:\n  var: ../var\ntasks: [broken"],
)
def test_the_loader_is_asked_for_what_the_quick_look_does_not_find(place: Path, text: str) -> None:
    (place / "etc").mkdir()
    (place / "etc" / "efsupervisor.yaml").write_text(text)
    assert socket_path(Where(), {}) == f"{place}/var/core.sock"


def test_a_file_that_anybody_could_have_written_is_refused(place: Path) -> None:
    write(place / "x.yaml", "/a/trap").chmod(0o646)
    with pytest.raises(EfError, match=r"x\.yaml") as raised:
        socket_path(Where(conf="x.yaml"), {})
    assert raised.value.code is Code.CONFIG


def test_a_file_in_a_folder_that_everybody_may_write_is_refused(place: Path) -> None:
    write(place / "open" / "x.yaml", "/a/trap").parent.chmod(0o777)
    with pytest.raises(EfError) as raised:
        socket_path(Where(conf="open/x.yaml"), {})
    assert raised.value.code is Code.CONFIG


@pytest.mark.parametrize("name", ["a\0b", "."])
def test_a_path_that_is_no_file_is_a_sentence(place: Path, name: str) -> None:
    with pytest.raises(EfError) as raised:
        socket_path(Where(conf=name), {})
    assert raised.value.code is Code.CONFIG


@pytest.mark.parametrize(
    ("text", "var"),
    [
        ("# a comment\nsupervisor:   # the daemon\n\n  # where\n  log_level: debug\n  var: /srv/my var/x  # here\n\ntasks: {}\n", "/srv/my var/x"),
        ("tasks:\n  supervisor:\n    var: not-this\nsupervisor:\n    var: ./this\n", "./this"),
    ],
)
def test_the_plain_form_is_understood_without_a_loader(text: str, var: str) -> None:
    assert scan(text) == var


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tasks:\n  a:\n    command: x\n",
        "supervisor:\ntasks:\n  a:\n    var: not-this\n",
        "supervisor: {var: x}\n",
        "{supervisor: {var: x}}\n",
        "supervisor:\n  var: 'x'\n",
        'supervisor:\n  "var": x\n',
        "supervisor:\n  var:\n    x\n",
        "supervisor:\n  var: x\n    y\n",
        "supervisor:\n  var: ${HOME}/x\n",
        "supervisor:\n  var: ~/x\n",
        "supervisor:\n  var: x\nsupervisor:\n  var: y\n",
        "supervisor:\n  var: x\n  var: y\n",
        "'supervisor':\n  var: x\n",
        "supervisor: &a\n  var: x\n",
        "supervisor:\n\tvar: x\n",
        "---\nsupervisor:\n  var: x\n",
        "supervisor:\n  var: x: y\n",
    ],
)
def test_everything_else_is_left_to_the_loader(text: str) -> None:
    assert scan(text) == ""


PIECES = st.sampled_from(
    [
        "supervisor:",
        "supervisor: ",
        "  var: a",
        "  var: b # c",
        "  log_level: x",
        "   var: c",
        "tasks:",
        "  t:",
        "    var: no",
        "# supervisor:",
        "",
        "  # var: d",
        "x: y",
        "supervisor : ",
        "  var : e",
        "  var: 'f'",
        "  var: g'h",
        "var: i",
        "  - var: j",
        "supervisors:",
        "  var: [k]",
        "  var: |",
        "    l",
        "a: |",
        "a: >-",
        "a: 'b",
        "c'",
        "...",
        "---",
        "a: {",
        "}",
        'a: "b\\"',
        '"',
    ]
)


@given(st.lists(PIECES, max_size=8).map("\n".join))
@example("supervisor:\n  var: a\n   b")
@example("a: {\nsupervisor:\n  var: b\n}")
@example('a: "b\\"\nsupervisor:\n  var: b\n"')
@example("a: 'b\nsupervisor:\n  var: a\nc'")
def test_whenever_the_quick_look_is_sure_yaml_says_the_same(text: str) -> None:
    var = scan(text)
    try:
        document = yaml.load(text, yaml.BaseLoader)  # every scalar stays text, as our loader keeps it
    except yaml.YAMLError:
        return  # the loader refuses the whole file, and with it the daemon
    if var:
        assert var == document["supervisor"]["var"]

"""The tables of keys and the structs of the schema say the same; only one module knows PyYAML."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

import efsupervisor.conf
from efsupervisor.conf import meanings, settings, tables
from efsupervisor.conf.schema import (
    AliveSpec,
    CgroupSpec,
    FlowSpec,
    GroupSpec,
    HooksSpec,
    InputSpec,
    OutputSpec,
    PostSpec,
    ReadySpec,
    ResourceSpec,
    ResultSpec,
    ScheduleSpec,
    SupervisorSpec,
    TaskSpec,
    WebSpec,
    XmlRpcSpec,
)


@pytest.mark.parametrize(
    ("table", "struct", "renamed"),
    [
        (tables.TASK, TaskSpec, {"name": None, "group": None, "instance": None, "fed_logs": None}),
        (tables.FLOW, FlowSpec, {"name": None, "producers": "from", "consumers": "to"}),
        (tables.INPUT, InputSpec, {}),
        (tables.OUTPUT, OutputSpec, {}),
        (tables.READY, ReadySpec, {}),
        (tables.ALIVE, AliveSpec, {}),
        (tables.HOOKS, HooksSpec, {}),
        (tables.CGROUP, CgroupSpec, {}),
        (tables.GROUP, GroupSpec, {"name": None}),
        (tables.SCHEDULE, ScheduleSpec, {"name": None}),
        (tables.WEB, WebSpec, {}),
        (tables.RESOURCE, ResourceSpec, {}),
        (tables.RESULT, ResultSpec, {}),
        (tables.POST, PostSpec, {}),
        (tables.XMLRPC, XmlRpcSpec, {}),
        (tables.SUPERVISOR, SupervisorSpec, {}),
    ],
)
def test_every_field_of_the_schema_has_one_key(table: dict[str, object], struct: type[msgspec.Struct], renamed: dict[str, str | None]) -> None:
    keys = {renamed.get(field.name, field.name) for field in msgspec.structs.fields(struct)}
    assert set(table) == keys - {None}


def test_every_key_of_every_table_has_a_meaning_and_in_the_same_order() -> None:
    written = {
        "supervisor": tables.SUPERVISOR, "tasks": tables.TASK, "input": tables.INPUT, "output": tables.OUTPUT, "flows": tables.FLOW,
        "groups": tables.GROUP, "schedules": tables.SCHEDULE, **tables.PARTS, **tables.TASK_PARTS,
    }  # fmt: skip
    assert {section: list(keys) for section, keys in meanings.SECTIONS.items()} == {section: list(keys) for section, keys in written.items()}
    for keys in meanings.SECTIONS.values():
        for meaning in keys.values():
            assert meaning.text.count("``") % 2 == 0 and meaning.text.strip() == meaning.text != ""


def test_the_meaning_says_the_default_of_the_schema() -> None:
    every = settings.keys()
    for key in every:
        said, value = meanings.of_setting(key).default, settings.text_of(SupervisorSpec(), key)
        assert said in (value, {"": "none", "60s": "1m"}.get(value)) or (said in ("see text", "defaults")), key


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_only_the_composer_knows_pyyaml_and_conf_imports_nothing_above_it() -> None:
    modules = {path.name: imported(path) for path in Path(efsupervisor.conf.__path__[0]).glob("*.py")}
    assert {name for name, names in modules.items() if any(each.split(".")[0] == "yaml" for each in names)} == {"nodes.py"}
    assert {name for name, names in modules.items() if "efsupervisor.conf.nodes" in names} == {"loader.py", "source.py"}
    ours = {each for names in modules.values() for each in names if each.startswith("efsupervisor.")}
    others = {each for each in ours if not each.startswith("efsupervisor.conf")}
    assert others == {"efsupervisor.errors", "efsupervisor.states", "efsupervisor.system"}

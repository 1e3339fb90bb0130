"""From a file to a Config, or to everything that is wrong with it.

Four steps, each in its own module: source (bytes that only the owner can change), nodes (a tree with lines), fields (a value for each key), check
(what must be true between them).  A configuration is taken as a whole or not at all, so that a broken or half-written file stops nothing that runs:
`load` raises ConfigError with every finding, and never anything else for what a file may hold.

Paths in the result are absolute; a relative one was written relative to the folder of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from efsupervisor.conf.check import Draft, Flow, Task, check, known_tasks
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.fields import FLOW, SUPERVISOR, TASK, Field, Reading, Section, entries, path_field, section
from efsupervisor.conf.findings import Findings, below
from efsupervisor.conf.names import kept
from efsupervisor.conf.nodes import Mapping, Node, compose
from efsupervisor.conf.schema import Config, FlowSpec, SupervisorSpec, TaskSpec
from efsupervisor.conf.source import read_trusted
from efsupervisor.system import REAL, System, folded

TYPES = ("process",)
"""Task types that a caller who knows no others may assume; the Core passes those of its table."""
SYSTEM_FOLDER = "/etc"
SYSTEM_VAR = "/var/lib/efsupervisor"


def load(path: str, *, types: Iterable[str] = TYPES, system: System = REAL, uid: int | None = None) -> Config:
    """Read, check and return a configuration.  Raises ConfigError with all findings.  uid: as whom the file's owner is judged, by default our own."""
    findings = Findings(path)
    data = read_trusted(path, findings, system, os.geteuid() if uid is None else uid)
    if data is None:
        findings.refuse()
    return parse(data, path, types=types)


def parse(data: bytes, path: str, *, types: Iterable[str] = TYPES) -> Config:
    """As load, of bytes that are at hand.  path: where they come from; it is named in findings and relative paths are below its folder.  Pure."""
    findings = Findings(path)
    tree, whole = compose(data, findings)
    if tree is None or not whole:
        findings.refuse()  # what follows a break would be found missing, and is not
    reading = Reading(findings, os.path.dirname(os.path.abspath(path)), tuple(types))
    draft = _draft(reading, tree)
    check(draft, findings)
    if findings:
        findings.refuse()
    return _config(draft, path)


def find_var(path: str, *, system: System = REAL, uid: int | None = None) -> str:
    """The absolute state folder that a configuration names, even if the rest of it is broken: a client must reach the supervisor that runs.

    Raises ConfigError when the file cannot be read or trusted, or when what it says of `supervisor.var` is lost or no path.
    """
    findings = Findings(path)
    data = read_trusted(path, findings, system, os.geteuid() if uid is None else uid)
    if data is None:
        findings.refuse()
    broken = Findings(path)
    tree, whole = compose(data, broken)
    folder = os.path.dirname(os.path.abspath(path))
    supervisor = _value(tree, "supervisor")
    if supervisor is None and not whole:
        broken.refuse()
    var = _value(supervisor, "var")
    if var is None:
        return default_var(folder)
    try:
        return path_field(Reading(findings, folder, ()), var, "supervisor.var", Section(var.line, "supervisor"))
    except Unfit as reason:
        findings.add(var.line, "supervisor.var", str(reason))
        findings.refuse()


def _value(node: Node | None, key: str) -> Node | None:
    entries_of = node.entries if isinstance(node, Mapping) else []
    return next((entry.value for entry in entries_of if entry.key.text == key), None)


def default_var(folder: str) -> str:
    """Where state goes when the file does not say: /var/lib/efsupervisor for a file below /etc, `../var` in another `etc`, else `var` beside it."""
    if folder == SYSTEM_FOLDER or folder.startswith(SYSTEM_FOLDER + "/"):
        return SYSTEM_VAR
    if os.path.basename(folder) == "etc":
        return os.path.normpath(os.path.join(folder, SupervisorSpec().var))
    return os.path.join(folder, "var")


# The three sections --------------------------------------------------------------------------------------------------------------------------------


def _draft(reading: Reading, tree: Node) -> Draft:
    tables = {"supervisor": _supervisor, "tasks": _tasks, "flows": _flows}
    top = section(reading, tree, tree.line, "", tables)
    supervisor = top.values.get("supervisor", SupervisorSpec(var=default_var(reading.folder)))
    return Draft(supervisor, top.values.get("tasks", []), top.values.get("flows", []))


def _supervisor(reading: Reading, node: Node, path: str, found: Section) -> SupervisorSpec:
    values = section(reading, node, found.line_of("supervisor"), path, SUPERVISOR).values
    return SupervisorSpec(**{"var": default_var(reading.folder), **values})


def _tasks(reading: Reading, node: Node, path: str, found: Section) -> list[Task]:
    return [Task(_task(name, at), at) for name, at in _named(reading, node, found.line_of("tasks"), path, TASK)]


def _task(name: str, at: Section) -> TaskSpec:
    return TaskSpec(**{"name": name, "command": [], **at.values})


def _flows(reading: Reading, node: Node, path: str, found: Section) -> list[Flow]:
    return [Flow(_flow(name, at), at) for name, at in _named(reading, node, found.line_of("flows"), path, FLOW)]


def _flow(name: str, at: Section) -> FlowSpec:
    values = dict(at.values)
    return FlowSpec(name=name, producers=values.pop("from", []), consumers=values.pop("to", []), **values)


def _named(reading: Reading, node: Node, line: int, path: str, fields: dict[str, Field]) -> list[tuple[str, Section]]:
    """The parts of a section whose keys are names; a name is kept in NFC."""
    return [
        (kept(key.text), section(reading, value, key.line, below(path, key.text), fields))
        for key, value in entries(reading, node, line, path)
    ]  # fmt: skip


def _config(draft: Draft, path: str) -> Config:
    """The checked draft as a Config; flows name their tasks as the tasks name themselves."""
    tasks = known_tasks(draft)
    return Config(
        source=os.path.abspath(path),
        supervisor=draft.supervisor,
        tasks=[task.spec for task in draft.tasks],
        flows=[_with_own_names(flow.spec, tasks) for flow in draft.flows],
    )


def _with_own_names(flow: FlowSpec, tasks: dict[str, Task]) -> FlowSpec:
    def own(names: list[str]) -> list[str]:
        return [tasks[folded(name)].spec.name for name in names]

    return msgspec.structs.replace(flow, producers=own(flow.producers), consumers=own(flow.consumers))

"""From a file, and those it includes, to a Config, or to everything that is wrong with it.

Steps, each in its own module: source (bytes that only the owner can change), nodes (a tree with lines), fields (a value for each key), include
(further files), check (what must be true between the parts).  A configuration is taken as a whole or not at all, so that a broken or half-written
file stops nothing that runs: `load` raises ConfigError with every finding, and never anything else for what a file may hold.

Paths in the result are absolute; a relative one was written relative to the folder of the file in which it stands.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import msgspec

from efsupervisor.conf.check import check
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.draft import Draft, Flow, Group, Schedule, Task, known_tasks
from efsupervisor.conf.expand import Expansion, expanded
from efsupervisor.conf.fields import Field, Reading, Section, entries, one, path_field, section
from efsupervisor.conf.findings import Findings, below
from efsupervisor.conf.include import Disk, Files, Includes, Nowhere, pattern_text
from efsupervisor.conf.instances import expand_instances
from efsupervisor.conf.logs import with_fed_logs
from efsupervisor.conf.names import kept
from efsupervisor.conf.nodes import compose
from efsupervisor.conf.schema import Config, FlowSpec, GroupSpec, ScheduleSpec, SupervisorSpec, TaskSpec
from efsupervisor.conf.tables import FLOW, GROUP, SCHEDULE, SUPERVISOR, TASK
from efsupervisor.conf.tree import Mapping as MappingNode
from efsupervisor.conf.tree import Node, Refused, Sequence
from efsupervisor.system import REAL, System, folded

TYPES = ("process", "eventlistener")
"""Task types that a caller who knows no others may assume; the Core passes those of its table."""
SYSTEM_FOLDER = "/etc"
SYSTEM_VAR = "/var/lib/efsupervisor"


def load(
    path: str,
    *,
    types: Iterable[str] = TYPES,
    refused: Mapping[str, str] | None = None,
    system: System = REAL,
    uid: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read, check and return a configuration.  Raises ConfigError with all findings.  refused: task types that cannot be used, and why.
    uid: as whom the files' owner is judged, by default our own.  environment: where variables come from, by default our own."""
    findings = Findings(path)
    disk = Disk(system, os.geteuid() if uid is None else uid)
    data = disk.read(path, findings)
    if data is None:
        findings.refuse()
    return _Loading(path, types, os.environ if environment is None else environment, disk, refused).whole(data, findings)


def parse(
    data: bytes, path: str, *, types: Iterable[str] = TYPES, environment: Mapping[str, str] | None = None, files: Files | None = None
) -> Config:
    """As load, of bytes that are at hand.  path: where they come from; it is named in findings and relative paths are below its folder.

    environment: where variables come from, by default none.  files: where included files come from, by default nowhere.  Pure, if they are."""
    return _Loading(path, types, environment or {}, files or Nowhere()).whole(data, Findings(path))


def find_var(path: str, *, system: System = REAL, uid: int | None = None, environment: Mapping[str, str] | None = None) -> str:
    """The absolute state folder that a configuration names, even if the rest of it is broken: a client must reach the supervisor that runs.

    Only the first file can say it, so included files are not looked at.  Raises ConfigError when the file cannot be read or trusted, or when what it
    says of `supervisor.var` is lost or no path.
    """
    findings = Findings(path)
    data = Disk(system, os.geteuid() if uid is None else uid).read(path, findings)
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
    expansion = Expansion(os.environ if environment is None else environment)
    var = expanded(var, expansion, lambda line, _, reason: findings.add(line, "supervisor.var", reason))
    if findings:
        findings.refuse()
    try:
        return str(path_field(Reading(findings, folder), var, "supervisor.var", Section(findings, var.line, "supervisor")))
    except Unfit as reason:
        findings.add(var.line, "supervisor.var", str(reason))
        findings.refuse()


def _value(node: Node | None, key: str) -> Node | None:
    entries_of = node.entries if isinstance(node, MappingNode) else []
    return next((entry.value for entry in entries_of if entry.key.text == key), None)


def default_var(folder: str) -> str:
    """Where state goes when the file does not say: /var/lib/efsupervisor for a file below /etc, `../var` in another `etc`, else `var` beside it."""
    if folder == SYSTEM_FOLDER or folder.startswith(SYSTEM_FOLDER + "/"):
        return SYSTEM_VAR
    if os.path.basename(folder) == "etc":
        return os.path.normpath(os.path.join(folder, SupervisorSpec().var))
    return os.path.join(folder, "var")


# One loading ---------------------------------------------------------------------------------------------------------------------------------------


class _Loading:
    """The reading of one configuration: what all its files share."""

    def __init__(
        self, path: str, types: Iterable[str], environment: Mapping[str, str], files: Files, refused: Mapping[str, str] | None = None
    ) -> None:
        self._path = path
        self._types = tuple(types)
        self._refused = refused or {}
        self._expansion = Expansion(environment)
        self._includes = Includes(files, path)

    def whole(self, data: bytes, findings: Findings) -> Config:
        """The configuration whose first file holds these bytes."""
        tree, whole = compose(data, findings)
        if tree is None or not whole:
            findings.refuse()  # what follows a break would be found missing, and is not
        reading = self._reading(findings)
        top = section(reading, tree, tree.line, "", {"include": _include, "supervisor": _supervisor, **_PARTS})
        draft = Draft(SupervisorSpec(var=default_var(reading.folder)), Section(findings, 0, "supervisor"))
        if "supervisor" in top.values:
            draft.supervisor, draft.at = top.values["supervisor"]
        self._take(top, draft, (os.path.realpath(self._path),))
        expand_instances(draft)
        if draft.whole:
            check(draft)
        if findings:
            findings.refuse()
        return _config(draft, self._path)

    def _reading(self, findings: Findings) -> Reading:
        return Reading(findings, os.path.dirname(os.path.abspath(findings.file)), self._types, self._expansion, self._refused)

    def _take(self, top: Section, draft: Draft, trail: tuple[str, ...]) -> None:
        """The parts of one file, and then those of the files that it includes."""
        for each in _PARTS:
            getattr(draft, each).extend(top.values.get(each, []))
        for path, data, findings in self._includes.of(top.values.get("include", []), top.findings, trail):
            tree, whole = compose(data, findings)
            if tree is None or not whole:
                draft.whole = False
                continue
            inner = section(self._reading(findings), tree, tree.line, "", {"include": _include, "supervisor": _not_here, **_PARTS})
            self._take(inner, draft, (*trail, os.path.realpath(path)))


def _not_here(reading: Reading, node: Node, path: str, found: Section) -> None:
    raise Unfit("belongs into the first file; an included one may have tasks, flows, groups, schedules and include")


def _include(reading: Reading, node: Node, path: str, found: Section) -> list[tuple[int, str, str]]:
    """Line, dotted path and text of each pattern."""
    if not isinstance(node, Sequence):
        return [(found.line_of("include"), path, _PATTERN(reading, node, path, found))]
    numbered = [(item, f"{path}[{number}]") for number, item in enumerate(node.items)]
    return [(item.line, at, text) for item, at in numbered for text in _item(reading, item, at, found)]


_PATTERN = one(pattern_text)


def _item(reading: Reading, item: Node, path: str, found: Section) -> list[str]:
    if isinstance(item, Refused):
        return []
    try:
        return [_PATTERN(reading, item, path, found)]
    except Unfit as reason:
        reading.findings.add(item.line, path, str(reason))
        return []


def _supervisor(reading: Reading, node: Node, path: str, found: Section) -> tuple[SupervisorSpec, Section]:
    at = section(reading, node, found.line_of("supervisor"), path, SUPERVISOR)
    return SupervisorSpec(**{"var": default_var(reading.folder), **at.values}), at


def _tasks(reading: Reading, node: Node, path: str, found: Section) -> list[Task]:
    return [Task(_task(name, at), at) for name, at in _named(reading, node, found.line_of("tasks"), path, TASK)]


def _task(name: str, at: Section) -> TaskSpec:
    return TaskSpec(**{"name": name, "command": [], **at.values})


def _flows(reading: Reading, node: Node, path: str, found: Section) -> list[Flow]:
    return [Flow(_flow(name, at), at) for name, at in _named(reading, node, found.line_of("flows"), path, FLOW)]


def _flow(name: str, at: Section) -> FlowSpec:
    values = dict(at.values)
    return FlowSpec(name=name, producers=values.pop("from", []), consumers=values.pop("to", []), **values)


def _groups(reading: Reading, node: Node, path: str, found: Section) -> list[Group]:
    parts = _named(reading, node, found.line_of("groups"), path, GROUP)
    return [Group(GroupSpec(**{"name": name, "tasks": [], **at.values}), at) for name, at in parts]


def _schedules(reading: Reading, node: Node, path: str, found: Section) -> list[Schedule]:
    parts = _named(reading, node, found.line_of("schedules"), path, SCHEDULE)
    return [Schedule(ScheduleSpec(**{"name": name, "cron": "", **at.values}), at) for name, at in parts]


_PARTS: dict[str, Field] = {"tasks": _tasks, "flows": _flows, "groups": _groups, "schedules": _schedules}
"""Sections that any file may have; each is a list of the Draft."""


def _named(reading: Reading, node: Node, line: int, path: str, fields: dict[str, Field]) -> list[tuple[str, Section]]:
    """The parts of a section whose keys are names; a name is kept in NFC."""
    return [
        (kept(key.text), section(reading, value, key.line, below(path, key.text), fields))
        for key, value in entries(reading, node, line, path)
    ]  # fmt: skip


# The result ----------------------------------------------------------------------------------------------------------------------------------------


def _config(draft: Draft, path: str) -> Config:
    """The checked draft as a Config; flows, groups and schedules name their tasks as the tasks name themselves."""
    own = {name: task.spec.name for name, task in known_tasks(draft).items()} | {folded(group.spec.name): group.spec.name for group in draft.groups}

    def named(names: Iterable[str]) -> list[str]:
        return [own.get(folded(name), name) for name in names]

    replace = msgspec.structs.replace
    return Config(
        source=os.path.abspath(path),
        supervisor=draft.supervisor,
        tasks=with_fed_logs(task.spec for task in draft.tasks),
        flows=[replace(flow.spec, producers=named(flow.spec.producers), consumers=named(flow.spec.consumers)) for flow in draft.flows],
        groups=[replace(group.spec, tasks=named(group.spec.tasks)) for group in draft.groups],
        schedules=[
            replace(each.spec, act=named(each.spec.act), trm=named(each.spec.trm), task="".join(named([each.spec.task]))) for each in draft.schedules
        ],
        entries=draft.entries,
    )

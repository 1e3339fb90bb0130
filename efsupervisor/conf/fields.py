"""Which keys each section has, and what each key accepts: the tables between the YAML text and the structs of schema.py.

A field takes one node and returns the value for the struct.  It raises Unfit when the value as a whole is wrong, and adds a finding itself when a
part of it is (a list's item has a line of its own).  A table has exactly the keys of its struct (a test holds them together); what must be true
between keys is in check.py.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from efsupervisor.conf import convert
from efsupervisor.conf.convert import LONGEST_S, Unfit
from efsupervisor.conf.findings import Findings, below
from efsupervisor.conf.names import kept, shown
from efsupervisor.conf.nodes import Mapping as MappingNode
from efsupervisor.conf.nodes import Node, Refused, Scalar, Sequence
from efsupervisor.conf.schema import InputSpec, OutputSpec
from efsupervisor.states import Framing, Kind, Mode, Protocol

LOG_LEVELS = ("debug", "info", "warning", "error")
_KIB, _GIB, _TIB = 1 << 10, 1 << 30, 1 << 40
_MANY = 1_000_000


@dataclass(frozen=True)
class Reading:
    """What every field may need: where findings go, the folder of the file, and the task types that exist."""

    findings: Findings
    folder: str
    types: tuple[str, ...]


@dataclass
class Section:
    """The values of one mapping by key, and the line and path of each key (`to[2]` for an item of a list)."""

    line: int
    path: str
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def line_of(self, key: str) -> int:
        """The line of a key, the section's own when the key was not written."""
        return self.lines.get(key, self.line)


Field = Callable[[Reading, Node, str, Section], Any]


def section(reading: Reading, node: Node, line: int, path: str, fields: Mapping[str, Field]) -> Section:
    """Read one mapping by its table.  A section without a value is an empty one.  What is wrong is left out of `values`."""
    found = Section(line, path)
    for key, value in entries(reading, node, line, path):
        at = below(path, key.text)
        if key.text not in fields:
            reading.findings.unknown(key.line, at, "unknown key", key.text, fields)
            continue
        found.lines[key.text] = key.line
        if isinstance(value, Refused):
            continue
        try:
            found.values[key.text] = fields[key.text](reading, value, at, found)
        except Unfit as reason:
            reading.findings.add(key.line, at, str(reason))
    return found


def entries(reading: Reading, node: Node, line: int, path: str) -> list[tuple[Scalar, Node]]:
    """The entries of a mapping; none, and a finding, when it is something else."""
    if isinstance(node, MappingNode):
        return [(entry.key, entry.value) for entry in node.entries]
    if not (isinstance(node, Refused) or (isinstance(node, Scalar) and node.left_out)):
        reading.findings.add(line, path, f"must be keys with values (key: value), not {_kind_of(node)}")
    return []


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise Unfit(f"must be one value, not {_kind_of(node)}")
    if node.left_out:
        raise Unfit("has no value; write one or leave the key out")
    return node.text


def _kind_of(node: Node) -> str:
    if isinstance(node, Scalar):
        return f'the text "{shown(node.text, 40)}"'
    return "a list" if isinstance(node, Sequence) else "keys with values"


# Fields of one value -------------------------------------------------------------------------------------------------------------------------------


def _one(convert_text: Callable[[str], Any]) -> Field:
    return lambda reading, node, path, found: convert_text(_text(node))


def _size(low: int, high: int) -> Field:
    def converted(text: str) -> int:
        value = convert.size(text)
        convert.between(value, low, high, " bytes")
        return value

    return _one(converted)


def _duration(low: float = 0.0, high: float = LONGEST_S) -> Field:
    def converted(text: str) -> float:
        value = convert.duration(text)
        convert.between(value, low, high, " s")
        return value

    return _one(converted)


def _integer(low: int, high: int) -> Field:
    def converted(text: str) -> int:
        value = convert.integer(text)
        convert.between(value, low, high)
        return value

    return _one(converted)


def _choice(*words: str) -> Field:
    return _one(lambda text: convert.choice(text, words))


def _type(reading: Reading, node: Node, path: str, found: Section) -> str:
    return convert.choice(_text(node), reading.types)


def _autorestart(text: str) -> str:
    if text == "unexpected":
        return text
    try:
        return "true" if convert.boolean(text) else "false"
    except Unfit:
        return convert.choice(text, ("true", "false", "unexpected"))


def _user(text: str) -> str:
    name, colon, group = text.partition(":")
    parts = [name, group] if colon else [name]
    if not all(part and part.isprintable() and not set(part) & set(":/ ") for part in parts):
        raise Unfit(f'"{shown(text, 40)}" is not a user; write a name or number, with :group after it if wanted')
    return text


def path_field(reading: Reading, node: Node, path: str, found: Section) -> str:
    """A folder; a relative one is below the folder of the configuration file."""
    text = _text(node)
    if not text:
        raise Unfit("has no value; write one or leave the key out")
    if text == "~" or text.startswith("~/"):
        raise Unfit("begins with ~, which is not expanded; write the folder in full")
    return os.path.normpath(os.path.join(reading.folder, convert.argument(text)))


# Fields of several values --------------------------------------------------------------------------------------------------------------------------


def _items(reading: Reading, node: Sequence, path: str, found: Section) -> list[tuple[int, str]]:
    """The texts of a list with their numbers; what is no text is a finding at its own line."""
    good: list[tuple[int, str]] = []
    for number, item in enumerate(node.items):
        at = f"{path}[{number}]"
        if isinstance(item, Refused):
            continue
        try:
            good.append((number, _text(item)))
        except Unfit as reason:
            reading.findings.add(item.line, at, str(reason))
    return good


def _command(reading: Reading, node: Node, path: str, found: Section) -> list[str]:
    if isinstance(node, Sequence):
        arguments = [text for _, text in _items(reading, node, path, found)]
        damaged = len(arguments) < len(node.items)
    else:
        arguments, damaged = convert.words(_text(node)), False
    if not damaged and not (arguments and arguments[0]):
        raise Unfit("names no program to run")
    return [convert.argument(each) for each in arguments]


def _names(reading: Reading, node: Node, path: str, found: Section) -> list[str]:
    """Names of tasks, as written: one or a list.  The line of each is kept in the section, as `to[2]`.  One that is no name is "", and reported."""
    if isinstance(node, Scalar):
        if not _text(node):
            raise Unfit("names no task")
        return [kept(node.text)]
    if not isinstance(node, Sequence):
        raise Unfit("must be a task's name or a list of names")
    if not node.items:
        raise Unfit("names no task")
    key = path.rpartition(".")[2]
    found.lines.update({f"{key}[{number}]": item.line for number, item in enumerate(node.items)})
    texts = dict(_items(reading, node, path, found))
    for number, text in texts.items():
        if not text:
            reading.findings.add(node.items[number].line, f"{path}[{number}]", "names no task")
    return [kept(texts.get(number, "")) for number in range(len(node.items))]


def _environment(reading: Reading, node: Node, path: str, found: Section) -> dict[str, str]:
    """Variables exactly as written: `22:22`, `NO` and `0644` stay these texts, and nothing is the empty text."""
    variables: dict[str, str] = {}
    for key, value in entries(reading, node, found.line_of("environment"), path):
        at = below(path, key.text)
        try:
            variables[_variable(key.text)] = convert.argument(_environment_value(value))
        except Unfit as reason:
            reading.findings.add(key.line, at, str(reason))
    return variables


def _variable(name: str) -> str:
    if not name or "=" in name:
        raise Unfit("a variable's name may not be empty or contain =")
    return name


def _environment_value(node: Node) -> str:
    if isinstance(node, Scalar):
        return node.text
    return "" if isinstance(node, Refused) else _text(node)


def _exitcodes(reading: Reading, node: Node, path: str, found: Section) -> tuple[int, ...]:
    texts = [text for _, text in _items(reading, node, path, found)] if isinstance(node, Sequence) else [_text(node)]
    codes = tuple(convert.integer(text) for text in texts)
    for code in codes:
        convert.between(code, 0, 255)
    return codes


def _framing(text: str) -> Framing:
    return Framing[convert.choice(text, [each.name.lower() for each in Framing]).upper()]


def _input(reading: Reading, node: Node, path: str, found: Section) -> InputSpec:
    return InputSpec(**section(reading, node, found.line_of("input"), path, INPUT).values)


def _output(reading: Reading, node: Node, path: str, found: Section) -> OutputSpec:
    return OutputSpec(**section(reading, node, found.line_of("output"), path, OUTPUT).values)


# The tables ----------------------------------------------------------------------------------------------------------------------------------------

INPUT: dict[str, Field] = {
    "protocol": _one(lambda text: Protocol(convert.choice(text, list(Protocol)))),
    "window": _integer(1, 1024),
    "ack": _choice("either", "empty", "echo"),
    "max_deliveries": _integer(0, _MANY),
    "on_poison": _choice("dead-letter", "drop", "stop"),
    "max_event": _size(1, _GIB),
    "stdin": _choice("eof", "open"),
    "framing": _one(_framing),
}

OUTPUT: dict[str, Field] = {
    "segment_bytes": _size(_KIB, _TIB),
    "keep_bytes": _size(0, 1 << 60),
    "keep_age_s": _duration(),
    "hard_bytes": _size(0, 1 << 60),
    "sync": _choice("never", "interval", "always"),
}

TASK: dict[str, Field] = {
    "command": _command,
    "type": _type,
    "kind": _one(lambda text: Kind(convert.choice(text, list(Kind)))),
    "directory": path_field,
    "user": _one(_user),
    "umask": _one(convert.octal),
    "environment": _environment,
    "autostart": _one(convert.boolean),
    "autorestart": _one(_autorestart),
    "exitcodes": _exitcodes,
    "startsecs": _duration(),
    "startretries": _integer(0, _MANY),
    "backoff_s": _duration(0.001),
    "backoff_max_s": _duration(0.001),
    "restart_burst": _integer(1, _MANY),
    "restart_period_s": _duration(0.001),
    "stopsignal": _one(convert.signal_name),
    "stopwaitsecs": _duration(),
    "priority": _integer(-(1 << 31), (1 << 31) - 1),
    "redirect_stderr": _one(convert.boolean),
    "drain_s": _duration(),
    "input": _input,
    "output": _output,
}

FLOW: dict[str, Field] = {
    "from": _names,
    "to": _names,
    "mode": _one(lambda text: Mode(convert.choice(text, list(Mode)))),
    "start": _choice("end", "begin"),
    "max_lag": _size(1, 1 << 60),
    "overflow": _choice("block", "drop-oldest"),
    "on_consumers_done": _choice("stop", "continue"),
}

SUPERVISOR: dict[str, Field] = {
    "var": path_field,
    "log_level": _choice(*LOG_LEVELS),
    "log_max_bytes": _size(0, _TIB),
    "log_backups": _integer(0, 1000),
    "ping_s": _duration(0.1),
    "ping_deadline_s": _duration(0.1),
    "shutdown_s": _duration(),
}

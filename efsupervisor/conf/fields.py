"""What a key may accept: the fields of which tables.py makes its tables, and how a mapping is read by such a table.

A field takes one node and returns the value for the struct.  It raises Unfit when the value as a whole is wrong, and adds a finding itself when a
part of it is (a list's item has a line of its own).  Variables of the environment are replaced before a field sees its value, but in names.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from efsupervisor.conf import convert
from efsupervisor.conf.convert import LONGEST_S, Unfit
from efsupervisor.conf.expand import Expansion, expanded
from efsupervisor.conf.findings import Findings, below
from efsupervisor.conf.names import kept, shown
from efsupervisor.conf.tree import Mapping as MappingNode
from efsupervisor.conf.tree import Node, Refused, Scalar, Sequence


@dataclass(frozen=True)
class Reading:
    """What every field may need: where findings go, the folder of the file ("" for no file), the task types that exist, and the environment.

    refused: task types that were found but cannot be used, each with a sentence that says why."""

    findings: Findings
    folder: str
    types: tuple[str, ...] = ()
    expansion: Expansion = field(default_factory=lambda: Expansion({}))
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Section:
    """The values of one mapping by key, and the line and path of each key (`to[2]` for an item of a list, `web.port` for a key of a part)."""

    findings: Findings
    line: int
    path: str
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def line_of(self, key: str) -> int:
        """The line of a key; of the part it is in, or of the section, when it was not written."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines.get(key, self.line)

    def add(self, key: str, sentence: str) -> None:
        """A finding about a key; about the section itself with the empty key."""
        self.findings.add(self.line_of(key), f"{self.path}.{key}" if key else self.path, sentence)


Field = Callable[[Reading, Node, str, Section], Any]


def _raw(field: Field) -> Field:
    """A field that sees its value as it was written: names, in which nothing is replaced, and commands, which replace variables word by word."""
    field.takes_raw = True  # type: ignore[attr-defined]
    return field


def section(reading: Reading, node: Node, line: int, path: str, fields: Mapping[str, Field]) -> Section:
    """Read one mapping by its table.  A section without a value is an empty one.  What is wrong is left out of `values`."""
    found = Section(reading.findings, line, path)
    for key, value in entries(reading, node, line, path):
        at = below(path, key.text)
        if key.text not in fields:
            reading.findings.unknown(key.line, at, "unknown key", key.text, fields)
            continue
        found.lines[key.text] = key.line
        if not getattr(fields[key.text], "takes_raw", False):
            value = _expanded(reading, value, at)
        if isinstance(value, Refused):
            continue
        try:
            found.values[key.text] = fields[key.text](reading, value, at, found)
        except Unfit as reason:
            reading.findings.add(key.line, at, str(reason))
    return found


def _expanded(reading: Reading, node: Node, path: str) -> Node:
    def wrong(line: int, number: int | None, reason: str) -> None:
        reading.findings.add(line, path if number is None else f"{path}[{number}]", reason)

    return expanded(node, reading.expansion, wrong)


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


def one(convert_text: Callable[[str], Any]) -> Field:
    """A field of one text."""
    return lambda reading, node, path, found: convert_text(_text(node))


def size(low: int, high: int) -> Field:
    """A size between two, in bytes."""

    def converted(text: str) -> int:
        value = convert.size(text)
        convert.between(value, low, high, " bytes")
        return value

    return one(converted)


def duration(low: float = 0.0, high: float = LONGEST_S) -> Field:
    """A duration between two, in seconds."""

    def converted(text: str) -> float:
        value = convert.duration(text)
        convert.between(value, low, high, " s")
        return value

    return one(converted)


def integer(low: int, high: int) -> Field:
    """A whole number between two."""

    def converted(text: str) -> int:
        value = convert.integer(text)
        convert.between(value, low, high)
        return value

    return one(converted)


def choice(*words: str) -> Field:
    """One of a few words."""
    return one(lambda text: convert.choice(text, words))


def task_type(reading: Reading, node: Node, path: str, found: Section) -> str:
    """A task type that exists and can be used."""
    name = _text(node)
    if name in reading.refused:
        raise convert.Unfit(reading.refused[name])
    return convert.choice(name, reading.types)


def autorestart(text: str) -> str:
    """A boolean or `unexpected`, as text."""
    if text == "unexpected":
        return text
    try:
        return "true" if convert.boolean(text) else "false"
    except Unfit:
        return convert.choice(text, ("true", "false", "unexpected"))


def user(text: str) -> str:
    """A user's name or number, with `:group`; whether they exist is the machine's to say, at the start."""
    name, colon, group = text.partition(":")
    parts = [name, group] if colon else [name]
    if not all(part and part.isprintable() and not set(part) & set(":/ ") for part in parts):
        raise Unfit(f'"{shown(text, 40)}" is not a user; write a name or number, with :group after it if wanted')
    return text


def path_field(reading: Reading, node: Node, path: str, found: Section) -> str:
    """A file or folder; a relative one is below the folder of the configuration file."""
    text = _text(node)
    if not text:
        raise Unfit("has no value; write one or leave the key out")
    if text == "~" or text.startswith("~/"):
        raise Unfit("begins with ~, which is not expanded; write the folder in full")
    if not reading.folder and not os.path.isabs(text):
        raise Unfit("is relative, and there is no file here that it could be relative to; write the path in full")
    return os.path.normpath(os.path.join(reading.folder, convert.argument(text)))


def log_file(reading: Reading, node: Node, path: str, found: Section) -> str:
    """Where a log is found: a path, or a word: `auto` for the task's own journal, `none` for a little of it, `syslog`."""
    word = _LOG_WORDS.get(_text(node).lower(), "")
    return word or path_field(reading, node, path, found)


_LOG_WORDS = {"none": "none", "off": "none", "auto": "auto", "syslog": "syslog"}


def process_pattern(text: str) -> str:
    """The name of each instance, with `%(program_name)s` and `%(process_num)d` in it."""
    try:
        instance_name(text, "x", 0)
    except (KeyError, ValueError, TypeError) as error:
        raise Unfit(f'"{shown(text, 40)}" may have %(program_name)s and %(process_num)d, as in %(program_name)s-%(process_num)02d') from error
    return text


def instance_name(pattern: str, program: str, number: int) -> str:
    """The name of one instance."""
    if _WIDE.search(pattern):
        raise ValueError(pattern)
    return pattern % {"program_name": program, "process_num": number}


_WIDE = re.compile(r"\)[^a-zA-Z%]*[0-9]{3}|\*")
"""A width of hundreds of digits is a slip, or a way to fill the memory."""


# Fields of several values --------------------------------------------------------------------------------------------------------------------------


def items(reading: Reading, node: Sequence, path: str, found: Section) -> list[tuple[int, str]]:
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


@_raw
def command(reading: Reading, node: Node, path: str, found: Section) -> list[str]:
    """The argument list of a program, from a list or from a text that is split as a shell does."""
    if isinstance(node, Sequence):
        listed = _expanded(reading, node, path)
        arguments = [text for _, text in items(reading, listed, path, found)] if isinstance(listed, Sequence) else []
        damaged = len(arguments) < len(node.items)
    else:
        arguments, damaged = reading.expansion.words(_text(node), convert.words), False
    if not damaged and not (arguments and arguments[0]):
        raise Unfit("names no program to run")
    return [convert.argument(each) for each in arguments]


@_raw
def names(reading: Reading, node: Node, path: str, found: Section) -> list[str]:
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
    texts = dict(items(reading, node, path, found))
    for number, text in texts.items():
        if not text:
            reading.findings.add(node.items[number].line, f"{path}[{number}]", "names no task")
    return [kept(texts.get(number, "")) for number in range(len(node.items))]


def environment(reading: Reading, node: Node, path: str, found: Section) -> dict[str, str]:
    """Variables exactly as written: `22:22`, `NO` and `0644` stay these texts, and nothing is the empty text."""
    variables: dict[str, str] = {}
    for key, value in entries(reading, node, found.line_of("environment"), path):
        at = below(path, key.text)
        try:
            variables[_variable(key.text)] = convert.argument(_environment_value(_expanded(reading, value, at)))
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


def exitcodes(reading: Reading, node: Node, path: str, found: Section) -> tuple[int, ...]:
    """One exit status or a list of them."""
    texts = [text for _, text in items(reading, node, path, found)] if isinstance(node, Sequence) else [_text(node)]
    codes = tuple(convert.integer(text) for text in texts)
    for code in codes:
        convert.between(code, 0, 255)
    return codes


def texts(convert_text: Callable[[str], str]) -> Field:
    """One text or a list of texts, perhaps an empty one, each by itself."""

    def listed(reading: Reading, node: Node, path: str, found: Section) -> list[str]:
        written = items(reading, node, path, found) if isinstance(node, Sequence) else [(None, _text(node))]
        good: list[str] = []
        for number, text in written:
            try:
                good.append(convert_text(text))
            except Unfit as reason:
                if number is None or not isinstance(node, Sequence):
                    raise
                reading.findings.add(node.items[number].line, f"{path}[{number}]", str(reason))
        return good

    return listed


@_raw
def one_name(reading: Reading, node: Node, path: str, found: Section) -> str:
    """One name, as written."""
    text = _text(node)
    if not text:
        raise Unfit("names nothing")
    return kept(text)


@_raw
def name_tuple(reading: Reading, node: Node, path: str, found: Section) -> tuple[str, ...]:
    """As names, for a struct that wants a tuple."""
    return tuple(names(reading, node, path, found))


def part(struct: type[msgspec.Struct], fields: Mapping[str, Field]) -> Field:
    """A mapping that is a struct of its own; its keys' lines are kept in the section around it, as `web.port`."""

    def read(reading: Reading, node: Node, path: str, found: Section) -> msgspec.Struct:
        key = path.rpartition(".")[2]
        inner = section(reading, node, found.line_of(key), path, fields)
        found.lines.update({f"{key}.{each}": line for each, line in inner.lines.items()})
        return struct(**inner.values)

    return read

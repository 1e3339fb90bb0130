"""From the bytes of a YAML file to a small tree that knows the line of everything in it.  The only module that knows PyYAML.

The tree is composed from the parser events of PyYAML's pure-Python SafeLoader; its composer, resolver and constructor are never used, because that
is where YAML is dangerous: an alias repeats a whole subtree for three bytes (442 bytes make a tree that no computer can print), a merge key makes
the constructor quadratic and worse, a tag names code, and the resolver turns `22:22` into 1342.  The C loader crashes on 100,000 brackets.  Here a
node is a scalar (its text, exactly), a sequence or a mapping, each as often as it was written, and there are limits on bytes, depth and number.
Time is linear in the file's size: the parser hands out one event at a time, so a bomb is refused at its 33rd bracket and the rest is never scanned.

What is refused goes to `findings` and the reading goes on, where it can: aliases, anchors, tags, merge keys, duplicate keys (the first one counts),
keys that are not plain words, and text that cannot be an argument or a path.  Lines are those of an editor: characters that only YAML takes as line
breaks are refused, and so are those that make an editor show text in another order than it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

import yaml

from efsupervisor.conf.findings import Findings, below
from efsupervisor.conf.names import described, shown
from efsupervisor.conf.tree import Entry, Mapping, Node, Refused, Scalar, Sequence

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000

_UNFIT = re.compile(
    "[^\t\n\r -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # controls, NEL; as YAML 1.1 has it
    "|\r(?!\n)|[\u2028\u2029]"  # line breaks to YAML, but not to an editor
    "|[\u202a-\u202e\u2066-\u2069]"  # shown in another order than written
    "|(?<!^)\ufeff"
)
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
"""What an escape can put into a value though no argument, variable or path can hold it."""


class Composition(NamedTuple):
    """root: the tree, None for none.  whole: false when the reading broke off; then root holds the entries that were complete before."""

    root: Node | None
    whole: bool


class _Mark(Protocol):
    line: int


class _BrokenOff(Exception):
    def __init__(self, line: int, path: str, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.path = path


def compose(data: bytes, findings: Findings) -> Composition:
    """The tree of one YAML document.  Never raises for anything that a file may hold: what is wrong is in `findings`, and then at least one is."""
    text = _text(data, findings)
    if text is None:
        return Composition(None, False)
    composer = _Composer(text, findings)
    try:
        return Composition(composer.document(), True)
    except _BrokenOff as stop:
        findings.add(stop.line, stop.path, str(stop))
    except yaml.MarkedYAMLError as error:
        findings.add(_line(error.problem_mark), "", f"cannot be read as YAML: {_words(error)}")
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML lets chr() and int() speak for themselves on escapes such as "\UFFFFFFFF"
        findings.add(composer.line, "", f"cannot be read as YAML: {shown(str(error), 200)}")
    except RecursionError:
        findings.add(composer.line, "", "is nested too deeply to be read here")
    return Composition(Mapping(1, composer.top), False)


def _text(data: bytes, findings: Findings) -> str | None:
    if len(data) > MAX_BYTES:
        findings.add(0, "", f"is larger than a configuration may be ({MAX_BYTES:,} bytes)")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        findings.add(data.count(b"\n", 0, error.start) + 1, "", f"is not UTF-8: byte 0x{data[error.start]:02x}")
        return None
    if unfit := _UNFIT.search(text):
        line = text.count("\n", 0, unfit.start()) + 1
        reason = f"contains {described(unfit[0])}, which is not shown as what it is"
        findings.add(line, "", f"{reason}; leave it out or write it as an escape in double quotes")
        return None
    return text


def _line(mark: _Mark | None) -> int:
    return mark.line + 1 if mark is not None else 0


def _words(error: yaml.MarkedYAMLError) -> str:
    begun = f" (begun in line {_line(error.context_mark)})" if error.context_mark is not None else ""
    return shown(f"{error.context}{begun}, {error.problem}" if error.context else f"{error.problem}", 200)


class _Composer:
    """One reading.  top: complete entries of the outermost mapping so far; line: how far the scanner is."""

    def __init__(self, text: str, findings: Findings) -> None:
        self._loader = yaml.SafeLoader(text)
        self._take: Callable[[], yaml.Event] = self._loader.get_event
        self._findings = findings
        self._nodes = 0
        self.top: list[Entry] = []

    @property
    def line(self) -> int:
        return int(self._loader.line) + 1

    def document(self) -> Node:
        """The one document of the stream."""
        self._next()  # stream start
        if isinstance(self._next(), yaml.StreamEndEvent):  # or document start
            raise _BrokenOff(0, "", "says nothing: it is empty, or its content was lost")
        root = self._node(self._next(), "", 1)
        self._next()  # document end
        following = self._next()
        if not isinstance(following, yaml.StreamEndEvent):
            raise _BrokenOff(_line(following.start_mark), "", "a second document begins here; a configuration is one document")
        return root

    def _next(self) -> yaml.Event:
        return self._take()

    def _node(self, event: yaml.Event, path: str, depth: int) -> Node:
        line = _line(event.start_mark)
        self._within_limits(line, path, depth)
        if isinstance(event, yaml.AliasEvent):
            self._findings.add(line, path, f"aliases (*{shown(str(event.anchor))}) are not allowed; write the value out")
            return Refused(line)
        self._refuse_properties(event, line, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(line, path, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(line, path, depth)
        assert isinstance(event, yaml.ScalarEvent), event
        return self._scalar(event, line, path)

    def _within_limits(self, line: int, path: str, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise _BrokenOff(line, path, f"is nested deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            raise _BrokenOff(line, path, f"a configuration has at most {MAX_NODES:,} keys and values; this is one more")

    def _refuse_properties(self, event: yaml.Event, line: int, path: str) -> None:
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            self._findings.add(line, path, f"anchors (&{shown(anchor)}) are not allowed")
        if tag is not None:
            self._findings.add(line, path, f"tags ({shown(tag)}) are not allowed; each key has its own type")

    def _scalar(self, event: yaml.ScalarEvent, line: int, path: str) -> Node:
        if unwritable := _UNWRITABLE.search(event.value):
            self._findings.add(line, path, f"may not contain U+{ord(unwritable[0]):04X}, which no argument, variable or path can hold")
            return Refused(line)
        return Scalar(line, event.value, event.style is None)

    def _sequence(self, line: int, path: str, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, f"{path}[{len(items)}]", depth + 1))
        return Sequence(line, items)

    def _mapping(self, line: int, path: str, depth: int) -> Node:
        entries = self.top if depth == 1 else []
        seen: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            entry = self._entry(event, path, depth + 1, seen)
            if entry is not None:
                entries.append(entry)
        return Mapping(line, entries)

    def _entry(self, event: yaml.Event, path: str, depth: int, seen: dict[str, int]) -> Entry | None:
        key = self._node(event, path, depth)
        at = below(path, key.text) if isinstance(key, Scalar) else path
        value = self._node(self._next(), at, depth)
        if isinstance(key, Sequence | Mapping):
            self._findings.add(key.line, path, "a key must be a single word, not a list or a mapping")
        return Entry(key, value) if isinstance(key, Scalar) and self._is_new(key, at, seen) else None

    def _is_new(self, key: Scalar, at: str, seen: dict[str, int]) -> bool:
        if key.plain and key.text == "<<":
            self._findings.add(key.line, at, "merge keys are not allowed; write the values out")
            return False
        if key.text in seen:
            self._findings.add(key.line, at, f"is said twice; the first time in line {seen[key.text]}")
            return False
        seen[key.text] = key.line
        return True

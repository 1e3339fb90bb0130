"""The rules of the house that a parser can check, for the modules below a package folder: who may import whom, and what must not be written.

Findings are sentences `module:line: what`; an empty list is a clean house.  Nothing here imports what it checks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = "efsupervisor"

VOCABULARY = frozenset({"errors", "states", "conf.schema", "messages"})
MACHINE = frozenset({"system", "reactor", "channel", "log"})
SIBLING = VOCABULARY | MACHINE | {"conf", "journal", "task", "core", "interface", "help"}
"""What a sibling that answers people may import; the Core itself must not know verbs."""

MAY_IMPORT: dict[str, frozenset[str]] = {
    "": frozenset(),
    "errors": frozenset(),
    "states": frozenset(),
    "conf.schema": frozenset({"errors", "states"}),
    "messages": frozenset({"errors", "states", "conf.schema"}),
    "system": frozenset({"errors"}),
    "reactor": frozenset({"errors", "system"}),
    "channel": frozenset({"errors", "messages", "system", "reactor"}),
    "log": frozenset({"errors", "states", "system"}),
    "conf": VOCABULARY | {"system"},
    "journal": VOCABULARY | {"system"},
    "task": VOCABULARY | MACHINE | {"conf", "journal"},
    "passing": VOCABULARY | {"system", "journal", "task"},
    "listener": VOCABULARY | MACHINE | {"journal", "task"},
    "core": VOCABULARY | MACHINE | {"conf", "journal", "task"},
    "interface": VOCABULARY | {"system", "conf", "journal", "passing"},
    "help": VOCABULARY | {"system", "conf", "interface"},
    "core.middle": SIBLING,
    "core.middle_interface": SIBLING | {"core.middle"},
    "core.web": SIBLING,
    "cli": VOCABULARY | {"system", "channel", "conf", "journal", "interface", "help"},
}
"""Room -> rooms it may import (its own always).  A room is a module or a folder; the longest name that fits counts.  A new room must be put here."""


class Module(NamedTuple):
    """One parsed file.  name is relative to the package: `task.spawn`, or "" for the package itself."""

    name: str
    tree: ast.Module
    lines: list[str]
    is_package: bool


def modules(folder: Path) -> list[Module]:
    """Every module below a package's folder."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = list(path.relative_to(folder).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        text = path.read_text(encoding="utf-8")
        found.append(Module(".".join(parts[:-1] if is_package else parts), ast.parse(text, str(path)), text.splitlines(), is_package))
    return found


def room_of(name: str, rooms: dict[str, frozenset[str]]) -> str | None:
    """The room of a module; None when nobody said where it belongs."""
    if not name:
        return ""
    parts = name.split(".")
    return next((room for room in (".".join(parts[:end]) for end in range(len(parts), 0, -1)) if room in rooms), None)


class Import(NamedTuple):
    """One import of one of our modules.  late: inside a function; typing: only under TYPE_CHECKING."""

    line: int
    target: str
    late: bool
    typing: bool


def imports(module: Module, known: set[str]) -> list[Import]:
    """What a module imports of ours, by the most exact name that is a module."""
    found = []
    for node, late, typing in _import_nodes(module.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name == PACKAGE or name.startswith(PACKAGE + "."):
                target = name[len(PACKAGE) + 1 :]
                exact = target if target in known else target.rpartition(".")[0]
                found.append(Import(node.lineno, exact, late, typing))
    return found


def _import_nodes(tree: ast.AST, late: bool = False, typing: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, late, typing
        else:
            inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            checking = typing or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
            yield from _import_nodes(node, inside, checking)


# The rules ----------------------------------------------------------------------------------------------------------------------------------------


def wrong_way(house: list[Module], rooms: dict[str, frozenset[str]]) -> list[str]:
    """Imports against the direction, and rooms that nobody gave a place."""
    known = {module.name for module in house}
    findings = []
    for module in house:
        room = room_of(module.name, rooms)
        if room is None:
            findings.append(f"{module.name}: no rule says what this room may import")
            continue
        for each in imports(module, known):
            target = room_of(each.target, rooms)
            if target not in rooms[room] and target not in (room, ""):
                findings.append(f"{module.name}:{each.line}: {room} must not import {each.target}")
    return findings


def circles(house: list[Module]) -> list[str]:
    """Modules that import each other in a circle, late imports included (those for type checking only are none)."""
    known = {module.name for module in house}
    graph = {module.name: {each.target for each in imports(module, known) if not each.typing} - {module.name} for module in house}
    findings, done = [], set[str]()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            findings.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return findings


def badly_written(module: Module) -> list[str]:
    """What the house style forbids in any module of the product."""
    findings = []
    if module.tree.body and not ast.get_docstring(module.tree):
        findings.append("a module begins with what it owns and what it must never do")
    for node, late, _ in _import_nodes(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            findings.append(f"{node.lineno}: a relative import")
        if late and "#" not in module.lines[node.lineno - 1] and "#" not in module.lines[node.lineno - 2]:
            findings.append(f"{node.lineno}: a late import without a comment that says why")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            findings.append(f"{node.lineno}: a bare except")
        if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
            findings.append(f"{node.lineno}: an error is passed over in silence")
        if isinstance(node, ast.Attribute) and node.attr == "sleep" and isinstance(node.value, ast.Name) and node.value.id == "time":
            findings.append(f"{node.lineno}: time.sleep")
        if isinstance(node, ast.Import | ast.ImportFrom) and "pickle" in {alias.name for alias in node.names} | {getattr(node, "module", "")}:
            findings.append(f"{node.lineno}: pickle")
    return [f"{module.name}:{finding}" for finding in findings]

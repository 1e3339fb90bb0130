"""docs/lifecycle.rst, made from the life-cycle table.

Run as a script it writes the page anew: python -m tests.contract.lifecycle_page
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from efsupervisor.task import lifecycle
from efsupervisor.task.lifecycle import TABLE, Event, Phase, Step, shown

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.rst"

HEAD = """\
The life-cycle of a task
========================

Made from ``efsupervisor/task/lifecycle.py`` by ``python -m tests.contract.lifecycle_page``; a test says when it is stale.

A worker has a *phase*, and what happens to it is an *event*; the table says the phase that follows and what the worker does, in order.  A pair that
is not listed changes nothing: a wish that is fulfilled already, or an event that came too late.  The state in brackets is what ``efctl status``
shows.

"""


def meanings() -> dict[str, str]:
    """What each phase is, from the module's own text."""
    text = inspect.getdoc(lifecycle) or ""
    return dict(re.findall(r"^ {4}([A-Z]+) +(\S.*)$", text, re.MULTILINE))


def event_docs() -> dict[str, str]:
    """The sentence below each event in the source."""
    body = next(node for node in ast.parse(inspect.getsource(lifecycle)).body if isinstance(node, ast.ClassDef) and node.name == "Event").body
    docs, name = {}, ""
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            docs[name] = str(node.value.value)
    return docs


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join([*_events(), *_diagram(), *_phases()])


def _events() -> Iterator[str]:
    yield from _heading("Events")
    for event in Event:
        yield f"``{event.name}``"
        yield "   " + event_docs()[event.name].replace("`", "``")
        yield ""


def _diagram() -> Iterator[str]:
    yield from _heading("The table at a glance")
    yield "Rows are events, columns phases; a cell names the phase that follows."
    yield ""
    phases = [phase for phase in Phase if TABLE[phase]]
    names = [len(phase.name) for phase in Phase]
    first, width = max(len(event.name) for event in Event), max(names)
    rule = " ".join(["=" * first, *["=" * width for _ in phases]])
    yield rule
    yield " ".join(["event".ljust(first), *[phase.name.ljust(width) for phase in phases]]).rstrip()
    yield rule
    for event in Event:
        cells = [_short(TABLE[phase].get(event)).ljust(width) for phase in phases]
        yield " ".join([event.name.ljust(first), *cells]).rstrip()
    yield rule
    yield ""


def _short(found: Step | None) -> str:
    return "\\-" if found is None else found.phase.name


def _phases() -> Iterator[str]:
    yield from _heading("Phases")
    for phase in Phase:
        state = "STOPPED, EXITED or FATAL" if phase is Phase.REST else shown(phase).value
        yield f"{phase.name} [{state}]"
        yield f"   {meanings()[phase.name]}."
        yield ""
        for event, then in TABLE[phase].items():
            doing = ", ".join(effect.name for effect in then.effects)
            yield f"   - ``{event.name}`` leads to {then.phase.name}" + (f": {doing}" if doing else "")
        yield ""


def _heading(text: str) -> list[str]:
    return [text, "-" * len(text), ""]


if __name__ == "__main__":
    PAGE.write_text(page().rstrip("\n") + "\n", encoding="utf-8")

"""The key `depends_on`: a name, a list of names, or names with conditions."""

from __future__ import annotations

from efsupervisor.conf import convert
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.depend import CONDITIONS, READY
from efsupervisor.conf.fields import Reading, Section, entries, names
from efsupervisor.conf.findings import below
from efsupervisor.conf.names import kept
from efsupervisor.conf.tree import Mapping, Node, Scalar


def depends_on(reading: Reading, node: Node, path: str, found: Section) -> dict[str, str]:
    """Conditions by name; what says no condition waits until it is ready.  The line of each name is kept in the section, as `depends_on.db`."""
    if not isinstance(node, Mapping):
        listed = [name for name in names(reading, node, path, found) if name]
        lines = {name: found.line_of(f"depends_on[{number}]") for number, name in enumerate(listed)}
        found.lines.update({f"depends_on.{name}": line for name, line in lines.items()})
        return dict.fromkeys(listed, READY)
    conditions: dict[str, str] = {}
    for key, value in entries(reading, node, found.line_of("depends_on"), path):
        found.lines[f"depends_on.{kept(key.text)}"] = key.line
        try:
            conditions[kept(key.text)] = convert.choice(value.text if isinstance(value, Scalar) else "", CONDITIONS)
        except Unfit as reason:
            reading.findings.add(key.line, below(path, key.text), str(reason))
    return conditions


depends_on.takes_raw = True  # type: ignore[attr-defined]

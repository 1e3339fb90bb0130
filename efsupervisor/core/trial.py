"""`efsupervisord --check`: whether this program could supervise with this configuration, found out without touching anything that runs.

It is what an upgrade asks the installed version before the running one gives way (core/upgrade.py), and what a person may ask before a restart.
"""

from __future__ import annotations

import importlib

import msgspec

from efsupervisor.conf.schema import Config
from efsupervisor.core import store_schema
from efsupervisor.messages import PROTOCOL
from efsupervisor.task import task_type


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The one line that is printed, as JSON.  var: the state folder that would be used.  protocol: what it says to workers.  state: the newest
    version of the state file that it reads.  takes_over: it understands a handover."""

    version: str
    var: str = ""
    tasks: int = 0
    protocol: int = 0
    state: int = 0
    takes_over: bool = False


def examined(config: Config, version: str, var: str) -> Finding:
    """The finding.  EfError or ImportError for what would end a start, or a sibling."""
    from efsupervisor.core.service_host import SIBLINGS  # late on purpose: it brings ZeroMQ, and the Core knows this module

    for spec in config.tasks:
        task_type(spec.type)
    for entry in SIBLINGS.values():
        importlib.import_module(entry.partition(":")[0])
    return Finding(version=version, var=var, tasks=len(config.tasks), protocol=PROTOCOL, state=store_schema.VERSION, takes_over=True)


def objection(finding: Finding, mine: Finding) -> str:
    """Why the program that found this cannot take the place of the one that found `mine`; empty when it can."""
    if not finding.takes_over:
        return f"efsupervisord {finding.version} cannot take over from a running one: stop this one and start it"
    if finding.var != mine.var:
        return f"the configuration now names another state folder ({finding.var} in place of {mine.var}): what runs would not be found there"
    if finding.protocol != mine.protocol:
        return f"efsupervisord {finding.version} speaks protocol {finding.protocol} and the workers that run speak {mine.protocol}"
    if finding.state < mine.state:
        return f"efsupervisord {finding.version} is older and cannot read the saved state (version {mine.state}, it reads {finding.state})"
    return ""

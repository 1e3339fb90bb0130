"""From `key=value` pairs to the specs of tasks and flows, by the tables of the configuration file itself: what a key accepts is declared there once.

A dot leads below a section: `input.window=8`.  The first use of a key below `input` makes the section.  What is wrong is one ConfigError with a
sentence for each finding.
"""

from __future__ import annotations

from efsupervisor.conf.schema import FlowSpec, TaskSpec


def task_spec(name: str, settings: dict[str, str], program: list[str], base: TaskSpec | None = None, unset: list[str] | None = None) -> TaskSpec:
    """The spec of a task: `base` (or the defaults) without what is unset, with these settings."""
    raise NotImplementedError


def flow_spec(name: str, producers: list[str], consumers: list[str], settings: dict[str, str]) -> FlowSpec:
    """The spec of a flow."""
    raise NotImplementedError

"""The middle layer of EventFlow: every verb, one file for each noun, declared once (see efsupervisor.interface.verb).

VERBS is the table that the console grammar, `efctl`, the HTTP API and the help are made from.  A verb never touches a process or the state file: it
asks the Core, a collector or a journal through its House.
"""

from __future__ import annotations

from efsupervisor.interface import conf, daemon, dlq, flow, group, help, instance, queue, recovery, resource, result, schedule, stdin, task, tree, why
from efsupervisor.interface.verb import Verb

NOUNS = (task, instance, why, tree, flow, group, schedule, stdin, queue, dlq, conf, resource, result, recovery, daemon, help)

VERBS: dict[str, type[Verb]] = {verb.name: verb for noun in NOUNS for verb in noun.VERBS}
"""Name of a verb -> its declaration."""

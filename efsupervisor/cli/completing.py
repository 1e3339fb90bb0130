"""What could be meant by half a word: tasks and groups of the supervisor that runs, keys, nouns.

Pressing Tab must never disturb: the Core is given WAIT_S, and whatever goes wrong means that nothing is offered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from efsupervisor.cli.client import Client
from efsupervisor.cli.where import Where, place
from efsupervisor.errors import EfError
from efsupervisor.messages import GroupsReply, GroupsRequest

if TYPE_CHECKING:
    import click

    from efsupervisor.interface.verb import Verb

WAIT_S = 0.3
ALL = "all"
_TASKS = frozenset({"names", "task", "producers", "consumers", "tasks", "act", "trm"})
_OTHER_NAMES = frozenset({"flow.del", "flow.show", "schedule.del", "schedule.show"})


def names_of(client: Client) -> list[str]:
    """Every task and group, and `all`; nothing when the Core does not answer at once."""
    try:
        names = [row.name for row in client.status([])]
    except EfError:
        return []
    try:
        groups = [row.name for reply in client.ask(GroupsRequest(id=client.next_id())) if isinstance(reply, GroupsReply) for row in reply.rows]
    except EfError:
        groups = []
    return [*names, *groups, ALL]


def fitting(begun: str, names: Iterable[str]) -> list[str]:
    """How a word that was begun, and may be a comma list, could go on."""
    before, comma, last = begun.rpartition(",")
    said = set(before.split(",")) if comma else set()
    return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in said]


class Completer:
    """Completion for click.  names: how the names are found, for a place; tests have their own."""

    def __init__(self, names: Callable[[Where], Sequence[str]] | None = None) -> None:
        self._names = names or live_names

    def names(self, context: click.Context, _parameter: click.Parameter, begun: str) -> list[Any]:
        """Tasks and groups."""
        where = context.find_root().obj or where_of(context.find_root().params)
        return list(fitting(begun, self._names(where)))

    def words(self, verb: type[Verb]) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
        """What fits at the place that the words of a verb's command have come to."""

        def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
            said = [word for word in context.params.get("words") or () if "=" not in word]
            at = min(len(said), len(verb.positional) - 1)
            return self.names(context, parameter, begun) if verb.positional[at] in _TASKS and verb.name not in _OTHER_NAMES else []

        return complete


def where_of(params: dict[str, Any]) -> Where:
    """The supervisor that a half-typed command line means."""
    return Where(socket=params.get("socket") or "", var=params.get("var") or "", conf=params.get("conf") or "")


def live_names(where: Where) -> list[str]:
    """Names from the supervisor that runs."""
    try:
        return names_at(place(where, os.environ).core)
    except EfError:
        return []


def names_at(path: str) -> list[str]:
    """Names from the Core that listens at a path."""
    with Client(path, answer_s=WAIT_S / 2) as client:  # two questions
        return names_of(client)

"""The commands that are made from verbs, by their words; and what efctl adds to some: what is said of an outcome, progress, another name.

A verb becomes a click command the moment it is asked for: an overview needs all of them, a run needs one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import click

from efsupervisor.cli.completing import Completer
from efsupervisor.cli.output import Output
from efsupervisor.cli.progress import STARTED, STOPPED, Watch
from efsupervisor.cli.session import Session, is_endless
from efsupervisor.interface import VERBS
from efsupervisor.interface.verb import Verb
from efsupervisor.messages.call import Answer

ALIASES = {"start": "act", "stop": "trm", "recover": "recovery"}
"""Words that people know from elsewhere."""
NAMES = "Names are tasks, groups or patterns (`web*`), also as comma lists; `all` is every task."
_OWN = frozenset({"task.status", "conf.update", "flow.status", "flow.graph", "queue.live"})
"""Verbs for which efctl has a command of its own making although they name one."""


class Tools(NamedTuple):
    """What a command gets from the invocation it is part of."""

    session: Callable[[], Session]
    output: Callable[[], Output]
    stdin: Callable[[], BinaryIO]


class Manner(NamedTuple):
    """How a verb's command appears.  done: said of an outcome that says nothing.  goal: what its progress counts, empty for none.  none: said when
    the answer has no row.  inputs: its tasks are shown from the side of their input."""

    done: str = "done"
    goal: str = ""
    none: str = ""
    inputs: bool = False


MANNERS: dict[str, Manner] = {
    "act": Manner("started", STARTED),
    "trm": Manner("stopped", STOPPED),
    "restart": Manner("restarted", STARTED),
    "task.scale": Manner("started", STARTED),
    "task.add": Manner("added"),
    "task.set": Manner("changed"),
    "task.del": Manner("removed"),
    "flow.add": Manner("added"),
    "flow.del": Manner("removed"),
    "group.set": Manner("set"),
    "group.del": Manner("removed"),
    "schedule.set": Manner("set"),
    "schedule.del": Manner("removed"),
    "queue.clear": Manner("cleared"),
    "dlq.list": Manner(none="there are no dead letters"),
    "dlq.retry": Manner("put back", none="there are no dead letters"),
    "dlq.drop": Manner("dropped", none="there are no dead letters"),
    "conf.set": Manner("set"),
    "stdin.show": Manner(inputs=True),
    "queue.show": Manner(none="nothing waits: these tasks have no input"),
    "recovery.show": Manner(none="no recovery is under way"),
}
_GROUPS = {
    "flow": "Flows: which task's output is which task's input.",
    "group": "Groups: names that stand for several tasks.",
    "schedule": "Schedules: what happens at certain times.",
    "queue": "Queues: what waits in front of tasks.",
    "dlq": "Dead letters: events that were given up.",
    "conf": "Settings of the supervisor, and its configuration file.",
    "daemon": "The supervisor itself.",
}
_ALSO = {name: alias for alias, name in ALIASES.items()}


def commands() -> dict[tuple[str, ...], type[Verb]]:
    """Words of a command -> its verb."""
    return {tuple(verb.command.split()): verb for verb in VERBS.values() if verb.command and verb.name not in _OWN}


def command_of(words: tuple[str, ...], tools: Tools) -> click.Command | None:
    """The command with these words: a verb's, or a group of those that begin with them."""
    known = commands()
    if words in known:
        return made(known[words], words[-1], tools)
    below = {every[len(words)]: verb for every, verb in known.items() if every[: len(words)] == words}
    if not below:
        return None
    made_below = {name: made(verb, name, tools) for name, verb in below.items()}
    return click.Group(words[-1], commands=made_below, help=_GROUPS.get(words[-1], f"Commands about {words[-1]}."))


def summary_of(word: str) -> str:
    """The first sentence of a command's or a group's help, without making the command."""
    verb = commands().get((word,))
    return _help(verb).partition("\n")[0] if verb is not None else _GROUPS.get(word, f"Commands about {word}.")


def made(verb: type[Verb], word: str, tools: Tools) -> click.Command:
    """A verb's click command."""
    from efsupervisor.cli import generate  # late on purpose: it looks into types, and the overview does not

    slots = generate.slots_of(verb)
    parameters = generate.parameters(verb, slots, Completer())
    parameters.append(click.Option(["--json", "as_json"], is_flag=True, help="One JSON document instead of text."))

    def callback(as_json: bool, **values: Any) -> int:
        wanted = generate.made(verb, generate.fields_of(verb, values, slots), slots, tools.stdin)
        return perform(wanted, tools.session(), tools.output(), as_json=as_json)

    return click.Command(
        word,
        params=parameters,
        callback=callback,
        help=_help(verb),
        epilog=NAMES if "names" in verb.positional and not verb.name.startswith(("flow.", "schedule.", "group.")) else None,
        context_settings={"allow_interspersed_args": False} if verb.verbatim else {},
    )


def _help(verb: type[Verb]) -> str:
    first, newline, rest = explained(verb).partition("\n")
    also = f" (also: {_ALSO[verb.command]})" if verb.command in _ALSO else ""
    return f"{first.rstrip('.')}{also}.{newline}{rest}"


def explained(verb: type[Verb]) -> str:
    """A verb's docstring for click: paragraphs stay paragraphs."""
    return "\n".join(line.strip() for line in (verb.__doc__ or "").strip().splitlines())


def perform(verb: Verb, session: Session, output: Output, *, as_json: bool) -> int:
    """Do it, show how far it is, and what came of it; the exit status."""
    manner = MANNERS.get(verb.name, Manner())
    if not manner.goal or not is_endless(verb):
        return _shown(session.do(verb), manner, output, as_json=as_json)
    watch = Watch(session.place.core, getattr(verb, "names", []), manner.goal, output.progress())
    try:
        answer = session.do(verb, watch)
    finally:
        watch.close()
    return _shown(answer, manner, output, as_json=as_json)


def _shown(answer: Answer, manner: Manner, output: Output, *, as_json: bool) -> int:
    if not as_json and manner.none and not getattr(answer, "rows", True):
        output.write(manner.none + "\n")
        return 0
    if not as_json and manner.inputs:
        from efsupervisor.cli import answers  # late on purpose, as in `output`

        output.write(answers.inputs(answer, output.look))
        return 0
    return output.show(answer, as_json=as_json, done=manner.done)

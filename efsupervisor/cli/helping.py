"""`efctl help [TOPIC]`: a page of the help (efsupervisor.help); of a command that is no verb and has none there, what the command line says of it.

Needs no supervisor.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from efsupervisor import help as pages
from efsupervisor.cli.output import Output
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import Text


def show(topic: Sequence[str], root: click.Group, output: Output, language: str, *, as_json: bool) -> int:
    """Show a page.  EfError NO_SUCH_TASK when nothing is known about the topic."""
    return output.show(Text(text=page(topic, root, language)), as_json=as_json)


def page(topic: Sequence[str], root: click.Group, language: str) -> str:
    """The page about a topic; the overview without one."""
    try:
        return pages.text(" ".join(topic), language)
    except EfError as error:
        own = of_command(topic, root) if error.code is Code.NO_SUCH_TASK else ""
        if not own:
            raise
        return own


def of_command(topic: Sequence[str], root: click.Group) -> str:
    """click's page of a command, empty when there is no such command."""
    context = click.Context(root, info_name="efctl")
    command: click.Command = root
    for word in topic:
        below = command.get_command(context, word) if isinstance(command, click.Group) else None
        if below is None:
            return ""
        command = below
        context = click.Context(command, info_name=word, parent=context)
    return command.get_help(context) + "\n"

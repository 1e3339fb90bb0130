"""`efctl help [TOPIC]`: a page of the help (efsupervisor.help), or else what the command line says of a command itself.

Needs no supervisor.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from efsupervisor.cli.output import Output
from efsupervisor.errors import TABLE, Code, EfError
from efsupervisor.messages.call import Text

_MEANINGS: dict[Code, str] = {
    Code.OK: "done",
    Code.TASK_FAILED: "a task failed, or several failed for different reasons",
    Code.USAGE: "the command line was not understood",
    Code.NO_SUCH_TASK: "there is no such task, flow, group, schedule or topic",
    Code.BAD_STATE: "it cannot be done in the state that is",
    Code.EXISTS: "there is one of this name already",
    Code.NO_INPUT: "the task takes no events",
    Code.TOO_LARGE: "it is larger than what is allowed",
    Code.BAD_NAME: "a name is not allowed",
    Code.BAD_REQUEST: "what was asked, or what was answered, makes no sense",
    Code.DAMAGED: "a file is damaged",
    Code.GONE: "what was asked for is not kept any more",
    Code.NOT_RUNNING: "no supervisor runs, or the part of it that is needed",
    Code.INTERNAL: "a mistake of the program itself",
    Code.SYSTEM: "the operating system refused something",
    Code.ALREADY_RUNNING: "another supervisor is there already",
    Code.TIMEOUT: "no answer in time",
    Code.VERSION: "the supervisor is of another version",
    Code.REFUSED: "not allowed",
    Code.CONFIG: "the configuration is wrong",
}
EXIT_STATUSES = "exit-statuses"


def exit_statuses() -> str:
    """What each exit status means; made from errors.TABLE."""
    lines: dict[int, list[str]] = {}
    for code, verdict in TABLE.items():
        lines.setdefault(verdict.exit_status, []).append(_MEANINGS[code])
    lines[130] = ["interrupted (Ctrl-C)"]
    lines[141] = ["the reader of the output has gone away"]
    return "Exit statuses of efctl\n\n" + "".join(f"  {status:3}  {'; or '.join(meanings)}\n" for status, meanings in sorted(lines.items()))


def show(topic: Sequence[str], root: click.Group, output: Output, language: str, *, as_json: bool) -> int:
    """Show a page.  EfError NO_SUCH_TASK when nothing is known about the topic."""
    return output.show(Text(text=page(topic, root, language)), as_json=as_json)


def page(topic: Sequence[str], root: click.Group, language: str) -> str:
    """The page about a topic; the overview without one."""
    if list(topic) == [EXIT_STATUSES]:
        return exit_statuses()
    own = of_command(topic, root)
    if own:
        return own
    raise EfError(f"there is no help about {' '.join(topic)}; `efctl help` lists what there is", Code.NO_SUCH_TASK)


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

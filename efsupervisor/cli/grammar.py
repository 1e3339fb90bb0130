"""What may be typed after `efctl`, declared with click: names, options, help.  Each command hands over to `verbs` at once.

Imported only when it is needed; see `main`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from efsupervisor.cli import verbs
from efsupervisor.cli.client import Client
from efsupervisor.cli.where import Where, socket_path

NAMES = "Names may be written as comma lists; `all` stands for every task."
_MAX_LINES = 10_000


def run(words: Sequence[str]) -> int:
    """Parse and do; the exit status.  EfError, click.ClickException and click.Abort leave as they are."""
    result: object = root.main(args=list(words), prog_name="efctl", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _client() -> Client:
    """The client of this invocation; closed with it."""
    context = click.get_current_context()
    client: Client = context.with_resource(Client(socket_path(context.find_root().obj, os.environ)))
    return client


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"efctl {verbs.own_version()}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-c", "--configuration", "conf", metavar="FILE", default="", help="Configuration of the supervisor that is meant.")
@click.option("--var", metavar="FOLDER", default="", help="Its `var` folder; no configuration is read then.")
@click.option("--socket", metavar="PATH", default="", help="Its control socket.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show efctl's version and exit.")
@click.pass_context
def root(context: click.Context, conf: str, var: str, socket: str) -> None:
    """Control a running efsupervisord.

    Which one: --socket, --var or -c; else the environment's EFSUPERVISOR_SOCKET or EFSUPERVISOR_CONF; else etc/efsupervisor.yaml,
    efsupervisor.yaml or /etc/efsupervisor/efsupervisor.yaml.
    """
    context.obj = Where(socket=socket, var=var, conf=conf)


_names = click.argument("names", nargs=-1, required=True, metavar="NAMES...")
_wait = click.option("--wait/--no-wait", default=True, help="Answer when it is done (default), or at once.")


@root.command(epilog=NAMES)
@click.argument("names", nargs=-1, metavar="[NAMES]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON array with every figure.")
def status(names: tuple[str, ...], as_json: bool) -> int:
    """Show state, pid, uptime, restarts, lag and reason."""
    return verbs.status(_client(), names, as_json=as_json)


@root.command(epilog=NAMES)
@_names
@_wait
def act(names: tuple[str, ...], wait: bool) -> int:
    """Start tasks (also: start)."""
    return verbs.act(_client(), names, wait=wait)


@root.command(epilog=NAMES)
@_names
@_wait
def trm(names: tuple[str, ...], wait: bool) -> int:
    """Stop tasks with all their descendants (also: stop)."""
    return verbs.trm(_client(), names, wait=wait)


@root.command()
@click.argument("task")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
def put(task: str, texts: tuple[str, ...]) -> int:
    """Put events into a task's own input queue.

    Each TEXT is one event; `-` stands for each line of standard input.
    """
    return verbs.put(_client(), task, texts, sys.stdin.buffer)


@root.command(epilog=NAMES)
@click.argument("names", nargs=-1, required=True, metavar="TASK...")
@click.option("-f", "--follow", is_flag=True, help="Go on until interrupted; a restart of the supervisor does not end it.")
@click.option("-n", "--lines", type=click.IntRange(0, _MAX_LINES), default=10, show_default=True, help="How many of the last lines.")
@click.option("--stream", type=click.Choice(["out", "err", "input", "dead"]), default="out", show_default=True, help="Which of the task's journals.")
@click.option("--prefix", is_flag=True, help="Put the task's name before each line (always done for several tasks).")
@click.option("--raw", is_flag=True, help="Let control characters through to the terminal.")
def tail(names: tuple[str, ...], follow: bool, lines: int, stream: str, prefix: bool, raw: bool) -> int:
    """Show what tasks wrote last."""
    return verbs.tail(_client(), names, stream=stream, lines=lines, follow=follow, prefix=prefix, raw=raw, out=sys.stdout.buffer)


@root.command()
def shutdown() -> int:
    """Stop every task, then the supervisor."""
    return verbs.shutdown(_client())


@root.command()
def version() -> int:
    """Show the versions of efctl and of the supervisor that runs."""
    return verbs.version(_client())


for _name, _command in (("start", act), ("stop", trm)):
    root.add_command(click.Command(_name, params=_command.params, callback=_command.callback, help=_command.help, epilog=NAMES, hidden=True))

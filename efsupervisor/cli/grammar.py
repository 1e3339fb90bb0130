"""What may be typed after `efctl`, declared with click.

Commands of efctl's own making stand here; every other is made from the declaration of a verb when it is asked for (`generate`).  Which of them
appear in which part of the overview is the table SECTIONS; a command that nobody put there appears under `More`.

Imported only when it is needed; see `main`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import click

from efsupervisor.cli import verbs
from efsupervisor.cli.completing import Completer
from efsupervisor.cli.output import Output, standard
from efsupervisor.cli.session import Session, language_of
from efsupervisor.cli.where import Where, place
from efsupervisor.errors import TABLE, Code, EfError

NAMES = "Names are tasks, groups or patterns (`web*`), also as comma lists; `all` is every task."
_MAX_LINES = 10_000

SECTIONS: dict[str, tuple[str, ...]] = {
    "Look": ("status", "why", "top", "tree", "show", "pid", "tail", "fg", "log", "history", "events", "live", "resource", "result"),
    "Run": ("act", "trm", "restart", "scale"),
    "Change": ("add", "set", "del", "flow", "group", "schedule"),
    "Events": ("put", "queue", "replay", "stdin", "dlq", "recovery", "recoveries"),
    "Supervisor": ("conf", "reread", "update", "services", "version", "daemon", "shutdown"),
    "Console": ("exec", "shell", "completion", "help"),
}


class Root(click.Group):
    """The commands of efctl: those declared here, then aliases, then those made from verbs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command that the overview names."""
        known = [name for names in SECTIONS.values() for name in names]
        every = {*self.commands, *(words[0] for words in _generated().commands())}
        return [name for name in known if name in every] + sorted(every - set(known))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name or alias, made now."""
        own = self.commands.get(cmd_name)
        if own is not None and not isinstance(own, click.Group):
            return own
        generated = _generated()
        name = generated.ALIASES.get(cmd_name, cmd_name)
        made = generated.command_of((name,), generated.Tools(session, output, stdin))
        if isinstance(own, click.Group) and isinstance(made, click.Group):
            return click.Group(own.name, commands={**made.commands, **own.commands}, help=own.help)
        return own or made

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, in parts."""
        left = self.list_commands(ctx)
        for title, names in [*SECTIONS.items(), ("More", tuple(left))]:
            here = [name for name in names if name in left]
            left = [name for name in left if name not in here]
            if here:
                with formatter.section(title):
                    formatter.write_dl([(name, self._summary(name)) for name in here])

    def _summary(self, name: str) -> str:
        own = self.commands.get(name)
        return own.get_short_help_str(1000) if own is not None else _generated().summary_of(name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and names the nearest command for one that is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib  # late on purpose: for somebody's slip

            near = difflib.get_close_matches(args[0], [*self.list_commands(ctx), *_generated().ALIASES], 1)
            if near and "mean" not in error.message:
                raise click.UsageError(f"{error.message.rstrip('.')}; did you mean {near[0]!r}?", error.ctx) from None
            raise


def _generated() -> Any:
    from efsupervisor.cli import generated  # late on purpose: it brings every verb, and a command of efctl's own making needs few or none

    return generated


def run(words: Sequence[str], where: Where | None = None) -> int:
    """Parse and do; the exit status.  where: the supervisor that is meant when the words do not say.  EfError for everything that is wrong with the
    words, KeyboardInterrupt when a question was answered by Ctrl-C."""
    try:
        result: object = root.main(args=list(words), prog_name="efctl", standalone_mode=False, obj=where or Where())
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "efctl"
        raise EfError(f"{error.format_message().rstrip('.')}; see `{path} --help`", Code.USAGE) from error
    except click.ClickException as error:
        raise EfError(error.format_message(), Code.SYSTEM) from error
    except click.Abort as error:
        raise KeyboardInterrupt from error
    return result if isinstance(result, int) else 0


# What commands are given --------------------------------------------------------------------------------------------------------------------------


def session() -> Session:
    """The session of this invocation; closed with it."""
    context = click.get_current_context()
    found = context.find_root().meta.get("efctl.session")
    if found is None:
        out = output()
        verbose = context.find_root().params.get("verbose")
        found = Session(place(context.find_root().obj, os.environ), language_of(os.environ), out.note if verbose else lambda _: None)
        context.find_root().meta["efctl.session"] = context.find_root().with_resource(found)
    assert isinstance(found, Session)
    return found


def output() -> Output:
    """Where this invocation writes."""
    return standard()


def stdin() -> BinaryIO:
    """Standard input, as bytes."""
    return sys.stdin.buffer


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"efctl {verbs.own_version()}")
        context.exit()


_complete = Completer()
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


def _names(required: bool = True, metavar: str = "NAMES...") -> Callable[[Any], Any]:
    return click.argument("names", nargs=-1, required=required, metavar=metavar, shell_complete=_complete.names)


@click.group(cls=Root, context_settings=_HELP, invoke_without_command=True, no_args_is_help=False)
@click.option("-c", "--configuration", "conf", metavar="FILE", default="", help="Configuration of the supervisor that is meant.")
@click.option("--var", metavar="FOLDER", default="", help="Its `var` folder; no configuration is read then.")
@click.option("--socket", metavar="PATH", default="", help="Its control socket.")
@click.option("-v", "--verbose", is_flag=True, help="Say which way was taken when the middle interface does not answer.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show efctl's version and exit.")
@click.pass_context
def root(context: click.Context, conf: str, var: str, socket: str, verbose: bool) -> int:
    """Control a running efsupervisord.

    Called bare on a terminal, it is a shell.  Which supervisor: --socket, --var or -c; else the environment's EFSUPERVISOR_SOCKET or
    EFSUPERVISOR_CONF; else etc/efsupervisor.yaml, efsupervisor.yaml or /etc/efsupervisor/efsupervisor.yaml.  What the exit statuses
    mean: efctl help exit-statuses.
    """
    said = Where(socket=socket, var=var, conf=conf)
    context.obj = said if any(said) else context.obj or said
    if context.invoked_subcommand is not None:
        return 0
    if sys.stdin.isatty() and sys.stdout.isatty():
        return _shell()
    click.echo(context.get_help(), err=True)
    return TABLE[Code.USAGE].exit_status


# Look ---------------------------------------------------------------------------------------------------------------------------------------------


@root.command(epilog=NAMES)
@_names(required=False, metavar="[NAMES]...")
@_json
def status(names: tuple[str, ...], as_json: bool) -> int:
    """Show state, pid, uptime, restarts, lag, and why a task is where it is."""
    return verbs.status(session().core, names, output(), as_json=as_json)


_ORDERS = click.Choice(["cpu", "memory", "restarts", "lag", "inflight", "name"])


@root.command(epilog=NAMES)
@_names(required=False, metavar="[NAMES]...")
@click.option("--sort", "order", type=_ORDERS, default="cpu", show_default=True, help="What decides the order at first.")
@click.option("--interval", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, metavar="SECONDS", help="Time between two looks.")
@click.option("--once", "single", is_flag=True, help="Print the table once, for scripts; also done when the output is no terminal.")
@_json
def top(names: tuple[str, ...], order: str, interval: float, single: bool, as_json: bool) -> int:
    """Watch tasks: state, CPU, memory, restarts, lag and events in flight.

    Keys: c m r l i n choose the order, once more turns it round; / filters; arrows and pages move; q ends.
    """
    from efsupervisor.cli import top as work  # late on purpose, as every command's own work here

    named = [name for name in verbs.names_of(names) if name != verbs.ALL]
    view = work.View(order=order)
    if single or as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return work.once(session(), named, view, output(), as_json=as_json)
    return work.watch(session(), named, view, output(), interval)


_STREAMS = click.Choice(["out", "err", "input", "dead"])
_lines = click.option("-n", "--lines", type=click.IntRange(0, _MAX_LINES), default=10, show_default=True, help="How many of the last lines.")
_stream = click.option("--stream", type=_STREAMS, default="out", show_default=True, help="Which of the task's journals.")
_follow = click.option("-f", "--follow", is_flag=True, help="Go on until interrupted; a restart of the supervisor does not end it.")
_prefix = click.option("--prefix", is_flag=True, help="Put the task's name before each line (always done for several tasks).")
_raw = click.option("--raw", is_flag=True, help="Let control characters through to the terminal.")


@root.command(epilog=NAMES)
@_names()
@_follow
@_lines
@_stream
@_prefix
@_raw
@_json
def tail(names: tuple[str, ...], follow: bool, lines: int, stream: str, prefix: bool, raw: bool, as_json: bool) -> int:
    """Show what tasks wrote last."""
    from efsupervisor.cli.tail import Wish, of_tasks  # late on purpose, as every command's own work here: the others do not need it

    wish = Wish(stream, lines, None, follow, prefix, raw, as_json)
    return of_tasks(session().core, verbs.some(names), wish, sys.stdout.buffer, output().look)


_LOG_EPILOG = (
    "NAME is a task, a group or a pattern; `efctl log daemon` is the supervisor's own log. Both work when the supervisor does not run. "
    "WHEN is how long ago (90s, 10m, 2h, 3d), a time (2026-11-24T10:00, 10:00) or an offset in bytes; times are known to about a second."
)


@root.command(epilog=_LOG_EPILOG)
@click.argument("name", metavar="NAME|daemon", shell_complete=_complete.names)
@click.option("-n", "--lines", type=click.IntRange(0, _MAX_LINES), default=None, help="The last so many; 100, with --grep all that match.")
@click.option("--since", default="", metavar="WHEN", help="From there on, instead of the last lines.")
@click.option("--until", default="", metavar="WHEN", help="Up to there.")
@click.option("--grep", default="", metavar="RE", help="Only lines that match this regular expression (Python's).")
@click.option("--all", "whole", is_flag=True, help="The whole log, as far as it is kept.")
@click.option("--run", "number", type=click.IntRange(1), default=None, metavar="NUMBER", help="What one run wrote; `efctl history` has the numbers.")
@_follow
@_stream
@_raw
@_json
def log(
    name: str,
    lines: int | None,
    since: str,
    until: str,
    grep: str,
    whole: bool,
    number: int | None,
    follow: bool,
    stream: str,
    raw: bool,
    as_json: bool,
) -> int:
    """Show the log of a task, or of the supervisor; look through it by time and text."""
    from efsupervisor.cli.tail import Wish, daemon_log, of_tasks, run  # late on purpose

    wish = Wish(stream, 100 if lines is None else lines, 0 if whole else None, follow, False, raw, as_json)
    if since.isascii() and since.isdigit() and not (until or grep or lines is not None):
        wish = wish._replace(since=min(int(since[:20]), 1 << 62))
    elif since or until or grep:
        return _search(name, wish, lines, (since, until, grep), number)
    if name == "daemon":
        path = os.path.join(session().place.var, "log", "efsupervisord.log")
        return run({"daemon": daemon_log(path)}, wish._replace(stream="daemon"), sys.stdout.buffer, output().look)
    if number is not None:
        from efsupervisor.cli.run_log import of_run  # late on purpose

        return of_run(session().core, name, number, wish, sys.stdout.buffer, output().look)
    try:
        return of_tasks(session().core, verbs.some([name]), wish, sys.stdout.buffer, output().look)
    except EfError as error:
        if error.code is not Code.NOT_RUNNING:
            raise
        return _search(name, wish, None if whole or wish.since else wish.lines, (since, until, grep), number)


def _search(name: str, wish: Any, last: int | None, words: tuple[str, str, str], number: int | None) -> int:
    from efsupervisor.cli import search  # late on purpose, as every command's own work here

    if name == "daemon":
        raise EfError("the supervisor's own log is a plain file and not searched by efctl: use grep, or `efctl log daemon --all`", Code.USAGE)
    what = search.hunt(*words, last)
    if what.until is not None and wish.follow:
        raise EfError("--follow goes on for ever and --until ends: say one of them", Code.USAGE)
    if number is not None:
        what = search.within(what, wish, session().core, name, number)
    folders = search.folders_of(
        session().place.var, verbs.some([name]), lambda names: [row.name for row in session().core.status(names)], wish.stream
    )
    return search.run(folders, what, wish, sys.stdout.buffer, output().look)


@root.command(epilog=NAMES)
@_names(required=False, metavar="[NAMES]...")
@click.option("-f", "--follow", is_flag=True, help="Go on until interrupted; as JSON one event a line.")
@click.option("-n", "--last", type=click.IntRange(0, verbs.MAX_EVENTS), default=20, show_default=True, help="How many of the last events.")
@click.option("--since", type=click.IntRange(0), default=None, metavar="NUMBER", help="From this event on, instead of the last ones.")
@click.option("--what", multiple=True, metavar="KIND", help="Only these kinds: `state`, or those of alerts.")
@_json
def events(names: tuple[str, ...], follow: bool, last: int, since: int | None, what: tuple[str, ...], as_json: bool) -> int:
    """Show what happened: transitions of tasks, and alerts."""
    wanted = [name for name in verbs.names_of(names) if name != verbs.ALL]
    return verbs.events(session(), wanted, list(what), output(), last=last, since=since, follow=follow, as_json=as_json)


@root.command(epilog=NAMES)
@_names(required=False, metavar="[NAMES]...")
@click.option("-d", "--direction", "directions", type=click.Choice(["in", "out", "err"]), multiple=True, help="Only this direction; may be repeated.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=200, show_default=True, help="Events shown at most in each look.")
@click.option("--once", is_flag=True, help="What passes first, then end; nothing when nothing passes for a second.")
@_json
def live(names: tuple[str, ...], directions: tuple[str, ...], limit: int, once: bool, as_json: bool) -> int:
    """Show what passes, until interrupted: what is given to tasks and what they write.

    Each line has the time, the direction, the task and the beginning of the event.  When more passes than is shown, what is not shown is counted.
    As JSON one event a line.
    """
    from efsupervisor.cli.flow import live as work  # late on purpose, as every command's own work here

    named = [name for name in verbs.names_of(names) if name != verbs.ALL]
    return work(session(), named, directions, output(), limit=limit, once=once, as_json=as_json)


@root.command()
@_json
def version(as_json: bool) -> int:
    """Show the versions of efctl and of the supervisor that runs."""
    return verbs.version(session().core, output(), as_json=as_json)


@root.command()
@click.argument("task", shell_complete=_complete.names)
def fg(task: str) -> int:
    """Attach to a task: show what it writes as it comes, and put each typed line into its input queue.

    Ctrl-C detaches, and the task goes on; it ends by itself when the task is at rest.
    """
    from efsupervisor.cli.fg import attach  # late on purpose

    return attach(session().core, task, stdin(), sys.stdout.buffer, sys.stderr.buffer, output().look)


# Change -------------------------------------------------------------------------------------------------------------------------------------------


@root.command()
@click.argument("task", shell_complete=_complete.names)
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@_json
def put(task: str, texts: tuple[str, ...], as_json: bool) -> int:
    """Put events into a task's own input queue.

    Each TEXT is one event; `-` stands for each line of standard input.
    """
    return verbs.put(session().core, task, texts, stdin(), output(), as_json=as_json)


@root.group("queue")
def queue() -> None:
    """Queues: what waits in front of tasks."""


@queue.command("save")
@click.argument("task", shell_complete=_complete.names)
@click.argument("file", metavar="FILE")
@click.option("--producer", "producers", multiple=True, metavar="NAME", help="What waits on the edge from this task, instead of the own queue.")
@click.option("--all", "everything", is_flag=True, help="What waits on every edge, and in the own queue.")
@_json
def queue_save(task: str, file: str, producers: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Write the events that wait in a task's own input queue to a file.

    Records as they are framed for the task, and nothing else. The queue stays as it is; for an exact copy stop the task first.
    """
    from efsupervisor.cli import carry  # late on purpose, as every command's own work here

    return _carried(task, carry.save(session().core, session().place.var, task, file, producers, everything=everything), "saved", as_json)


@queue.command("load")
@click.argument("task", shell_complete=_complete.names)
@click.argument("file", metavar="FILE")
@click.option("--again", is_flag=True, help="Put them in once more, though FILE.loaded says that they are in.")
@_json
def queue_load(task: str, file: str, again: bool, as_json: bool) -> int:
    """Put the events of a file into a task's own input queue, each once.

    One that was cut short goes on where it was when it is said again: FILE.loaded notes how far it came.
    """
    from efsupervisor.cli import carry  # late on purpose

    return _carried(task, carry.load(session().core, task, file, again=again), "put", as_json)


@root.command(epilog="WHEN is how long ago (90s, 10m, 2h, 3d), a time (2026-11-24T10:00, 10:00) or an offset in bytes; times are known to a second.")
@click.argument("task", shell_complete=_complete.names)
@click.option("--from", "begin", required=True, metavar="WHEN", help="What was written from there on.")
@click.option("--to", "end", default="", metavar="WHEN", help="Up to there; up to now without it.")
@click.option("--producer", default="", metavar="NAME", help="Whose events; needed when several tasks feed this one.")
@_json
def replay(task: str, begin: str, end: str, producer: str, as_json: bool) -> int:
    """Give a task once more what a producer of it wrote.

    The events go into the task's own input queue; its place in the flow, and what other consumers get, stay as they are.
    """
    from efsupervisor.cli import carry  # late on purpose

    return _carried(task, carry.replay(session().core, session().place.var, task, begin, end, producer), "put", as_json)


def _carried(task: str, count: int, done: str, as_json: bool) -> int:
    from efsupervisor.cli import render  # late on purpose

    if as_json:
        output().document({"task": task, "events": count})
    else:
        output().write(f"{render.one_line(task)}: {render.counted(count, 'event')} {done}\n")
    return 0


@root.command()
@_json
def shutdown(as_json: bool) -> int:
    """Stop every task, then the supervisor."""
    return verbs.shutdown(session().core, output(), as_json=as_json)


@root.command()
@click.option("-y", "--yes", is_flag=True, help="Ask nothing, and remove even more than a fifth of the running tasks.")
@_json
def update(yes: bool, as_json: bool) -> int:
    """Make what runs as the configuration file says.

    All or nothing; what did not change is not touched.  On a terminal the difference is shown and you are asked first.
    """
    from efsupervisor.cli.configuration import update as work  # late on purpose

    return work(session(), output(), yes=yes, as_json=as_json)


@root.group()
def flow() -> None:
    """Flows: which task's output is which task's input."""


_flows = click.argument("names", nargs=-1, metavar="[NAMES]...")


@flow.command("status")
@_flows
@click.option("--over", type=click.FloatRange(0.1, 4), default=1.0, show_default=True, metavar="SECONDS", help="Time between the two looks.")
@click.option("-w", "--watch", is_flag=True, help="Draw it again and again; q ends.")
@_json
def flow_status(names: tuple[str, ...], over: float, watch: bool, as_json: bool) -> int:
    """Show how flows are: rates in and out, how far consumers are behind, how old the oldest event is, what is in flight.

    Rates are made from two looks.  Bytes are exact; events are counted, or estimated (~) where a queue is long.  NAMES are flows or patterns.
    """
    from efsupervisor.cli import flow as work  # late on purpose, as every command's own work here
    from efsupervisor.interface.flow import FlowStatus  # late on purpose, with it

    named = [name for name in verbs.names_of(names) if name != verbs.ALL]
    if watch and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        return work.watch(session(), named, over, output())
    return output().show(session().do(FlowStatus(names=named, over=over)), as_json=as_json)


@flow.command("graph")
@_flows
@click.option("--dot", "as_dot", is_flag=True, help="For Graphviz: efctl flow graph --dot | dot -Tsvg.")
@click.option("--ascii", "plain", is_flag=True, help="With no characters but ASCII for the lines; also done where the locale has no others.")
@_json
def flow_graph(names: tuple[str, ...], as_dot: bool, plain: bool, as_json: bool) -> int:
    """Draw flows: tasks with their states, and what runs from which to which.

    NAMES are flows or patterns.
    """
    from efsupervisor.cli.flow import picture  # late on purpose, as above

    named = [name for name in verbs.names_of(names) if name != verbs.ALL]
    return picture(session(), named, output(), as_json=as_json, as_dot=as_dot, plain=plain)


@root.group()
def conf() -> None:
    """Settings of the supervisor, and its configuration file."""


@conf.command()
@click.argument("file", required=False, type=click.Path())
@_json
def check(file: str | None, as_json: bool) -> int:
    """Check a configuration file, by default the supervisor's own.

    No supervisor needs to run, and nothing is changed.  Exit status 78 when something is wrong.
    """
    from efsupervisor.cli.configuration import check as work  # late on purpose: it brings the loader

    return work(file, click.get_current_context().find_root().obj, output(), as_json=as_json)


@conf.command("import")
@click.argument("file", type=click.Path())
def import_(file: str) -> int:
    """Print a supervisord.conf as a configuration of ours.

    What could not be carried over stands in comments on top, with file, line and option.  No supervisor needs to run.
    """
    from efsupervisor.cli.configuration import translate  # late on purpose: it brings the reader

    return translate(file, output())


# Console ------------------------------------------------------------------------------------------------------------------------------------------


@root.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_json
@click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="LINE...")
def exec_(line: tuple[str, ...], as_json: bool) -> int:
    """Say a line of the EventFlow console language.

    It is answered by lines that begin with OK or NOK: efctl exec "shw task web, db".
    """
    return output().show(session().console(" ".join(line)), as_json=as_json)


@root.command()
def shell() -> int:
    """Take lines until the end of input: a shell on a terminal, a script in a pipe.

    A line that begins with a word of the console language (shw set add del act trm rst hlp) is one; every other is a command of efctl, without the
    word efctl.
    """
    return _shell()


def _shell() -> int:
    from efsupervisor.cli.shell import Shell  # late on purpose: it brings readline

    where = click.get_current_context().find_root().obj
    return Shell(session(), output(), lambda words: run(words, where), _words).run(sys.stdin)


def _words(before: Sequence[str], begun: str) -> list[str]:
    """How a command line could go on, for the shell."""
    from click.shell_completion import ShellComplete  # late on purpose

    completion = ShellComplete(root, {"obj": click.get_current_context().find_root().obj}, "efctl", "")
    return [item.value for item in completion.get_completions(list(before), begun)]


@root.command("help")
@click.argument("topic", nargs=-1, metavar="[TOPIC]...")
@_json
def help_(topic: tuple[str, ...], as_json: bool) -> int:
    """Explain a command or a subject; without a word, list what there is.

    No supervisor needs to run.
    """
    from efsupervisor.cli.helping import show  # late on purpose: it brings every text

    return show(topic, root, output(), language_of(os.environ), as_json=as_json)


@root.command(epilog='For bash: eval "$(efctl completion bash)" in ~/.bashrc; zsh the same; fish: efctl completion fish | source.')
@click.argument("shell_name", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell_name: str) -> int:
    """Print a script that completes commands, options and task names."""
    from click.shell_completion import get_completion_class  # late on purpose

    kind = get_completion_class(shell_name)
    assert kind is not None
    output().write(kind(root, {}, "efctl", "_EFCTL_COMPLETE").source_template % _completion_words())
    return 0


def _completion_words() -> dict[str, str]:
    return {"complete_func": "_efctl_completion", "complete_var": "_EFCTL_COMPLETE", "prog_name": "efctl"}

"""efctl's own commands about flows: figures that are drawn again, pictures, and the live view of what passes.

A supervisor that is replaced meanwhile ends none of those that go on: what goes wrong is said once, and the next look may be well again.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Sequence

import msgspec

from efsupervisor.cli import answers, graph, render, top
from efsupervisor.cli.output import Output
from efsupervisor.cli.session import Session
from efsupervisor.cli.terminal import Look
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.flow import FlowGraph, FlowStatus
from efsupervisor.interface.queue import QueueLive
from efsupervisor.messages.call import Graph, Passing

PAUSE_S = 1.0
"""Between two tries while the supervisor does not answer."""

WAIT_S = 1.0
PASSING_ERRORS = (Code.NOT_RUNNING, Code.TIMEOUT)


# Figures -----------------------------------------------------------------------------------------------------------------------------------------


def watch(session: Session, names: Sequence[str], over: float, output: Output) -> int:
    """Draw the figures again and again, until `q`.  stdin and stdout are terminals."""
    with top.prepared(sys.stdin.fileno(), output) as news:
        lines = ["asking"]
        while not _left(news):
            width, height = os.get_terminal_size(sys.stdout.fileno())
            top.draw(output, [top.cut(line, width) for line in lines[:height]])
            lines = _figures(session, names, over, output.look._replace(width=width))
    return 0


def _figures(session: Session, names: Sequence[str], over: float, look: Look) -> list[str]:
    try:
        return answers.shown(session.do(FlowStatus(names=list(names), over=over)), look).out.splitlines()
    except EfError as error:
        if error.code not in PASSING_ERRORS:
            raise
        _wait(PAUSE_S)
        return [render.one_line(error.message)]


def _left(news: Sequence[int]) -> bool:
    """Whether the person has seen enough; what else was typed is passed over."""
    poll = select.poll()
    poll.register(news[0], select.POLLIN)
    typed = os.read(news[0], 1024) if poll.poll(0) else b"-"
    return not typed or b"q" in typed or b"\x04" in typed


# Pictures ----------------------------------------------------------------------------------------------------------------------------------------


def picture(session: Session, names: Sequence[str], output: Output, *, as_json: bool, as_dot: bool, plain: bool) -> int:
    """Draw flows as text, for Graphviz, or as JSON."""
    answer = session.do(FlowGraph(names=list(names)))
    if as_json:
        return output.show(answer, as_json=True)
    assert isinstance(answer, Graph)
    output.write(graph.dot(answer.rows) if as_dot else graph.drawn(answer.rows, output.look, graph.ASCII if plain else pen_for(output)))
    return 0


def pen_for(output: Output) -> graph.Pen:
    """Lines where they can be written, else ASCII."""
    try:
        "".join(graph.LINES).encode(getattr(output.out, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return graph.ASCII
    return graph.LINES


# What passes -------------------------------------------------------------------------------------------------------------------------------------


def live(session: Session, names: Sequence[str], directions: Sequence[str], output: Output, *, limit: int, once: bool, as_json: bool) -> int:
    """Show what passes from now on, until interrupted; with `once` the first of it, and nothing when nothing passes for a while."""
    look = _looker(session, names, directions, limit, output)
    since = look("", 0.0).next
    while True:
        found = look(since, WAIT_S)
        since = found.next
        for row in found.rows:
            if as_json:
                output.document(answers.plain(row), line=True)
            else:
                output.write(answers.passed(row, output.look))
        output.out.flush()
        if once:
            return 0


def _looker(session: Session, names: Sequence[str], directions: Sequence[str], limit: int, output: Output) -> Callable[[str, float], Passing]:
    verb = QueueLive(names=list(names), directions=list(directions), limit=limit)  # type: ignore[arg-type]
    away: list[str] = []

    def look(since: str, wait_s: float) -> Passing:
        while True:
            try:
                answer = session.do(msgspec.structs.replace(verb, since=since, wait_s=wait_s))
            except EfError as error:
                if error.code not in PASSING_ERRORS or not since:
                    raise
                if not away:
                    output.note(f"{error.message}; the view goes on when it answers again")
                    away.append(error.message)
                _wait(PAUSE_S)
                continue
            assert isinstance(answer, Passing)
            away.clear()
            return answer

    return look


def _wait(seconds: float) -> None:
    select.poll().poll(seconds * 1000)

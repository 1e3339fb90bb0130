"""The console language's answers: lines that begin with `OK : ` or `NOK : `.

Each row of an answer is one line; EventFlow's words stand beside supervisord's: ACT or TRM is what is wanted of a task, OK or ABN whether it is well.
A NOK line tells what was not done; an abnormal task in a listing is an OK line that says ABN.  Pure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.calls import permit
from efsupervisor.interface.console import parse
from efsupervisor.interface.house import House
from efsupervisor.messages import call
from efsupervisor.messages.core import EventRow, FlowRow, LetterRow, RunRow, ScheduleRow, ServiceRow, TaskDetail, TaskStatus
from efsupervisor.states import Goal, State

OK = "OK : "
NOK = "NOK : "
MAX_TEXT = 4096
"""Characters of one line; a longer one is cut."""


async def answer(line: str, house: House) -> call.Lines:
    """Run one line of the console language and say what came of it.  Raises nothing that the line is to blame for."""
    try:
        verb = parse(line)
        permit(verb, house.caller)
        return said(await verb.run(house))
    except EfError as error:
        return refused(error)


def refused(error: EfError) -> call.Lines:
    """A NOK line for each line of an error."""
    return call.Lines(lines=[NOK + flat(part) for part in error.message.splitlines() or [""]], code=error.code)


def said(what: call.Answer) -> call.Lines:
    """The lines of an answer."""
    if isinstance(what, call.Lines):
        return what
    if isinstance(what, call.Done):
        lines = [(OK if row.ok else NOK) + flat(f"{row.task} {row.sentence}".strip()) for row in what.rows]
        return call.Lines(lines=lines or [OK + "nothing to do"], code=next((row.code for row in what.rows if not row.ok), Code.OK))
    return call.Lines(lines=[OK + flat(text) for text in texts(what)] or [OK + "none"])


def texts(what: call.Answer) -> Iterator[str]:
    """What an answer says, line by line."""
    match what:
        case call.Tasks():
            yield from map(task_text, what.rows)
        case call.Specs():
            yield from map(spec_text, what.rows)
        case call.Flows():
            yield from map(flow_text, what.rows)
        case call.Letters():
            yield from map(letter_text, what.rows)
        case call.Groups():
            yield from (f"{row.name} ({row.origin}): {', '.join(row.members or row.tasks)}" for row in what.rows)
        case call.Schedules():
            yield from map(schedule_text, what.rows)
        case call.Settings():
            yield from (f"{row.key}={row.value} ({row.origin})" for row in what.rows)
        case call.Difference():
            yield from (f"{row.noun} {row.name} {row.what}{_in(row.fields)}{_then(row.effect)}" for row in what.rows)
        case call.Events():
            yield from map(event_text, what.rows)
        case call.Runs():
            yield from map(run_text, what.rows)
        case call.Piece():
            yield from (line.decode(errors="replace") for line in what.data.splitlines())
        case call.Text():
            yield from what.text.splitlines()
        case call.About():
            yield f"efsupervisord {what.version} pid {what.pid} since {stamp(what.since)}{'' if what.ready else ', not ready'}"
            yield from map(service_text, what.services)
            yield from (f"ABN {sentence}" for sentence in what.ailments)
        case call.Resources():
            yield from _resource_texts(what)
        case call.Results():
            yield from (f"{row.task} {stamp(row.wall)} {row.data.decode(errors='replace')}" for row in what.rows)
            yield f"{what.posted} posted, {what.waiting} waiting, {what.dropped} dropped"
        case call.Recovered():
            yield from _recovered_texts(what)
        case call.Causes():
            for row in what.rows:
                yield f"{what.task} {stamp(row.wall)} {row.what} {row.sentence}"
                yield from (f"{what.task} | {line}" for line in row.lines)
        case call.Tree():
            yield from (f"{'  ' * row.depth}{row.what} {row.name} pid {row.pid} {row.state}" for row in what.rows)
        case call.FlowFigures():
            yield from map(figures_text, what.rows)
        case call.Graph():
            yield from (f"{row.producer} -> {', '.join(row.consumers)} {row.flow} {row.mode}{', held back' if row.held else ''}" for row in what.rows)
        case call.Passing():
            yield from map(passed_text, what.rows)
            yield f"since={what.next}"


# Rows ----------------------------------------------------------------------------------------------------------------------------------------------


def is_well(row: TaskStatus) -> bool:
    """Nothing about this task calls for somebody: EventFlow's OK, the contrary of ABN."""
    if row.state in (State.FATAL, State.BACKOFF, State.UNKNOWN) or row.health:
        return False
    return not (row.state is State.EXITED and (row.exit_status != 0 or not row.exit_known))


def task_text(row: TaskStatus) -> str:
    """`import ACT OK RUNNING pid 4711 uptime 62s`."""
    parts = [row.name, "ACT" if row.goal is Goal.ACT else "TRM", "OK" if is_well(row) else "ABN", row.state]
    if row.pid:
        parts.append(f"pid {row.pid} uptime {row.uptime_s:.0f}s")
    figures = (("restarts", row.restarts), ("lag", row.lag_bytes), ("outstanding", row.outstanding), ("dead letters", row.dead_letters))
    parts += [f"{word} {value}" for word, value in figures if value]
    if row.delivered:
        parts.append(f"delivered {row.delivered} acknowledged {row.acknowledged}")
    parts += [text for text in (row.reason, row.health) if text]
    return " ".join(parts)


def spec_text(row: TaskDetail) -> str:
    """`import (file) process service: python3 import.py; from a; to b`."""
    spec = row.spec
    more = [f"from {', '.join(row.from_tasks)}"] if row.from_tasks else []
    more += [f"to {', '.join(row.to_tasks)}"] if row.to_tasks else []
    more += [f"in {', '.join(row.groups)}"] if row.groups else []
    return "; ".join([f"{spec.name} ({row.origin}) {spec.type} {spec.kind}: {' '.join(spec.command)}", *more])


def letter_text(row: LetterRow) -> str:
    """One dead letter."""
    died = f" ({row.died})" if row.died else ""
    return f"{row.task} {row.letter} of {row.producer or 'its input queue'} at {row.offset}, {row.length} bytes: {row.reason}{died}"


def flow_text(row: FlowRow) -> str:
    """`f: a -> b, c share, lag 12 of 67108864 bytes`."""
    held = ", holds the producer back" if row.held_back else ""
    name = f"{row.flow} ({row.origin}): " if row.flow else "input queue: "
    edge = f"{row.producer + ' ' if row.producer else ''}-> {', '.join(row.consumers)}"
    limit = f" of {row.max_lag}" if row.max_lag else ""
    return f"{name}{edge} {row.mode}, lag {row.lag_bytes}{limit} bytes{held}"


def figures_text(row: call.EdgeFigures) -> str:
    """`f: a -> b broad in 10.0/s 50 B/s out 9.0/s 45 B/s lag 12 bytes 2 events oldest 1.5s in flight 1 acknowledged 4096 bytes`."""
    flight = row.in_flight if row.in_flight >= 0 else f"{row.in_flight_bytes} bytes"
    events = f" {'' if row.lag_exact else '~'}{row.lag_events} events" if row.lag_events >= 0 else ""
    rates = f"in {row.in_events_s:.1f}/s {row.in_bytes_s:.0f} B/s out {row.out_events_s:.1f}/s {row.out_bytes_s:.0f} B/s"
    dropped = f" dropped {row.dropped_bytes} bytes" if row.dropped_bytes else ""
    held = f", holds the producer back since {stamp(row.held_since)}" if row.held_since else ""
    edge = f"{row.flow}: {row.producer} -> {', '.join(row.consumers)} {row.mode}"
    lag = f"lag {row.lag_bytes} bytes{events} oldest {row.oldest_s:.1f}s"
    return f"{edge} {rates} {lag} in flight {flight} acknowledged {row.acknowledged_bytes} bytes{dropped}{held}"


def passed_text(row: call.Passed) -> str:
    """`2026-... stdin -> task import: the beginning of the event`."""
    way = {"in": "stdin -> task", "out": "task -> stdout", "err": "task -> stderr"}.get(row.direction, row.direction)
    missed = f"({row.missed if row.missed > 0 else 'some'} events not shown) " if row.missed else ""
    return f"{stamp(row.wall)} {way} {row.task}: {missed}{row.data.decode(errors='replace')}{' ...' if row.length > len(row.data) else ''}"


def schedule_text(row: ScheduleRow) -> str:
    """`night (added) 0 3 * * *: act reports; next 2026-...`."""
    spec = row.spec
    deeds = [f"{word} {', '.join(names)}" for word, names in (("act", spec.act), ("trm", spec.trm), ("run", spec.run)) if names]
    deeds += [f"put {spec.put!r} into {spec.task}"] if spec.task else []
    when = f"next {stamp(row.next_wall)}" if spec.enabled and row.next_wall else "off" if not spec.enabled else "never"
    last = f"; last {stamp(row.last_wall)} {row.last_outcome}" if row.last_wall else ""
    left = "".join(f"; {count} {word}" for count, word in ((row.waiting, "waiting"), (row.skipped, "left out")) if count)
    return f"{spec.name} ({row.origin}) {spec.cron}: {', '.join(deeds)}; {when}{last}{left}"


def event_text(row: EventRow) -> str:
    """`17 2026-... import state RUNNING -> EXITED exit status 3`."""
    change = f" {row.before} -> {row.after}" if row.before or row.after else ""
    return f"{row.seq} {stamp(row.wall)} {row.task} {row.what}{change} {row.sentence}".rstrip()


def run_text(row: RunRow) -> str:
    """`12 import run 3 2026-... 4.2s EXITED exit status 3 (schedule night, attempt 2)`."""
    by = ", ".join(filter(None, (row.cause, f"attempt {row.attempt}" if row.attempt > 1 else "")))
    ended = f"{row.state} {row.reason}".rstrip() + (f" ({by})" if by else "")
    return f"{row.number} {row.task} run {row.incarnation} {stamp(row.began)} {row.ended - row.began:.1f}s {ended}"


def service_text(row: ServiceRow) -> str:
    """`middle OK RUNNING pid 12`."""
    well = "OK" if row.state in (State.RUNNING, State.STOPPED) and not row.health else "ABN"
    restarts = f" restarts {row.restarts}" if row.restarts else ""
    return f"{row.name} {well} {row.state}{f' pid {row.pid}' if row.pid else ''}{restarts} {row.health or row.reason}".rstrip()


def _resource_texts(what: call.Resources) -> Iterator[str]:
    for node in what.node[-1:]:
        memory = f"memory {node.memory_used} of {node.memory_total}"
        yield f"node cpu {node.cpu:.1f}% of {node.cpus} load {node.load1:.2f} {memory} disk {node.disk_used} of {node.disk_total} bytes"
    for row in what.rows:
        for last in row.samples[-1:]:
            yield f"{row.task} cpu {last.cpu:.1f}% rss {last.rss} bytes processes {last.processes} threads {last.threads} fds {last.fds}"


def _recovered_texts(what: call.Recovered) -> Iterator[str]:
    end = what.reason or ("exit status unknown" if what.exit_status is None or not what.exit_known else f"wait status {what.exit_status}")
    yield f"{what.task} {'ended' if what.ended else 'was stopped'} after {what.took_s:.1f}s: {end}{', acknowledged' if what.acknowledged else ''}"
    yield from (f"out {line.decode(errors='replace')}" for line in what.out.splitlines())
    yield from (f"err {line.decode(errors='replace')}" for line in what.err.splitlines())


def _in(fields: list[str]) -> str:
    return f" ({', '.join(fields)})" if fields else ""


def _then(effect: str) -> str:
    return f": {effect}" if effect else ""


def stamp(wall: float) -> str:
    """A wall clock time for people, in the machine's zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(wall)) if wall else "-"


def flat(text: str) -> str:
    """One line, at most MAX_TEXT long, without anything that would drive a terminal or begin another line."""
    cut = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return cut if cut.isprintable() else "".join(each if each.isprintable() or each == "\t" else f"\\x{ord(each):02x}" for each in cut)

"""Each kind of answer as text for people, or as one JSON document.

`shown` gives what goes to stdout and stderr and the exit status; a test holds that no kind of answer is missing.  Pure but for the clock's zone.

JSON: an answer that is nothing but a list (and a status) is an array of its rows, every other an object; both have every field of the protocol under
its own name (docs: messages/call.py).  Bytes are base64, and beside each such field stands `<field>_text`, the same as text with what is no UTF-8
escaped.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from efsupervisor.cli import render
from efsupervisor.cli.table import Column, state_style, status, table
from efsupervisor.cli.terminal import BOLD, DIM, GREEN, PLAIN, RED, YELLOW, Look
from efsupervisor.errors import TABLE, Code
from efsupervisor.messages import call
from efsupervisor.messages.core import EventRow, LetterRow, Outcome, RunRow, ScheduleRow, TaskDetail
from efsupervisor.states import Mode


class Shown(NamedTuple):
    """What to write where, and the exit status."""

    out: str
    err: str = ""
    status: int = 0


def shown(answer: call.Answer, look: Look = PLAIN, done: str = "done") -> Shown:
    """An answer for people.  done: said of each outcome that says nothing itself."""
    if isinstance(answer, call.Done):
        good = "".join(render.outcome(row, done) for row in answer.rows if row.ok)
        return Shown(good, "".join(render.outcome(row, done) for row in answer.rows if not row.ok), outcome_status(answer.rows))
    if isinstance(answer, call.Lines):
        return Shown("".join(f"{_harmless(line, look)}\n" for line in answer.lines), "", lines_status(answer))
    return Shown(_TEXTS[type(answer)](answer, look))


def as_json(answer: call.Answer) -> Shown:
    """An answer for programs."""
    status = outcome_status(answer.rows) if isinstance(answer, call.Done) else lines_status(answer) if isinstance(answer, call.Lines) else 0
    return Shown(document(data_of(answer)), "", status)


def data_of(answer: call.Answer) -> Any:
    """What the JSON document of an answer holds."""
    data = plain(answer)
    data.pop("kind", None)
    return data["rows"] if set(data) == {"rows"} or isinstance(answer, call.Tasks) else data


def document(data: object, *, line: bool = False) -> str:
    """One JSON document as text, indented or on one line."""
    encoded = msgspec.json.encode(data)
    return (encoded if line else msgspec.json.format(encoded, indent=2)).decode() + "\n"


def plain(value: Any) -> Any:
    """Structs as dicts, bytes as base64 with their text beside them."""
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        found = {name: plain(field) for name, field in fields.items()}
        texts = {f"{name}_text": field.decode("utf-8", "backslashreplace") for name, field in fields.items() if isinstance(field, bytes)}
        return found | texts
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    return value


def outcome_status(rows: Sequence[Outcome]) -> int:
    """0 when all went well; the code's own status when all failures agree, 1 when they differ."""
    codes = {row.code for row in rows if not row.ok}
    if not codes:
        return 0
    code = codes.pop() if len(codes) == 1 else Code.TASK_FAILED
    return TABLE[code].exit_status or TABLE[Code.TASK_FAILED].exit_status


def lines_status(answer: call.Lines) -> int:
    """The exit status of a console line's answer."""
    return TABLE[Code(answer.code)].exit_status if answer.code in set(Code) else TABLE[Code.TASK_FAILED].exit_status


def _harmless(text: str, look: Look) -> str:
    return render.one_line(text) if look.terminal else text


# Text for each kind -------------------------------------------------------------------------------------------------------------------------------


def _or_none(text: str, rows: Sequence[object], noun: str) -> str:
    return text if rows else f"there are no {noun}\n"


def _tasks(answer: call.Tasks, look: Look) -> str:
    return status(answer.rows, look)


def inputs(answer: call.Answer, look: Look) -> str:
    """How far tasks are with their events; the same rows as a status, seen from the side of the input."""
    assert isinstance(answer, call.Tasks)
    numbers = ("GIVEN", "ACKNOWLEDGED", "OUTSTANDING", "LAG", "DEAD")
    rows = [
        (
            row.name, row.state.value, str(row.delivered), str(row.acknowledged), str(row.outstanding), render.size(row.lag_bytes),
            str(row.dead_letters),
        )
        for row in answer.rows
    ]  # fmt: skip
    return table((Column("NAME"), Column("STATE", style=state_style), *(Column(heading, right=True) for heading in numbers)), rows, look)


def _specs(answer: call.Specs, look: Look) -> str:
    if len(answer.rows) == 1:
        return _one_spec(answer.rows[0], look)
    columns = (Column("NAME"), Column("TYPE"), Column("KIND"), Column("ORIGIN"), Column("FROM"), Column("TO"), Column("COMMAND"))
    rows = [
        (row.spec.name, row.spec.type, row.spec.kind.value, row.origin, _list(row.from_tasks), _list(row.to_tasks), _command(row.spec.command))
        for row in answer.rows
    ]
    return _or_none(table(columns, rows, look), rows, "tasks")


_AS_OUTPUT = ("stdout_logfile_maxbytes", "stdout_logfile_backups", "stderr_logfile_maxbytes", "stderr_logfile_backups")
"""Keys whose -1 means what `output` says."""


def _one_spec(row: TaskDetail, look: Look) -> str:
    facts: dict[str, object] = {"origin": row.origin, "folder": row.folder, "groups": row.groups, "from": row.from_tasks, "to": row.to_tasks}
    elsewhere = {name: "as output says" for name in _AS_OUTPUT if getattr(row.spec, name) == -1}
    fields = {**_dotted(plain(row.spec)), **elsewhere, "command": _command(row.spec.command)}
    lines = [(name, _value(value)) for name, value in {**fields, **facts}.items() if value not in ("", [], {}, None)]
    width = max(len(name) for name, _ in lines)
    return "".join(f"{look.paint(name.ljust(width), DIM)}  {render.one_line(text)}\n" for name, text in lines)


def _dotted(fields: dict[str, Any]) -> dict[str, Any]:
    """Keys as `efctl set` takes them: `output.sync`.  Sizes have a unit."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": each for key, each in _dotted(value).items()}
        else:
            found[name] = render.size(value) if name.endswith(("_bytes", "max_event")) and value else value
    return found


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}s"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return str(value)


def _command(words: Sequence[str]) -> str:
    import shlex  # late on purpose: it brings `re`, and few answers need it

    return shlex.join(words)


def _list(names: Sequence[str]) -> str:
    return ",".join(names) or "-"


def _flows(answer: call.Flows, look: Look) -> str:
    columns = [Column("FLOW"), Column("MODE"), Column("FROM"), Column("TO"), Column("LAG", right=True), Column("MAX", right=True), Column("ORIGIN")]
    columns.append(Column("STATE", style=lambda text: YELLOW if text else ""))
    rows = [
        (
            row.flow or "-", row.mode.value, row.producer or "-", _list(row.consumers), render.size(row.lag_bytes),
            render.size(row.max_lag) if row.max_lag else "-", row.origin,
            "the producer is held back" if row.held_back else "",
        )
        for row in answer.rows
    ]  # fmt: skip
    return _or_none(table(columns, rows, look), rows, "flows")


FIGURES = ("IN EV/S", "IN B/S", "OUT EV/S", "OUT B/S", "LAG", "EVENTS", "OLDEST", "IN FLIGHT", "DONE", "DROPPED")


def _figures(answer: call.FlowFigures, look: Look) -> str:
    return figures(answer, look, time.time())


def figures(answer: call.FlowFigures, look: Look, now: float) -> str:
    """The table of flows with their figures.  `~` before a number: estimated; `-`: not known."""
    columns = [Column("FLOW"), Column("FROM"), Column("TO"), *(Column(heading, right=True) for heading in FIGURES)]
    columns.append(Column("STATE", style=lambda text: YELLOW if text else ""))
    rows = [
        (
            row.flow + (" (share)" if row.mode is Mode.SHARE else ""), row.producer, _list(row.consumers),
            _rate(row.in_events_s), render.size(round(row.in_bytes_s)), _rate(row.out_events_s), render.size(round(row.out_bytes_s)),
            render.size(row.lag_bytes), ("" if row.lag_exact else "~") + str(row.lag_events) if row.lag_events >= 0 else "-",
            render.duration(row.oldest_s) if row.lag_bytes else "-",
            str(row.in_flight) if row.in_flight >= 0 else f"{render.size(row.in_flight_bytes)}B",
            render.size(row.acknowledged_bytes), render.size(row.dropped_bytes) if row.dropped_bytes else "-", _edge_state(row, now),
        )
        for row in answer.rows
    ]  # fmt: skip
    return _or_none(table(columns, rows, look), rows, "flows")


def _rate(events_s: float) -> str:
    return "-" if events_s < 0 else f"{events_s:.1f}" if events_s < 10 else f"{events_s:.0f}"


def _edge_state(row: call.EdgeFigures, now: float) -> str:
    if row.held_since:
        return f"holds its producer back for {render.duration(now - row.held_since)}"
    return "drops the oldest" if row.overflow == "drop-oldest" and row.lag_bytes >= row.max_lag else ""


def _graph(answer: call.Graph, look: Look) -> str:
    from efsupervisor.cli import graph  # late on purpose: few answers need it

    return graph.drawn(answer.rows, look, graph.ASCII if look.more != "…" else graph.LINES)


ARROWS = {"in": "stdin -> task", "out": "task -> stdout", "err": "task -> stderr"}


def _passing(answer: call.Passing, look: Look) -> str:
    return "".join(passed(row, look) for row in answer.rows)


def passed(row: call.Passed, look: Look) -> str:
    """One event of the live view, after a line that says how many before it are not shown."""
    name, way = render.one_line(row.task), ARROWS.get(row.direction, row.direction)
    lines = []
    if row.missed:
        count = f"{row.missed:,} {'event' if row.missed == 1 else 'events'}" if row.missed > 0 else "some events"
        lines.append(look.paint(f"{look.more} {count} not shown ({way}, {name})", DIM))
    if row.length or row.data or not row.missed:
        text = render.text_of(row.data).replace("\n", " ").replace("\t", " ")
        head = f"{clock(row.wall)}  {way:14}  {look.paint(name, BOLD)}  "
        line = head + text + (look.more if row.length > len(row.data) else "")
        lines.append(render.fitted(line, look.width, look.more) if look.width and not look.colours else line)
    return "".join(f"{line}\n" for line in lines)


def clock(wall: float) -> str:
    """The time of a day with milliseconds, in the machine's zone."""
    return time.strftime("%H:%M:%S", time.localtime(wall)) + f".{int(wall * 1000) % 1000:03d}"


def _letters(answer: call.Letters, look: Look) -> str:
    if answer.whole:
        return "".join(_letter(row, look) for row in answer.rows)
    columns = [Column("TASK"), Column("LETTER", right=True), Column("TIME"), Column("FROM"), Column("OFFSET", right=True), Column("SIZE", right=True)]
    columns += [Column("GIVEN", right=True), Column("REASON"), Column("EVENT")]
    rows = [
        (
            row.task, str(row.letter), render.moment(row.wall), row.producer or "-", str(row.offset), render.size(row.length), str(row.deliveries),
            row.reason + (f" ({row.died})" if row.died else ""), render.one_line(render.text_of(row.event[:40]).rstrip()),
        )
        for row in answer.rows
    ]  # fmt: skip
    return _or_none(table(columns, rows, look), rows, "dead letters")


def _letter(row: LetterRow, look: Look) -> str:
    facts = [
        ("task", row.task), ("letter", str(row.letter)), ("time", render.moment(row.wall)), ("from", row.producer or "its own input queue"),
        ("offset", str(row.offset)), ("size", f"{row.length} bytes"), ("deliveries", str(row.deliveries)), ("reason", row.reason),
        ("died", row.died or "-"),
    ]  # fmt: skip
    text = "".join(f"{look.paint(f'{name:<11}', DIM)}{render.one_line(value)}\n" for name, value in facts)
    text += look.paint("last lines of stderr\n", DIM) + "".join(f"  {render.one_line(line)}\n" for line in row.lines) if row.lines else ""
    shown = render.text_of(row.event)
    return text + look.paint("event, as far as it is shown\n" if row.cut else "event\n", DIM) + (shown if shown.endswith("\n") else shown + "\n")


def _groups(answer: call.Groups, look: Look) -> str:
    columns = (Column("GROUP"), Column("ORIGIN"), Column("TASKS"), Column("MEMBERS"))
    rows = [(row.name, row.origin, _list(row.tasks), _list(row.members)) for row in answer.rows]
    return _or_none(table(columns, rows, look), rows, "groups")


def _schedules(answer: call.Schedules, look: Look) -> str:
    columns = (Column("SCHEDULE"), Column("CRON"), Column("NEXT"), Column("LAST"), Column("ORIGIN"), Column("DOES"), Column("OUTCOME"))
    rows = [
        (
            row.spec.name,
            f"{row.spec.cron} {row.spec.timezone}".strip(),
            render.moment(row.next_wall) if row.spec.enabled else "disabled",
            render.moment(row.last_wall) if row.last_outcome else "-",  # without an outcome it is the time since which it is watched
            row.origin,
            _deed(row),
            row.last_outcome + _in_the_way(row),
        )
        for row in answer.rows
    ]
    return _or_none(table(columns, rows, look), rows, "schedules")


def _deed(row: ScheduleRow) -> str:
    parts = [f"{word} {','.join(names)}" for word, names in (("act", row.spec.act), ("trm", row.spec.trm)) if names]
    if row.spec.run:
        parts.append(f"run {','.join(row.spec.run)}")
    if row.spec.task:
        parts.append(f"put {row.spec.task}")
    return "; ".join(parts) or "-"


def _in_the_way(row: ScheduleRow) -> str:
    """Times that wait, and that were left out."""
    counts = [f"{count} {word}" for count, word in ((row.waiting, "waiting"), (row.skipped, "left out")) if count]
    return f" ({', '.join(counts)})" if counts else ""


def _settings(answer: call.Settings, look: Look) -> str:
    columns = (Column("KEY"), Column("ORIGIN", style=lambda text: BOLD if text == "set" else ""), Column("CHANGE"), Column("VALUE"))
    rows = [(row.key, row.origin, "at once" if row.live else "at restart", row.value) for row in answer.rows]
    return _or_none(table(columns, rows, look), rows, "settings")


_SIGNS = {"added": ("+", GREEN), "removed": ("-", RED), "changed": ("~", YELLOW)}


def _difference(answer: call.Difference, look: Look) -> str:
    if not answer.rows:
        return "the configuration is what runs\n"
    lines = []
    for row in answer.rows:
        sign, style = _SIGNS.get(row.what, ("?", ""))
        fields = f": {', '.join(row.fields)}" if row.fields else ""
        effect = f" ({row.effect})" if row.effect else ""
        lines.append(look.paint(render.one_line(f"{sign} {row.noun} {row.name}{fields}{effect}"), style) + "\n")
    return "".join(lines) + (f"{render.counted(len(answer.rows), 'change')} applied\n" if answer.applied else "")


def _events(answer: call.Events, look: Look) -> str:
    lost = f"{render.counted(answer.lost, 'event')} before these are not kept any more\n" if answer.lost else ""
    return lost + "".join(event_line(row, look) for row in answer.rows)


def event_line(row: EventRow, look: Look) -> str:
    """One event as a line; an alert with what the program said last below it."""
    head = f"{look.paint(render.moment(row.wall), DIM)}  {look.paint(render.one_line(row.task) or '-', BOLD)}  "
    if row.what == "state":
        pid = f" pid {row.pid}" if row.pid else ""
        sentence = f"  {render.one_line(row.sentence)}" if row.sentence else ""
        return f"{head}{row.before or '-'} -> {look.paint(row.after, state_style(row.after))}{pid}{sentence}\n"
    lines = [f"{head}{look.paint(render.one_line(row.what), RED)}  {render.one_line(row.sentence)}".rstrip() + "\n"]
    if row.event:
        lines.append(f"    event: {render.one_line(render.text_of(row.event))}\n")
    lines += [f"    | {render.one_line(line)}\n" for line in row.lines]
    return "".join(lines)


def _runs(answer: call.Runs, look: Look) -> str:
    numbers = [Column(heading, right=True) for heading in ("TOOK", "IN", "OUT", "ERR", "EVENTS")]
    columns = [Column("RUN", right=True), Column("TASK"), Column("BEGAN"), *numbers, Column("STATE", style=state_style), Column("CAUSE")]
    columns.append(Column("ENDED"))
    rows = []
    for row in answer.rows:
        sizes = [render.size(count) for count in (row.in_bytes, row.out_bytes, row.err_bytes)]
        took, tries = render.duration(row.ended - row.began), f"attempt {row.attempt}" if row.attempt > 1 else ""
        cause = ", ".join(filter(None, (row.cause, tries))) or "-"
        rows.append((str(row.number), row.task, render.moment(row.began), took, *sizes, events_of(row), row.state, cause, _why(row)))
    return _or_none(table(columns, rows, look), rows, "ended runs")


def events_of(row: RunRow) -> str:
    """`3/2`: events that came in and went out, where somebody counted them."""
    counts = ["-" if count < 0 else str(count) for count in (row.events_in, row.events_out)]
    return "-" if counts == ["-", "-"] else "/".join(counts)


def _why(row: RunRow) -> str:
    """How a run ended, once: most reasons say it themselves, and 127 is the shell's number for `not executed`, which they say better."""
    ended = render.ending(row.exit_status, known=row.exit_known)
    said = not ended or ended in row.reason or row.exit_status == 127 << 8
    return row.reason if row.reason and said else "; ".join(filter(None, (ended, row.reason)))


def _piece(answer: call.Piece, look: Look) -> str:
    return render.text_of(answer.data) if look.terminal else answer.data.decode("utf-8", "surrogateescape")


def _text(answer: call.Text, look: Look) -> str:
    text = render.text_of(answer.text.encode("utf-8", "surrogateescape")) if look.terminal else answer.text
    return text if text.endswith("\n") or not text else text + "\n"


def _about(answer: call.About, look: Look) -> str:
    lines = [f"efsupervisord {render.one_line(answer.version)}, pid {answer.pid}, since {render.moment(answer.since)}, protocol {answer.protocol}\n"]
    if answer.services:
        columns = (Column("SERVICE"), Column("STATE", style=state_style), Column("PID", right=True), Column("SINCE"), Column("RESTARTS", right=True))
        rows = [
            (
                row.name, row.state.value, str(row.pid) if row.pid else "-", render.moment(row.since), str(row.restarts),
                "; ".join(filter(None, (row.health, row.reason))),
            )
            for row in answer.services
        ]  # fmt: skip
        lines.append(table((*columns, Column("HEALTH")), rows, look))
    lines += [look.paint(f"! {render.one_line(ailment)}", RED) + "\n" for ailment in answer.ailments]
    return "".join(lines)


def _resources(answer: call.Resources, look: Look) -> str:
    lines = []
    if answer.node:
        node = answer.node[-1]
        lines.append(
            f"cpu {node.cpu:.0f} % of {node.cpus}, load {node.load1:.2f}, memory {render.size(node.memory_used)} of {render.size(node.memory_total)},"
            f" disk {render.size(node.disk_used)} of {render.size(node.disk_total)}, net {render.size(int(node.net_received))}/s in"
            f" {render.size(int(node.net_sent))}/s out, {render.counted(node.processes, 'process', 'processes')}\n"
        )
    numbers = ("CPU%", "RSS", "THREADS", "FDS", "PROCESSES", "READ/s", "WRITTEN/s")
    rows = [
        (
            row.task, f"{last.cpu:.1f}", render.size(last.rss), str(last.threads), str(last.fds),
            str(last.processes), render.size(int(last.read)), render.size(int(last.written)),
        )
        for row in answer.rows
        for last in row.samples[-1:]
    ]  # fmt: skip
    if rows:
        lines.append(table((Column("TASK"), *(Column(heading, right=True) for heading in numbers)), rows, look))
    return "".join(lines) or "no figures yet\n"


def _results(answer: call.Results, look: Look) -> str:
    width = max((render.width(render.one_line(row.task)) for row in answer.rows), default=0)
    lines = []
    for row in answer.rows:
        task = render.one_line(row.task)
        head = look.paint(task + " " * (width - render.width(task)), BOLD)
        lines.append(f"{look.paint(render.moment(row.wall), DIM)}  {head}  {render.one_line(render.text_of(row.data).rstrip())}\n")
    posts = f"posts: {answer.posted} done, {answer.waiting} waiting, {answer.dropped} dropped\n"
    return ("".join(lines) or "there are no results\n") + (posts if answer.posted or answer.waiting or answer.dropped else "")


def _recovered(answer: call.Recovered, look: Look) -> str:
    task = render.one_line(answer.task)
    how = render.ending(answer.exit_status, known=answer.exit_known) if answer.ended else "the time-out ended it"
    said = ", acknowledged the event" if answer.acknowledged else ""
    why = f" ({render.one_line(answer.reason)})" if answer.reason not in ("", how) else ""
    lines = [f"{task}: {how or 'ended'}{said}, took {render.duration(answer.took_s)}{why}\n"]
    for name, data in (("out", answer.out), ("err", answer.err)):
        lines += [f"{look.paint(name + ' |', DIM)} {render.one_line(line)}\n" for line in render.text_of(data).splitlines()]
    return "".join(lines)


def _causes(answer: call.Causes, look: Look) -> str:
    task = render.one_line(answer.task)
    lines = []
    for row in answer.rows:
        before = look.paint(task, BOLD) + ": " if row.what == "now" else ""
        style = RED if row.what in ("waits", "held", "health", "dead-letter") else ""
        lines.append(f"{look.paint(render.moment(row.wall), DIM)}  {before}{look.paint(render.one_line(row.sentence), style)}\n")
        lines += [f"    {look.paint('|', DIM)} {render.one_line(line)}\n" for line in row.lines]
    return "".join(lines)


def _tree(answer: call.Tree, look: Look) -> str:
    from efsupervisor.interface.tree import flat  # late on purpose: it brings verbs, and few answers are trees

    figures = (Column(heading, right=True) for heading in ("CPU%", "TIME", "RSS"))
    columns = (Column("PROCESS"), Column("PID", right=True), Column("STATE", style=state_style), *figures, Column("WHAT"))
    rows = [
        (
            branches + (row.name if row.what not in ("program", "process") else row.name.split(" ", 1)[0].rpartition("/")[2] or row.name),
            str(row.pid or "-"), row.state, f"{row.cpu:.1f}" if row.cpu >= 0 else "-", render.duration(row.cpu_s), render.size(row.rss),
            row.name if row.what in ("program", "process") else row.what,
        )
        for branches, row in flat(answer.rows)
    ]  # fmt: skip
    return table(columns, rows, look)


_TEXTS: dict[type, Callable[[Any, Look], str]] = {
    call.Tasks: _tasks,
    call.Specs: _specs,
    call.Flows: _flows,
    call.Letters: _letters,
    call.Groups: _groups,
    call.Schedules: _schedules,
    call.Settings: _settings,
    call.Difference: _difference,
    call.Events: _events,
    call.Runs: _runs,
    call.Piece: _piece,
    call.Text: _text,
    call.About: _about,
    call.Resources: _resources,
    call.Results: _results,
    call.Recovered: _recovered,
    call.Causes: _causes,
    call.Tree: _tree,
    call.FlowFigures: _figures,
    call.Graph: _graph,
    call.Passing: _passing,
}

"""What the commands of efctl's own making do: words that were parsed in, text out, the exit status returned.

Errors leave as EfError for the `edge`.  Nothing here parses words, and nothing here imports click, so that `efctl status` can be run without it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import efsupervisor
from efsupervisor.cli import render, table
from efsupervisor.cli.client import Client
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import ShutdownRequest

if TYPE_CHECKING:
    from efsupervisor.cli.output import Output
    from efsupervisor.cli.session import Session

ALL = "all"
EVENTS_WAIT_S = 30.0
MAX_EVENTS = 1000


def names_of(words: Iterable[str]) -> list[str]:
    """Names from words that may be comma lists: in order, each once; `all` anywhere is just `all`."""
    names = list(dict.fromkeys(name for word in words for name in (part.strip() for part in word.split(",")) if name))
    return [ALL] if ALL in names else names


def some(words: Iterable[str]) -> list[str]:
    """The same, when none is a mistake."""
    names = names_of(words)
    if not names:
        raise EfError("no task is named; name some, or say `all`", Code.USAGE)
    return names


# The supervisor -----------------------------------------------------------------------------------------------------------------------------------


def status(client: Client, words: Iterable[str], output: Output, *, as_json: bool) -> int:
    """The table of the named tasks, or of all; as JSON one array of objects with every field of the protocol."""
    names = names_of(words)
    rows = client.status([] if names == [ALL] else names)
    if as_json:
        output.document(rows)
    else:
        output.write(table.status(rows, output.look))
    return 0


def version(client: Client, output: Output, *, as_json: bool) -> int:
    """efctl's own version, then the daemon's."""
    if not as_json:
        output.write(f"efctl {own_version()}\n")
    reply = client.version()
    if as_json:
        daemon = {"version": reply.version, "pid": reply.pid, "since": reply.since_wall, "protocol": reply.protocol}
        output.document({"efctl": own_version(), "efsupervisord": daemon})
    else:
        since = render.moment(reply.since_wall)
        output.write(f"efsupervisord {render.one_line(reply.version)}, pid {reply.pid}, since {since}, protocol {reply.protocol}\n")
    return 0


def own_version() -> str:
    """efctl's own."""
    return efsupervisor.__version__


def shutdown(client: Client, output: Output, *, as_json: bool) -> int:
    """Stop everything, the daemon too.  It is said to the Core itself, which outlives its siblings by the answer."""
    from efsupervisor.cli.progress import STOPPED, Watch  # late on purpose: `status` needs neither
    from efsupervisor.messages.call import Done  # late on purpose, as above

    watch = Watch(client.path, [], STOPPED, output.progress())
    client.line.meanwhile = watch
    try:
        replies = client.ask(ShutdownRequest(id=client.next_id()), waits=True)
    finally:
        watch.close()
    return output.show(Done(rows=[row for reply in replies for row in getattr(reply, "outcomes", [])]), as_json=as_json, done="stopped")


# Events -------------------------------------------------------------------------------------------------------------------------------------------


def put(client: Client, task: str, texts: Iterable[str], stdin: BinaryIO, output: Output, *, as_json: bool) -> int:
    """Put each text as one event, `-` each line of `stdin`; stops at the first that is refused and says how many are in."""
    count = 0
    for data in _events(texts, stdin):
        outcome = client.put(task, os.urandom(16).hex(), data)
        if not outcome.ok:
            before = f"; the {count} before it are in the queue" if count else ""
            raise EfError(f"event {count + 1} was not put into {task}: {render.one_line(outcome.sentence)}{before}", outcome.code)
        count += 1
    if as_json:
        output.document({"task": task, "events": count})
    else:
        output.write(f"{render.one_line(task)}: {render.counted(count, 'event')} put\n")
    return 0


def _events(texts: Iterable[str], stdin: BinaryIO) -> Iterator[bytes]:
    for text in texts:
        if text == "-":
            yield from (line.removesuffix(b"\n") for line in stdin)
        else:
            yield os.fsencode(text)


def events(session: Session, names: list[str], what: list[str], output: Output, *, last: int, since: int | None, follow: bool, as_json: bool) -> int:
    """What happened last, or since a number; with `follow` what happens from then on too, until interrupted."""
    from efsupervisor.interface.daemon import DaemonEvents  # late on purpose: it brings every verb
    from efsupervisor.messages.call import Events  # late on purpose, as above

    def look(since: int | None, limit: int, wait_s: float) -> Events:
        answer = session.do(DaemonEvents(names=names, what=what, since=since, limit=limit, wait_s=wait_s))
        if not isinstance(answer, Events):
            raise EfError("the supervisor did not answer with events", Code.BAD_REQUEST)
        return answer

    if since is None:
        since = max(0, look(None, 1, 0.0).next - last)
    answer = look(since, MAX_EVENTS, 0.0)
    _show_events(answer, output, as_json=as_json, lines=follow)
    while follow:
        output.out.flush()
        answer = look(answer.next, MAX_EVENTS, EVENTS_WAIT_S)
        _show_events(answer, output, as_json=as_json, lines=True)
    return 0


def _show_events(answer: object, output: Output, *, as_json: bool, lines: bool) -> None:
    from efsupervisor.cli import answers  # late on purpose: the quick way needs no kind of answer
    from efsupervisor.messages.call import Events  # late on purpose, as above

    assert isinstance(answer, Events)
    if as_json and lines:
        for row in answer.rows:
            output.document(answers.plain(row), line=True)
    else:
        output.show(answer, as_json=as_json)

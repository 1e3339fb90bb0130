"""Replies: frames below the limit, pieces of journals, refusals."""

from __future__ import annotations

import pytest

from efsupervisor.conf.schema import InputSpec, TaskSpec
from efsupervisor.core import journals
from efsupervisor.core.desk import check_put
from efsupervisor.core.frames import done_frames, status_frames
from efsupervisor.core.journals import journal_of, read, tail_offset
from efsupervisor.core.tasks import Task
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import (
    MAX_FRAME,
    DoneReply,
    InEdge,
    Outcome,
    PutRequest,
    ReadRequest,
    Reply,
    Report,
    TaskStatus,
    Wiring,
    decode,
    encode,
)
from efsupervisor.states import Goal, State
from efsupervisor.task.paths import TaskPaths


def rows(count: int, reason: str = "") -> list[TaskStatus]:
    return [TaskStatus(name=f"task-{n}", state=State.RUNNING, goal=Goal.ACT, reason=reason) for n in range(count)]


# Frames --------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "x" * 1000, "\x01" * 1000, "\U0001f600" * 1000])
def test_no_frame_of_a_status_exceeds_the_limit_and_no_row_is_lost(reason: str) -> None:
    asked = rows(2000, reason)
    frames = list(status_frames("id" * 100, iter(asked)))
    assert all(len(encode(frame)) <= MAX_FRAME for frame in frames)
    assert [row for frame in frames for row in frame.tasks] == asked
    assert [frame.more for frame in frames] == [True] * (len(frames) - 1) + [False]
    assert len(frames) > 1


def test_a_status_without_tasks_is_one_empty_frame() -> None:
    frames = list(status_frames("1", iter(())))
    assert [(frame.tasks, frame.more) for frame in frames] == [([], False)]


def test_outcomes_that_fit_keep_their_order() -> None:
    asked = [Outcome(task="a", ok=True), Outcome(task="b", ok=False, code=Code.TASK_FAILED), Outcome(task="c", ok=True)]
    (reply,) = done_frames("1", asked)
    assert isinstance(reply, DoneReply)
    assert reply.outcomes == asked


def test_of_too_many_outcomes_the_failures_are_named_first_and_the_rest_is_counted() -> None:
    asked = [Outcome(task=f"task-{n}", ok=n != 4000, code=Code.OK if n != 4000 else Code.TASK_FAILED, sentence="RUNNING, pid 1") for n in range(5000)]
    (reply,) = done_frames("1", asked)
    assert isinstance(reply, DoneReply)
    assert len(encode(reply)) <= MAX_FRAME
    assert reply.outcomes[0].task == "task-4000"
    assert reply.outcomes[-1].ok
    assert str(5000 - len(reply.outcomes) + 1) in reply.outcomes[-1].sentence


def test_a_failure_that_is_not_named_still_makes_the_whole_a_failure() -> None:
    asked = [Outcome(task=f"task-{n}", ok=False, code=Code.TASK_FAILED, sentence="x" * 1000) for n in range(500)]
    (reply,) = done_frames("1", asked)
    assert isinstance(reply, DoneReply)
    assert len(encode(reply)) <= MAX_FRAME
    assert not reply.outcomes[-1].ok


# Journals ------------------------------------------------------------------------------------------------------------------------------------


class FakeReader:
    """A journal of bytes that begins at `base` and hands out at most `most` at a time."""

    def __init__(self, data: bytes, base: int = 0, most: int = 1 << 20) -> None:
        self._data, self._base, self._most = data, base, most

    def first(self) -> int:
        return self._base

    def end(self) -> int:
        return self._base + len(self._data)

    def skip(self, offset: int) -> int:
        return max(offset, self._base)

    def fragments(self, _offset: int) -> list[object]:
        return []

    def framing(self, _offset: int) -> int:
        return 0

    def read(self, offset: int, limit: int) -> bytes:
        at = offset - self._base
        return self._data[at : at + min(limit, self._most)] if at >= 0 else b""


def tail(data: bytes, lines: int, **more: int) -> bytes:
    reader = FakeReader(data, **more)
    return data[tail_offset(reader, reader.end(), lines) - reader.first() :]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "lines", "expected"),
    [
        (b"", 3, b""),
        (b"one\n", 1, b"one\n"),
        (b"one\ntwo\nthree\n", 2, b"two\nthree\n"),
        (b"one\ntwo\nthree", 2, b"two\nthree"),
        (b"one\ntwo\n", 0, b""),
        (b"one\ntwo\n", 9, b"one\ntwo\n"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"no end", 1, b"no end"),
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 3, 48 << 10])
def test_the_last_lines_are_found_whatever_the_pieces(data: bytes, lines: int, expected: bytes, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MAX_READ", piece)
    assert tail(data, lines) == expected
    assert tail(data, lines, base=1000, most=2) == expected


def test_a_line_without_end_is_not_searched_for_its_beginning_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "TAIL_BYTES", 100)
    assert tail(b"x" * 5000, 1) == b"x" * 100


def test_a_read_begins_at_the_oldest_byte_that_is_left_and_says_where_to_go_on() -> None:
    reply = read(FakeReader(b"abcdef", base=10), ReadRequest(id="1", task="t", offset=0, limit=4))  # type: ignore[arg-type]
    assert (reply.offset, reply.data, reply.next, reply.end) == (10, b"abcd", 14, 16)


def test_a_read_at_or_beyond_the_end_is_empty() -> None:
    for offset in (16, 400):
        reply = read(FakeReader(b"abcdef", base=10), ReadRequest(id="1", task="t", offset=offset))  # type: ignore[arg-type]
        assert (reply.data, reply.next) == (b"", offset)


def test_the_largest_read_fits_into_a_frame() -> None:
    reader = FakeReader(bytes(range(256)) * 4096)
    reply = read(reader, ReadRequest(id="x" * 64, task="t", offset=0, limit=1 << 40))  # type: ignore[arg-type]
    assert len(encode(reply)) <= MAX_FRAME
    assert decode(encode(reply), Reply) == reply


@pytest.mark.parametrize("stream", ["", "../out", "OUT", "run", "x" * 100_000])
def test_only_the_four_streams_of_a_task_can_be_read(stream: str) -> None:
    with pytest.raises(EfError) as caught:
        journal_of(TaskPaths("/var/tasks/t"), stream)
    assert caught.value.code is Code.USAGE
    assert len(caught.value.message) < 200


# Puts ----------------------------------------------------------------------------------------------------------------------------------------


def task(*, takes_events: bool, max_event: int = 1 << 20) -> Task:
    spec = TaskSpec(name="t", command=["cat"], input=InputSpec(max_event=max_event))
    own = InEdge(id="0" * 16, producer="", folder="/f", journal="/j")
    wiring = Wiring(spec=spec, task_dir="/t", namespace="n", inputs=[own] if takes_events else [])
    return Task(spec=spec, wiring=wiring, paths=TaskPaths("/t"), report=Report(state=State.STOPPED, goal=Goal.TRM))


@pytest.mark.parametrize(
    ("case", "request_", "code"),
    [
        (task(takes_events=False), PutRequest(id="1", task="t", put_id="a", data=b"x"), Code.NO_INPUT),
        (task(takes_events=True, max_event=3), PutRequest(id="1", task="t", put_id="a", data=b"1234"), Code.TOO_LARGE),
        (task(takes_events=True), PutRequest(id="1", task="t", put_id="", data=b"x"), Code.BAD_REQUEST),
        (task(takes_events=True), PutRequest(id="1", task="t", put_id="a", data=b"two\nlines\n"), Code.BAD_REQUEST),
        (task(takes_events=True), PutRequest(id="1", task="t", put_id="a" * 201, data=b"x"), Code.BAD_REQUEST),
    ],
)
def test_an_event_that_a_task_cannot_take_is_refused_with_its_code(case: Task, request_: PutRequest, code: Code) -> None:
    with pytest.raises(EfError) as caught:
        check_put(case, request_)
    assert caught.value.code is code


def test_an_event_of_exactly_the_limit_is_taken() -> None:
    check_put(task(takes_events=True, max_event=3), PutRequest(id="1", task="t", put_id="a", data=b"12\n"))

"""Each kind of answer as text and as JSON."""

from __future__ import annotations

import base64
import json
import typing
from typing import Any

import pytest

from efsupervisor.cli import answers
from efsupervisor.cli.terminal import PLAIN, Look
from efsupervisor.conf.schema import ScheduleSpec, TaskSpec
from efsupervisor.errors import TABLE, Code
from efsupervisor.messages import call
from efsupervisor.messages.core import (
    Cause,
    Change,
    EventRow,
    FlowRow,
    GroupRow,
    LetterRow,
    Outcome,
    RunRow,
    ScheduleRow,
    ServiceRow,
    SettingRow,
    TaskDetail,
    TaskStatus,
    Twig,
)
from efsupervisor.states import Goal, Mode, State

HOSTILE = "x\x1b[2Jy"
TERMINAL = Look(True, True, 200)

DETAIL = TaskDetail(spec=TaskSpec(name="web", command=["python3", "a b.py"]), origin="added", groups=["front"], to_tasks=["log"])
SERVICE = ServiceRow(name="web", state=State.BACKOFF, restarts=3, reason="killed by SIGKILL")
ALERT = EventRow(seq=8, wall=1.0, what="message", task="web", sentence=HOSTILE, event=b"e\xff", lines=["last words"])
TRANSITION = EventRow(seq=7, wall=1.0, what="state", task="a", before="RUNNING", after="EXITED", pid=4)
RUN = RunRow(number=3, task="a", incarnation=1, began=1.0, ended=4.0, exit_status=256, state="FATAL", reason="gave up")
LETTER = LetterRow(
    task="count", letter=3, producer="hits", offset=4096, length=5120, deliveries=5, reason="not acknowledged", wall=1.0, died="exit status 1",
    event=b"\x1b[2Jbad", cut=True, lines=["\x1b[2Jwoe"],
)  # fmt: skip
SAMPLES: list[tuple[Any, list[str]]] = [
    (call.Tasks(rows=[TaskStatus(name="web", state=State.RUNNING, goal=Goal.ACT, pid=7)]), ["web", "RUNNING", "7"]),
    (call.Specs(rows=[DETAIL]), ["python3 'a b.py'", "front", "added", "stdout_logfile_maxbytes  as output says"]),
    (call.Specs(rows=[DETAIL, DETAIL]), ["NAME", "python3 'a b.py'", "log"]),
    (call.Flows(rows=[FlowRow(flow="f", producer="a", consumers=["b", "c"], lag_bytes=2048, held_back=True)]), ["b,c", "2.0K", "held back"]),
    (call.Groups(rows=[GroupRow(name="front", tasks=["w*"], members=["web", "www"])]), ["front", "w*", "web,www"]),
    (call.Schedules(rows=[ScheduleRow(spec=ScheduleSpec(name="s", cron="0 3 * * *", act=["a"], task="b", put="x"))]), ["0 3 * * *", "act a; put b"]),
    (call.Schedules(rows=[ScheduleRow(spec=ScheduleSpec(name="s", cron="0 3 * * *", enabled=False))]), ["disabled"]),
    (
        call.Schedules(rows=[ScheduleRow(spec=ScheduleSpec(name="s", cron="0 3 * * *", run=["f", "g"]), last_outcome="ok", waiting=2, skipped=3)]),
        ["run f,g", "ok (2 waiting, 3 left out)"],
    ),
    (call.Settings(rows=[SettingRow(key="web.port", value="80", origin="set", live=False)]), ["web.port", "80", "set", "at restart"]),
    (call.Difference(rows=[Change(noun="task", name="a", what="changed", fields=["user"], effect="restarts")]), ["~ task a: user (restarts)"]),
    (call.Difference(rows=[Change(noun="task", name="a", what="added")], applied=True), ["+ task a", "1 change applied"]),
    (call.Difference(rows=[]), ["the configuration is what runs"]),
    (call.Events(rows=[TRANSITION], lost=2), ["RUNNING -> EXITED pid 4", "2 events"]),
    (call.Events(rows=[ALERT]), ["message  x^[[2Jy", "event: e\\xff", "| last words"]),
    (call.Letters(rows=[LETTER]), ["count", "3", "hits", "4096", "5.0K", "not acknowledged (exit status 1)", "^[[2Jbad"]),
    (call.Letters(rows=[LETTER], whole=True), ["letter     3", "last lines of stderr", "  ^[[2Jwoe", "event, as far as it is shown", "bad"]),
    (call.Runs(rows=[RUN]), ["exit status 1; gave up", "3.0s"]),
    (call.Done(rows=[Outcome(task="a", ok=True)]), ["a: done"]),
    (call.Piece(task="a", stream="out", offset=0, data=b"x\x1b[2Jy\n", next=7, end=7), ["x"]),
    (call.Text(text="a page"), ["a page\n"]),
    (
        call.FlowFigures(
            rows=[
                call.EdgeFigures(flow="f", producer="a", consumers=["b", "c"], mode=Mode.SHARE, lag_bytes=2048, lag_events=12,
                                 lag_exact=False, oldest_s=75.0, in_bytes_s=1536.0, in_events_s=2.5, out_events_s=-1.0, in_flight=-1,
                                 in_flight_bytes=4096, held_since=1.0),
                call.EdgeFigures(flow="g", producer="a", consumers=["d"], overflow="drop-oldest", max_lag=9, lag_bytes=10, dropped_bytes=3072),
            ]
        ),
        ["f (share)", "b,c", "2.0K", "~12", "1m15s", "1.5K", "2.5", "4.0KB", "holds its producer back", "3.0K", "drops the oldest"],
    ),
    (call.FlowFigures(rows=[]), ["there are no flows"]),
    (call.Graph(rows=[call.Arrow(flow="f", producer=HOSTILE, consumers=["b"], producer_state=State.RUNNING)]), ["[x^[[2Jy]", "──▶ [b]", "f -> b"]),
    (call.Graph(rows=[]), ["there are no flows"]),
    (
        call.Passing(rows=[call.Passed(wall=1.5, direction="in", task="a", data=b"x\x1b[2Jy\xff", length=300, missed=1203)]),
        ["… 1,203 events not shown (stdin -> task, a)", ".500  stdin -> task   a  x^[[2Jy\\xff…"],
    ),
    (call.Passing(rows=[call.Passed(wall=1.5, direction="err", task="a", missed=-1)]), ["… some events not shown (task -> stderr, a)"]),
    (call.Lines(lines=["OK : fine"]), ["OK : fine\n"]),
    (call.About(version="9", pid=7, since=1.0, services=[SERVICE], ailments=["full"]), ["efsupervisord 9, pid 7", "killed by SIGKILL", "! full"]),
    (
        call.Resources(node=[call.NodeSample(wall=1.0, cpu=12.0)], rows=[call.TaskFigures(task="a", samples=[call.TaskSample(wall=1.0, rss=2048)])]),
        ["cpu 12 % of 1", "2.0K"],
    ),
    (call.Resources(node=[], rows=[]), ["no figures yet"]),
    (call.Results(rows=[call.ResultRow(task="a", offset=3, wall=1.0, data=b"42\n")], posted=1), ["a  42\n", "posts: 1 done"]),
    (call.Recovered(task="a", ended=True, exit_status=0, acknowledged=True, out=b"42\n", took_s=0.5), ["exit status 0, acknowledged", "out | 42"]),
    (call.Recovered(task="a", ended=False), ["the time-out ended it"]),
    (
        call.Causes(task="web", state=State.BACKOFF, rows=[
            Cause(wall=1.0, what="now", sentence="it is BACKOFF: exit status 1", lines=[HOSTILE]),
            Cause(wall=1.0, what="held", sentence="it waits"),
        ]),
        ["web: it is BACKOFF: exit status 1", "| x^[[2Jy", "  it waits"],
    ),
    (
        call.Tree(rows=[
            Twig(depth=0, what="task", name="web", state="RUNNING", rss=2048),
            Twig(depth=1, what="worker", name="worker of web", pid=6, state="S"),
            Twig(depth=2, what="program", name="/bin/sh -c x", pid=7, state="S", cpu=2.5),
        ]),
        ["web ", "2.0K", "└─ worker of web", "   └─ sh ", "2.5", "/bin/sh -c x"],
    ),
]  # fmt: skip


def everything(answer: Any, look: Look) -> str:
    shown = answers.shown(answer, look)
    return shown.out + shown.err


@pytest.mark.parametrize(("answer", "parts"), SAMPLES, ids=[type(answer).__name__ for answer, _ in SAMPLES])
def test_an_answer_says_what_is_in_it(answer: Any, parts: list[str]) -> None:
    text = everything(answer, PLAIN)
    assert [part for part in parts if part not in text] == []
    assert text.endswith("\n")
    assert "\x1b[3" not in text


def test_no_kind_of_answer_is_missing() -> None:
    assert {type(answer) for answer, _ in SAMPLES} == set(typing.get_args(call.Answer))


@pytest.mark.parametrize(("answer", "_parts"), SAMPLES, ids=[type(answer).__name__ for answer, _ in SAMPLES])
def test_no_answer_drives_a_terminal(answer: Any, _parts: list[str]) -> None:
    text = everything(answer, Look(terminal=True))
    assert "\x1b" not in text


@pytest.mark.parametrize(("answer", "_parts"), SAMPLES, ids=[type(answer).__name__ for answer, _ in SAMPLES])
def test_every_answer_is_one_json_document_with_every_field_of_the_protocol(answer: Any, _parts: list[str]) -> None:
    document = json.loads(answers.as_json(answer).out)
    fields = set(answer.__struct_fields__)
    if fields == {"rows"} or isinstance(answer, call.Tasks):
        assert isinstance(document, list)
        assert all(set(row) >= set(struct.__struct_fields__) for row, struct in zip(document, answer.rows, strict=True))
    else:
        assert fields <= set(document)
        assert "kind" not in document


def test_bytes_are_base64_with_their_text_beside_them() -> None:
    (row,) = json.loads(answers.as_json(call.Results(rows=[call.ResultRow(task="a", offset=3, wall=1.0, data=b"a\xff")])).out)["rows"]
    assert base64.b64decode(row["data"]) == b"a\xff"
    assert row["data_text"] == "a\\xff"


@pytest.mark.parametrize("answer", [call.Tasks(rows=[]), call.Flows(rows=[]), call.Groups(rows=[]), call.Schedules(rows=[]), call.Runs(rows=[])])
def test_nothing_is_said_in_words_and_as_an_empty_list(answer: Any) -> None:
    assert everything(answer, PLAIN).startswith("there are no ")
    assert json.loads(answers.as_json(answer).out) == []


def test_failures_go_to_stderr_and_their_common_code_is_the_status() -> None:
    good, bad = Outcome(task="a", ok=True), Outcome(task="b", ok=False, code=Code.NO_SUCH_TASK, sentence="there is no b")
    assert answers.shown(call.Done(rows=[good, bad]), PLAIN, "started") == answers.Shown("a: started\n", "b: there is no b\n", 3)
    assert answers.as_json(call.Done(rows=[good, bad])).status == 3


def test_a_line_that_is_not_ok_has_the_status_of_its_code() -> None:
    assert answers.shown(call.Lines(lines=["NOK : no"], code="usage")).status == TABLE[Code.USAGE].exit_status
    assert answers.shown(call.Lines(lines=["NOK : no"], code="a newer one")).status == 1


def test_colours_come_only_where_they_are_wanted() -> None:
    answer = call.Tasks(rows=[TaskStatus(name="web", state=State.FATAL, goal=Goal.ACT)])
    assert "\x1b[31mFATAL\x1b[0m" in everything(answer, TERMINAL)

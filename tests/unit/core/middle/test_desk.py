"""Calls at the desk: roles, deadlines, calls that come again, callers that go away, and what is noted down."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.core.middle.desk import frames
from efsupervisor.errors import Code, EfError
from efsupervisor.interface import VERBS
from efsupervisor.messages import FailedReply, decode, encode
from efsupervisor.messages.call import About, Answered, Call, ConsoleCall, Done, FromMiddle, Lines, Text
from efsupervisor.messages.core import ActRequest, DoneReply, Outcome, ServicesRequest, StatusReply, StatusRequest, TaskStatus, VersionReply
from efsupervisor.states import Goal, Role, State
from tests.unit.core.middle.fakes import Bench, FakePeer

DONE = [DoneReply(id="", outcomes=[Outcome(task="a", ok=True)])]
WAS_DONE = Done(rows=[Outcome(task="a", ok=True)])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def act(call_id: str = "1", **more: Any) -> Call:
    return Call(**{"id": call_id, "verb": "act", "fields": msgspec.Raw(b'{"names":["a"]}'), **more})


def status(call_id: str = "1", **more: Any) -> Call:
    return Call(**{"id": call_id, "verb": "task.status", **more})


def the_failure(peer: FakePeer) -> FailedReply:
    [frame] = peer.frames
    assert isinstance(frame, FailedReply)
    return frame


def test_a_call_is_answered_with_its_id_when_the_core_has_answered(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act())
    assert (bench.peer.frames, bench.peer.under_way) == ([], 1)
    assert bench.link.asked[0].request == ActRequest(id="1", names=["a"], asked_by="uid 0 pid 7")
    bench.link.asked[0].done(DONE)
    assert bench.peer.frames == [Answered(id="1", answer=WAS_DONE)]
    assert (bench.peer.under_way, len(bench.desk)) == (0, 0)


def test_a_line_of_the_console_is_answered_with_lines(bench: Bench) -> None:
    bench.desk.serve(bench.peer, ConsoleCall(id="1", line="act a"))
    bench.link.asked[0].done(DONE)
    assert bench.peer.frames == [Answered(id="1", answer=Lines(lines=["OK : a"]))]


def test_the_line_and_the_typed_call_ask_the_same(bench: Bench) -> None:
    bench.desk.serve(bench.peer, ConsoleCall(id="1", line="act a"))
    bench.desk.serve(FakePeer(uid=5), act())
    assert msgspec.structs.replace(bench.link.asked[1].request, asked_by="uid 0 pid 7") == bench.link.asked[0].request


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (Call(id="1", verb="nonsense"), Code.USAGE),
        (Call(id="1", verb="act"), Code.BAD_REQUEST),
        (Call(id="1", verb="act", fields=msgspec.Raw(b"[]")), Code.BAD_REQUEST),
        (Call(id="1", verb="act", fields=msgspec.Raw(b'{"names":["a"],"x":1}')), Code.BAD_REQUEST),
        (Call(id="", verb="task.status"), Code.BAD_REQUEST),
        (Call(id="x" * 201, verb="task.status"), Code.BAD_REQUEST),
        (act(role=Role.VIEW), Code.REFUSED),
    ],
)
def test_what_is_wrong_with_a_call_is_answered_and_asks_nobody(bench: Bench, call: Call, code: Code) -> None:
    bench.desk.serve(bench.peer, call)
    assert the_failure(bench.peer).code is code
    assert bench.link.asked == []
    assert bench.peer.under_way == 0


def test_a_wrong_line_is_answered_with_a_nok_line(bench: Bench) -> None:
    bench.desk.serve(bench.peer, ConsoleCall(id="1", line="acct a"))
    [frame] = bench.peer.frames
    assert frame.answer.lines[0].startswith("NOK : ")
    assert frame.answer.code == Code.USAGE


@pytest.mark.parametrize("role", list(Role))
def test_no_role_can_do_more_than_it_may_in_any_dialect(bench: Bench, role: Role) -> None:
    needed = {"task.status": Role.VIEW, "act": Role.OPERATE, "task.del": Role.ADMIN}
    lines = {"task.status": "shw status a", "act": "act a", "task.del": "del task a"}
    for verb, least in needed.items():
        for number, call in enumerate(
            [
                Call(id=f"t{verb}", verb=verb, fields=msgspec.Raw(b'{"names":["a"]}'), role=role),
                ConsoleCall(id=f"c{verb}", line=lines[verb], role=role),
            ]
        ):
            before = len(bench.link.asked)
            bench.desk.serve(bench.peer, call)
            assert (len(bench.link.asked) > before) is role.includes(least), (verb, number)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "all", "", "x" * 300, "state", "1s", "input.window"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["names", "task", "settings", "key", "a"]), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({field for verb in VERBS.values() for field in verb.__struct_fields__})


@given(st.sampled_from(sorted(VERBS)), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
@settings(max_examples=400, deadline=None)
def test_whatever_fields_a_call_has_it_is_answered_once_or_waits_for_something(verb: str, fields: dict[str, object]) -> None:
    bench = Bench()
    encoded = msgspec.Raw(json.dumps(fields).encode())
    bench.desk.serve(bench.peer, Call(id="1", verb=verb, fields=encoded))
    assert len(bench.peer.frames) + len(bench.desk) == 1
    assert bench.peer.under_way == len(bench.desk)


def test_a_sentence_with_bytes_that_are_no_text_is_a_frame_all_the_same() -> None:
    [frame] = frames(act(), EfError("it could not be read: /var/\udcff"))
    assert decode(encode(frame), FromMiddle).sentence == "it could not be read: /var/\\udcff"  # type: ignore[arg-type, attr-defined]


# Deadlines ----------------------------------------------------------------------------------------------------------------------------------------


def test_a_command_that_was_passed_on_goes_on_after_the_deadline_and_says_so(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act(deadline_s=2.0))
    bench.reactor.pass_(1.9)
    assert bench.peer.frames == []
    bench.reactor.pass_(0.2)
    failure = the_failure(bench.peer)
    assert failure.code is Code.TIMEOUT
    assert "passed on to the Core and goes on" in failure.sentence
    bench.link.asked[0].done(DONE)
    bench.desk.serve(FakePeer(), act())
    assert len(bench.link.asked) == 1, "its outcome is remembered for whoever says it again"


def test_a_command_that_reached_nobody_is_given_up_and_may_be_said_again(bench: Bench) -> None:
    bench.link.connected = False
    bench.link.lost_at = 99.0
    bench.desk.serve(bench.peer, act(deadline_s=2.0))
    bench.reactor.pass_(2.1)
    assert "nothing was done" in the_failure(bench.peer).sentence
    assert "cannot be reached" in the_failure(bench.peer).sentence
    assert bench.link.asked[0].forgotten
    assert len(bench.desk) == 0
    bench.desk.serve(bench.peer, act())
    assert len(bench.link.asked) == 2


def test_a_look_that_takes_too_long_is_ended(bench: Bench) -> None:
    bench.desk.serve(bench.peer, status(deadline_s=2.0))
    bench.reactor.pass_(2.1)
    assert "nothing was changed" in the_failure(bench.peer).sentence
    assert len(bench.desk) == 0
    bench.link.asked[0].done([StatusReply(id="", tasks=[])])
    assert len(bench.peer.frames) == 1


def test_a_call_without_a_deadline_waits(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act(deadline_s=0.0))
    bench.reactor.pass_(100_000.0)
    assert bench.peer.frames == []
    bench.link.asked[0].done(DONE)
    assert bench.peer.frames == [Answered(id="1", answer=WAS_DONE)]


def test_a_slow_call_holds_up_no_other(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act("slow", deadline_s=0.0))
    for number in range(100):
        bench.desk.serve(bench.peer, status(f"s{number}"))
        bench.link.asked[-1].done([StatusReply(id="", tasks=[])])
    assert len(bench.peer.frames) == 100
    assert len(bench.desk) == 1


# Calls that come again -----------------------------------------------------------------------------------------------------------------------------


def test_a_call_that_comes_again_while_it_is_under_way_is_run_once_and_answered_twice(bench: Bench) -> None:
    other = FakePeer(pid=8)
    bench.desk.serve(bench.peer, act())
    bench.desk.serve(other, act())
    assert len(bench.link.asked) == 1
    bench.link.asked[0].done(DONE)
    assert bench.peer.frames == other.frames == [Answered(id="1", answer=WAS_DONE)]


def test_each_of_them_has_his_own_deadline_and_dialect(bench: Bench) -> None:
    other = FakePeer(pid=8)
    bench.desk.serve(bench.peer, act(deadline_s=1.0))
    bench.desk.serve(other, ConsoleCall(id="1", line="act a", deadline_s=9.0))
    bench.reactor.pass_(2.0)
    assert the_failure(bench.peer).code is Code.TIMEOUT
    bench.link.asked[0].done(DONE)
    assert other.frames == [Answered(id="1", answer=Lines(lines=["OK : a"]))]


def test_a_call_that_was_answered_is_answered_again_from_memory(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act())
    bench.link.asked[0].done(DONE)
    bench.desk.serve(bench.peer, act())
    assert len(bench.link.asked) == 1
    assert bench.peer.frames == [Answered(id="1", answer=WAS_DONE)] * 2


def test_a_refusal_is_answered_again_too(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act())
    bench.link.asked[0].failed(EfError("no", Code.NO_SUCH_TASK))
    bench.desk.serve(bench.peer, act())
    assert len(bench.link.asked) == 1
    assert bench.peer.frames == [FailedReply(id="1", code=Code.NO_SUCH_TASK, sentence="no")] * 2


def test_an_id_that_was_used_for_something_else_is_refused(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act())
    bench.desk.serve(bench.peer, Call(id="1", verb="trm", fields=msgspec.Raw(b'{"names":["a"]}')))
    assert the_failure(bench.peer).code is Code.BAD_REQUEST
    assert len(bench.link.asked) == 1


def test_nobody_reads_the_answer_to_what_another_user_of_the_web_did(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act(on_behalf="ann"))
    bench.link.asked[0].done(DONE)
    bench.desk.serve(other := FakePeer(), act(on_behalf="bob"))
    assert the_failure(other).code is Code.BAD_REQUEST


def test_what_changes_nothing_is_looked_at_anew_each_time(bench: Bench) -> None:
    for _ in range(2):
        bench.desk.serve(bench.peer, status())
    ids = [ask.request.id for ask in bench.link.asked]
    assert len(set(ids)) == 2
    assert all(isinstance(ask.request, StatusRequest) for ask in bench.link.asked)


# Callers that go away ------------------------------------------------------------------------------------------------------------------------------


def test_what_changes_nothing_ends_with_its_caller(bench: Bench) -> None:
    bench.desk.serve(bench.peer, status())
    bench.desk.gone(bench.peer)
    assert len(bench.desk) == 0
    assert bench.link.asked[0].forgotten


def test_what_changes_something_goes_on_without_its_caller_and_is_remembered(bench: Bench) -> None:
    bench.desk.serve(bench.peer, act())
    bench.desk.gone(bench.peer)
    assert len(bench.desk) == 1
    bench.link.asked[0].done(DONE)
    bench.desk.serve(again := FakePeer(pid=9), act())
    assert again.frames == [Answered(id="1", answer=WAS_DONE)]
    assert bench.peer.frames == []


# Signs of life -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [Code.TIMEOUT, Code.NOT_RUNNING])
def test_who_runs_is_answered_without_the_core(bench: Bench, code: Code) -> None:
    bench.desk.serve(bench.peer, Call(id="1", verb="daemon.version"))
    assert bench.link.asked[0].patience_s is not None
    bench.link.asked[0].failed(EfError("the Core is hung", code))
    [frame] = bench.peer.frames
    assert frame.answer == About(version="own", pid=0, since=0.0, ailments=["the Core is hung"], ready=False)


def test_who_runs_is_the_cores_own_word_when_it_answers(bench: Bench) -> None:
    bench.desk.serve(bench.peer, Call(id="1", verb="daemon.version"))
    bench.link.asked[0].done([VersionReply(id="", version="1", pid=2, since_wall=3.0)])
    assert isinstance(bench.link.asked[1].request, ServicesRequest)


def test_help_needs_no_core(bench: Bench) -> None:
    bench.desk.serve(bench.peer, ConsoleCall(id="1", line="hlp act", language="ko"))
    bench.desk.serve(bench.peer, Call(id="1", verb="help.topic", language="ko"))
    assert [frame.answer for frame in bench.peer.frames] == [Lines(lines=["OK : act/ko"]), Text(text="/ko")]


# Frames and notes ----------------------------------------------------------------------------------------------------------------------------------


def test_an_answer_of_many_rows_comes_in_frames_that_fit(bench: Bench) -> None:
    rows = [TaskStatus(name=f"task-{number}", state=State.RUNNING, goal=Goal.ACT, reason="x" * 200) for number in range(2000)]
    bench.desk.serve(bench.peer, status())
    bench.link.asked[0].done([StatusReply(id="", tasks=rows)])
    assert [frame.more for frame in bench.peer.frames] == [True] * (len(bench.peer.frames) - 1) + [False]
    assert [row for frame in bench.peer.frames for row in frame.answer.rows] == rows
    assert len(bench.peer.frames) > 3


def test_a_row_that_fits_into_no_frame_is_said_to(bench: Bench) -> None:
    bench.desk.serve(bench.peer, status())
    bench.link.asked[0].done([StatusReply(id="", tasks=[TaskStatus(name="a", state=State.RUNNING, goal=Goal.ACT, reason="x" * 200_000)])])
    assert the_failure(bench.peer).code is Code.TOO_LARGE


def test_each_change_is_noted_with_who_what_and_outcome_and_no_secret(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fields = msgspec.Raw(b'{"key":"web.token","value":"hunter2"}')
    bench.desk.serve(bench.peer, Call(id="1", verb="conf.set", fields=fields, on_behalf="ann\n"))
    bench.link.asked[0].failed(EfError("no such key", Code.CONFIG))
    bench.desk.serve(bench.peer, status("2"))
    bench.link.asked[1].done([StatusReply(id="", tasks=[])])
    assert [record.getMessage() for record in caplog.records] == ["uid 0 pid 7 for ann\\x0a: conf.set web.token: config: no such key"]

"""One full message of every kind that callers, the middle interface and collectors say to each other, and one of every answer; part of samples.py."""

from __future__ import annotations

import msgspec

from efsupervisor import messages
from efsupervisor.conf.schema import ScheduleSpec, TaskSpec
from efsupervisor.errors import Code
from efsupervisor.messages import call
from efsupervisor.states import Goal, Mode, Role, State

VOCABULARIES = {"ToMiddle": call.ToMiddle, "FromMiddle": call.FromMiddle, "Answer": call.Answer}

FAILED = messages.FailedReply(id="1", code=Code.TIMEOUT, sentence="not done within 5 s")
SERVICE = messages.ServiceRow(name="middle", state=State.RUNNING, pid=7, since=1700000000.5, restarts=1, reason="hung", health="äöü")
LETTER = messages.LetterRow(
    task="a", letter=7, producer="p", offset=5, length=3, deliveries=2, reason="why", wall=1.5, died="exit status 3", status=768, event=b"\0\xff\n",
    cut=True, lines=["last"], edge="0" * 16,
)  # fmt: skip
ANSWERS: list[object] = [
    call.Tasks(rows=[messages.TaskStatus(name="이벤트", state=State.RUNNING, goal=Goal.ACT, pid=3)], ending=True),
    call.Specs(rows=[messages.TaskDetail(spec=TaskSpec(name="a", command=["x"]), origin="added", folder="/f", groups=["g"], from_tasks=["b"])]),
    call.Flows(rows=[messages.FlowRow(flow="f", producer="a", consumers=["b"], mode=Mode.SHARE, origin="added", lag_bytes=1, held_back=True)]),
    call.Groups(rows=[messages.GroupRow(name="g", tasks=["a*"], members=["a"], origin="added")]),
    call.Schedules(rows=[messages.ScheduleRow(spec=ScheduleSpec(name="s", cron="0 3 * * *"), next_wall=1.5, last_wall=0.5, last_outcome="ok")]),
    call.Settings(rows=[messages.SettingRow(key="web.port", value="1", origin="set", live=False)]),
    call.Difference(rows=[messages.Change(noun="task", name="a", what="changed", fields=["user"], effect="restarts")], applied=True),
    call.Events(rows=[messages.EventRow(seq=3, wall=1.5, what="state", task="a", event=b"\0\xff", lines=["x"])], next=4, lost=2),
    call.Runs(rows=[messages.RunRow(number=1, task="a", incarnation=2, began=1.5, ended=2.5, exit_status=9, exit_known=False, reason="why")]),
    call.Done(rows=[messages.Outcome(task="a", ok=False, code=Code.BAD_STATE, sentence="it is stopping")]),
    call.Piece(task="a", stream="err", offset=3, data=b"\0\xff\n", next=6, end=9),
    call.Text(text="one\ntwo\n"),
    call.Lines(lines=["OK : a", "NOK : b"], code="no-such-task"),
    call.About(version="0.1.0", pid=3, since=1700000000.5, protocol=1, services=[SERVICE], ailments=["the disk is full"], ready=False),
    call.Resources(
        node=[call.NodeSample(wall=1.5, cpu=12.5, cpus=2, memory_total=1 << 40)],
        rows=[call.TaskFigures(task="a", samples=[call.TaskSample(wall=1.5, cpu=0.5, rss=4096)])],
        interval_s=2.5,
    ),
    call.Results(rows=[call.ResultRow(task="a", offset=3, wall=1.5, data=b"\xff")], posted=1, waiting=2, dropped=3),
    call.Recovered(
        task="a", ended=True, exit_status=768, exit_known=False, acknowledged=True, out=b"\xff", err=b"e", took_s=1.5, reason="exit status 3"
    ),
    call.Causes(task="a", state=State.BACKOFF, rows=[messages.Cause(wall=1.5, what="waits", sentence="it waits", about="b", lines=["x"])]),
    call.Tree(rows=[messages.Twig(depth=1, what="program", name="x", pid=7, state="S", cpu=0.5, cpu_s=1.5, rss=4096)]),
    call.FlowFigures(
        rows=[
            call.EdgeFigures(
                flow="f", producer="a", consumers=["b", "c"], mode=Mode.SHARE, overflow="drop-oldest", max_lag=9, lag_bytes=8, lag_events=7,
                lag_exact=False, oldest_s=1.5, in_bytes_s=2.5, in_events_s=3.5, out_bytes_s=4.5, out_events_s=-1.0, in_flight=6, in_flight_bytes=5,
                acknowledged_bytes=4, dropped_bytes=3, held_since=1700000000.5, cursor=2, end=1,
            )
        ],
        window_s=0.5,
    ),
    call.Graph(
        rows=[
            call.Arrow(
                flow="f", producer="a", consumers=["이벤트"], mode=Mode.SHARE, producer_state=State.RUNNING, consumer_states=[State.FATAL],
                lag_bytes=1, held=True,
            )
        ]
    ),
    call.Passing(
        rows=[call.Passed(wall=1700000000.5, direction="in", task="a", data=b"\xff", length=300, missed=1203, producer="b")], next="AQAAAAA="
    ),
    call.Letters(rows=[LETTER], whole=True),
]

SAMPLES: dict[str, list[object]] = {
    "ToMiddle": [
        call.Call(id="1", verb="act", fields=msgspec.Raw(b'{"names": ["a"]}'), deadline_s=2.5, role=Role.OPERATE, on_behalf="ann", language="ko"),
        call.ConsoleCall(id="2", line="act 이벤트", deadline_s=2.5, role=Role.VIEW, on_behalf="ann", language="ko"),
        call.Here(name="resource"),
        call.Answered(id="3", answer=call.Text(text="x"), more=True),
        FAILED,
    ],
    "FromMiddle": [
        call.Answered(id="3", answer=call.Done(rows=[messages.Outcome(task="a", ok=True)]), more=True),
        FAILED,
        call.ResourceQuery(id="q1", names=["a"], samples=3),
        call.ResultQuery(id="q2", names=["a"], limit=3),
    ],
    "Answer": ANSWERS,
}

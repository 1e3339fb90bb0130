"""One full message of every kind: what the golden frames are made from, and what they must decode to.

Run as a script it writes golden/frames.json anew.  A frame that was ever released stays as it is; a field that is added appears at the end of the
new frame, and the old frame moves to golden/former.json, where it must go on decoding.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from efsupervisor import messages
from efsupervisor.conf.schema import FlowSpec, GroupSpec, InputSpec, OutputSpec, ScheduleSpec, TaskSpec
from efsupervisor.errors import Code
from efsupervisor.states import Framing, Goal, Kind, Mode, Protocol, State
from tests.contract import call_samples, service_samples

GOLDEN = Path(__file__).parent / "golden" / "frames.json"
FORMER = GOLDEN.with_name("former.json")

VOCABULARIES = {"ToWorker": messages.ToWorker, "FromWorker": messages.FromWorker, "Request": messages.Request, "Reply": messages.Reply}
VOCABULARIES |= service_samples.VOCABULARIES | call_samples.VOCABULARIES

SPEC = TaskSpec(
    name="이벤트.task-1",
    command=["sh", "-c", 'echo "$1"', "sh", "a b"],
    type="process",
    kind=Kind.JOB,
    directory="/srv/x",
    user="nobody:nogroup",
    umask="027",
    environment={"A": "1", "B": "zwei"},
    autostart=False,
    autorestart="unexpected",
    exitcodes=(0, 2),
    startsecs=0.5,
    startretries=4,
    backoff_s=0.2,
    backoff_max_s=30.0,
    restart_burst=5,
    restart_period_s=10.0,
    stopsignal="INT",
    stopwaitsecs=3.0,
    priority=10,
    redirect_stderr=False,
    drain_s=1.0,
    input=InputSpec(
        protocol=Protocol.EVENT, window=8, ack="empty", max_deliveries=2, on_poison="drop", max_event=4096, stdin="open", framing=Framing.NUL
    ),
    output=OutputSpec(segment_bytes=1 << 20, keep_bytes=1 << 22, keep_age_s=60.0, hard_bytes=1 << 23, sync="interval"),
)

WIRING = messages.Wiring(
    spec=SPEC,
    task_dir="/var/tasks/abcdefghijkl",
    namespace="n1",
    inputs=[
        messages.InEdge(
            id="0123456789abcdef",
            producer="p",
            folder="/f",
            journal="/j",
            producer_dir="/p",
            mode=Mode.SHARE,
            member=3,
            max_lag=1024,
            overflow="drop-oldest",
            peers=["/q"],
            job=True,
        )
    ],
    outputs=[
        messages.OutEdge(
            id="fedcba9876543210",
            folder="/g",
            consumers=[("c", "/c")],
            mode=Mode.BROAD,
            max_lag=2048,
            overflow="drop-oldest",
            on_consumers_done="continue",
        )
    ],
    log="/var/log/efsupervisord.log",
    log_level="debug",
    log_format="json",
    identifier="other",
)

STATUS = messages.TaskStatus(
    name="이벤트.task-1",
    state=State.BACKOFF,
    goal=Goal.ACT,
    pid=12,
    uptime_s=1.5,
    reason="exit status 3",
    restarts=2,
    exit_status=768,
    exit_known=False,
    blocked_by=["slow"],
    kind_of="job",
    finished=True,
    lag_bytes=3,
    outstanding=4,
    delivered=5,
    acknowledged=6,
    dead_letters=7,
    health="hung",
    worker_pid=8,
    incarnation=9,
    since=3.5,
    dropped_bytes=11,
    blocked_since=1700000000.5,
)

FLOW = FlowSpec(
    name="f",
    producers=["a"],
    consumers=["b", "c"],
    mode=Mode.SHARE,
    start="begin",
    max_lag=4096,
    overflow="drop-oldest",
    on_consumers_done="continue",
    cycle=True,
)
GROUP = GroupSpec(name="g", tasks=["a", "이*"])
SCHEDULE = ScheduleSpec(
    name="s", cron="*/5 * * * *", timezone="Asia/Seoul", act=["a"], trm=["b"], task="c", put="now {time}", missed="all", enabled=False,
    run=["f"], overlap="queue",
)
OUTCOME = messages.Outcome(task="a", ok=False, code=Code.BAD_STATE, sentence="it is stopping")
EVENT = messages.EventRow(
    seq=7,
    wall=1700000000.25,
    what="state",
    task="a",
    sentence="asked by uid 0 pid 7",
    before="STOPPED",
    after="STARTING",
    pid=12,
    event=b"\0\xff",
    lines=["x"],
    facts="tries:1",
)
RUN = messages.RunRow(
    number=3,
    task="a",
    incarnation=2,
    began=1700000000.0,
    ended=1700000001.5,
    exit_status=768,
    exit_known=True,
    state="BACKOFF",
    reason="exit status 3",
    out_bytes=4,
    err_bytes=5,
    pid=12,
    attempt=2,
    cause="schedule night",
    ticket="0123456789abcdef",
    out_from=6,
    err_from=7,
    in_bytes=8,
    events_in=9,
    events_out=10,
)

SAMPLES: dict[str, list[object]] = {
    "ToWorker": [
        messages.Hello(core_pid=1, version="0.1.0", wants_socket=True),
        messages.SetGoal(goal=Goal.TRM, asked_by="uid 0 pid 7", ticket="0123456789abcdef"),
        messages.Rewire(wiring=WIRING),
        messages.Ping(number=5),
        messages.Reaped(pid=4, start_ticks=99, status=9),
        messages.Held(incarnation=2, held=True, since_before=True),
        messages.PutEvent(put_id="one", data=b"\0\xffevent"),
        messages.SendSignal(number=10),
        messages.ClearLogs(order="one"),
    ],
    "FromWorker": [
        messages.Report(
            state=State.STOPPING,
            goal=Goal.TRM,
            incarnation=1,
            pid=2,
            start_ticks=3,
            since_wall=1700000000.25,
            exit_status=0,
            exit_known=False,
            finished=True,
            reason="drei äöü",
            final=True,
            restarts=4,
            failures=5,
            blocked_by=["a", "b"],
            worker_pid=6,
            out_bytes=7,
            err_bytes=8,
            dead_letters=9,
            delivered=10,
            acknowledged=11,
            outstanding=12,
            lag_bytes=13,
            dropped_bytes=14,
            health="slow",
            ticket="0123456789abcdef",
            cause="schedule night",
            attempt=2,
            blocked_since=1700000000.5,
        ),
        messages.Pong(number=5),
        messages.AskReaped(pid=4, start_ticks=99),
        messages.HoldInput(incarnation=2, path="/run/in.2"),
        messages.ReleaseInput(incarnation=2),
        messages.PutDone(put_id="one", offset=77, error="no room"),
        messages.Alert(what="dead-letter", sentence="five deliveries", event=b"\0\xff", lines=["a", "b"], wall=1700000000.25),
        messages.LogsCleared(order="one", error="no room"),
        messages.SocketHeld(socket="unix:///run/web.sock"),
    ],
    "Request": [
        messages.StatusRequest(id="1", asked_by="web", names=["a", "이벤트"]),
        messages.ActRequest(id="2", asked_by="web", names=["all"], wait=False, until="completed", anew=True),
        messages.TrmRequest(id="3", asked_by="web", names=["a"], wait=True),
        messages.RestartRequest(id="9", asked_by="web", names=["g"], wait=False),
        messages.PutRequest(id="4", asked_by="web", task="a", put_id="one", data=b"\0\xff"),
        messages.ReadRequest(id="5", asked_by="web", task="a", stream="dead", offset=9, lines=3, limit=100),
        messages.ClearRequest(id="10", asked_by="web", names=["a"]),
        messages.SpecsRequest(id="11", asked_by="web", names=["a"]),
        messages.AddTaskRequest(id="12", asked_by="web", spec=SPEC, replace=True),
        messages.DelTaskRequest(id="13", asked_by="web", names=["a"]),
        messages.FlowsRequest(id="14", asked_by="web", names=["f"]),
        messages.AddFlowRequest(id="15", asked_by="web", flow=FLOW, replace=True),
        messages.DelFlowRequest(id="16", asked_by="web", names=["f"]),
        messages.GroupsRequest(id="17", asked_by="web"),
        messages.SetGroupRequest(id="18", asked_by="web", group=GROUP),
        messages.DelGroupRequest(id="19", asked_by="web", names=["g"]),
        messages.SchedulesRequest(id="20", asked_by="web"),
        messages.SetScheduleRequest(id="21", asked_by="web", schedule=SCHEDULE),
        messages.DelScheduleRequest(id="22", asked_by="web", names=["s"]),
        messages.SettingsRequest(id="23", asked_by="web"),
        messages.SetSettingRequest(id="24", asked_by="web", key="web.port", value="8080"),
        messages.RereadRequest(id="25", asked_by="web", apply=True, accept_removals=True, only=["a"], remove=True, restart=True),
        messages.EventsRequest(id="26", asked_by="web", since=5, limit=6, wait_s=7.5, names=["a"], what=["state"]),
        messages.HistoryRequest(id="27", asked_by="web", names=["a"], limit=6, before=7),
        messages.ServicesRequest(id="28", asked_by="web"),
        messages.ShutdownRequest(id="6", asked_by="web"),
        messages.VersionRequest(id="7", asked_by="web"),
        messages.SignalRequest(id="29", asked_by="web", names=["a"], signal=10),
        messages.ClearLogRequest(id="30", asked_by="web", names=["a"]),
        messages.EmitRequest(id="31", asked_by="web", topic="k", data=b"\0\xff"),
        messages.ScaleRequest(id="34", asked_by="web", task="w", instances=3),
        messages.UpgradeRequest(id="32", asked_by="web"),
        messages.NoteRequest(id="33", asked_by="web", task="a", sentence="3 events wait"),
        messages.RunFlowRequest(id="34", asked_by="web", flow="f", wait=False),
        messages.LettersRequest(id="40", asked_by="web", task="a", since=9, letter=7),
        messages.SettleRequest(id="41", asked_by="web", task="a", letter=7, put_back=True),
    ],
    "Reply": [
        messages.StatusReply(id="1", tasks=[STATUS], more=True, ending=True),
        messages.DoneReply(id="2", outcomes=[OUTCOME]),
        messages.ReadReply(id="5", offset=9, data=b"\0\xff\n", next=12, end=40),
        messages.VersionReply(id="7", version="0.1.0", pid=3, since_wall=1700000000.5, protocol=1),
        messages.FailedReply(id="8", code=Code.NO_SUCH_TASK, sentence="nosuch: did you mean such?"),
        messages.SpecsReply(
            id="11",
            tasks=[messages.TaskDetail(spec=SPEC, origin="added", folder="/t", groups=["g"], from_tasks=["p"], to_tasks=["c"])],
            more=True,
        ),
        messages.FlowsReply(
            id="14",
            rows=[
                messages.FlowRow(
                    flow="f",
                    producer="a",
                    consumers=["b"],
                    mode=Mode.SHARE,
                    origin="added",
                    lag_bytes=1,
                    max_lag=2,
                    overflow="drop-oldest",
                    held_back=True,
                    id="0123456789abcdef",
                    held_since=1700000000.5,
                )
            ],
            more=True,
        ),
        messages.GroupsReply(id="17", rows=[messages.GroupRow(name="g", tasks=["a*"], members=["a1"], origin="added")], more=True),
        messages.SchedulesReply(
            id="20",
            rows=[
                messages.ScheduleRow(
                    spec=SCHEDULE, origin="added", next_wall=1.5, last_wall=2.5, last_outcome="1 as wanted", running=2.5, waiting=3, skipped=4
                )
            ],
            more=True,
        ),
        messages.SettingsReply(id="23", rows=[messages.SettingRow(key="web.port", value="8080", origin="set", live=False)], more=True),
        messages.DifferenceReply(
            id="25",
            changes=[messages.Change(noun="task", name="a", what="changed", fields=["command"], effect="restarts", group="g")],
            applied=True,
            more=True,
        ),
        messages.EventsReply(id="26", rows=[EVENT], next=8, lost=2),
        messages.HistoryReply(id="27", rows=[RUN]),
        messages.ServicesReply(
            id="28",
            rows=[
                messages.ServiceRow(
                    name="web", state=State.BACKOFF, pid=3, since=1700000000.5, restarts=2, reason="killed", health="its port is taken"
                )
            ],
            ailments=["the disk is full"],
        ),
        messages.LettersReply(id="40", rows=[call_samples.LETTER], next=12),
    ],
}

SAMPLES |= service_samples.SAMPLES | call_samples.SAMPLES


def frames() -> dict[str, dict[str, str]]:
    """The frame of each sample, by vocabulary and kind, as text (a frame is UTF-8)."""
    return {vocabulary: {type(sample).__name__: messages.encode(sample).decode() for sample in samples} for vocabulary, samples in SAMPLES.items()}  # type: ignore[arg-type]


def golden(path: Path = GOLDEN) -> dict[str, dict[str, str]]:
    """The frames of a golden file."""
    loaded: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def main() -> None:
    """Write the golden file."""
    GOLDEN.write_text(json.dumps(frames(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{GOLDEN.name}: {sum(map(len, SAMPLES.values()))} frames\n")


if __name__ == "__main__":
    main()

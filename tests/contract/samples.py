"""One full message of every kind: what the golden frames are made from, and what they must decode to.

Run as a script it writes golden/frames.json anew.  A frame that was ever released stays as it is; a field that is added appears at the end of the
new frame, and the old frame moves to golden/former.json, where it must go on decoding.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from efsupervisor import messages
from efsupervisor.conf.schema import InputSpec, OutputSpec, TaskSpec
from efsupervisor.errors import Code
from efsupervisor.states import Framing, Goal, Kind, Mode, Protocol, State
from tests.contract import service_samples

GOLDEN = Path(__file__).parent / "golden" / "frames.json"
FORMER = GOLDEN.with_name("former.json")

VOCABULARIES = {"ToWorker": messages.ToWorker, "FromWorker": messages.FromWorker, "Request": messages.Request, "Reply": messages.Reply}
VOCABULARIES |= service_samples.VOCABULARIES

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
        protocol=Protocol.EVENT, window=8, ack="echo", max_deliveries=2, on_poison="drop", max_event=4096, stdin="open", framing=Framing.NUL
    ),
    output=OutputSpec(segment_bytes=1 << 20, keep_bytes=1 << 22, keep_age_s=60.0, hard_bytes=1 << 23, sync="interval"),
)

WIRING = messages.Wiring(
    spec=SPEC,
    task_dir="/var/tasks/abcdefghijkl",
    namespace="n1",
    inputs=[
        messages.InEdge(id="0123456789abcdef", producer="p", folder="/f", journal="/j", producer_dir="/p", mode=Mode.SHARE, member=3, max_lag=1024)
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
)

SAMPLES: dict[str, list[object]] = {
    "ToWorker": [
        messages.Hello(core_pid=1, version="0.1.0"),
        messages.SetGoal(goal=Goal.TRM, asked_by="uid 0 pid 7"),
        messages.Rewire(wiring=WIRING),
        messages.Ping(number=5),
        messages.Reaped(pid=4, start_ticks=99, status=9),
        messages.Held(incarnation=2, held=True, since_before=True),
        messages.PutEvent(put_id="one", data=b"\0\xffevent"),
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
        ),
        messages.Pong(number=5),
        messages.AskReaped(pid=4, start_ticks=99),
        messages.HoldInput(incarnation=2, path="/run/in.2"),
        messages.ReleaseInput(incarnation=2),
        messages.PutDone(put_id="one", offset=77, error="no room"),
        messages.Alert(what="dead-letter", sentence="five deliveries", event=b"\0\xff", lines=["a", "b"]),
    ],
    "Request": [
        messages.StatusRequest(id="1", names=["a", "이벤트"]),
        messages.ActRequest(id="2", names=["all"], wait=False),
        messages.TrmRequest(id="3", names=["a"], wait=True),
        messages.PutRequest(id="4", task="a", put_id="one", data=b"\0\xff"),
        messages.ReadRequest(id="5", task="a", stream="dead", offset=9, lines=3, limit=100),
        messages.ShutdownRequest(id="6"),
        messages.VersionRequest(id="7"),
    ],
    "Reply": [
        messages.StatusReply(id="1", tasks=[STATUS], more=True),
        messages.DoneReply(id="2", outcomes=[messages.Outcome(task="a", ok=False, code=Code.BAD_STATE, sentence="it is stopping")]),
        messages.ReadReply(id="5", offset=9, data=b"\0\xff\n", next=12, end=40),
        messages.VersionReply(id="7", version="0.1.0", pid=3, since_wall=1700000000.5, protocol=1),
        messages.FailedReply(id="8", code=Code.NO_SUCH_TASK, sentence="nosuch: did you mean such?"),
    ],
}
SAMPLES |= service_samples.SAMPLES


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

"""The commands of efctl's own making beyond status and tail's basics: log, events, update, conf check, help, JSON, mistakes."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.cli import edge, main, tail, verbs
from efsupervisor.cli.client import Client
from efsupervisor.cli.output import Output
from efsupervisor.cli.terminal import PLAIN, Look
from efsupervisor.errors import TABLE, Code
from efsupervisor.messages import Change, DoneReply, EventRow, Outcome, ReadReply, ReadRequest, Request, StatusReply, TaskStatus, VersionReply
from efsupervisor.messages.call import Answered, Call, Difference, Events
from efsupervisor.states import Goal, State
from tests.unit.cli.fake_core import FakeCore, FakeMiddle

LOGS = {"a": b"one\ntw\xff\nthree\n", "b": b"b\n", "작업": b"c\n"}
Efctl = Callable[..., tuple[int, str, str]]


def core_of(request: Request) -> list[object]:
    if isinstance(request, ReadRequest):
        log = LOGS[request.task]
        offset = request.offset
        if offset is None:
            lines = log.splitlines(keepends=True)
            offset = len(b"".join(lines[: max(0, len(lines) - request.lines)]))
        offset = max(offset, 4) if request.task == "a" else offset  # the first four bytes are no longer kept
        return [ReadReply(id=request.id, offset=offset, data=log[offset : offset + 5], next=min(offset + 5, len(log)), end=len(log))]
    if isinstance(request, Request) and hasattr(request, "names"):
        names = ["a", "b", "작업"] if request.names in ([], ["front"]) else request.names
        return [StatusReply(id=request.id, tasks=[TaskStatus(name=name, state=State.RUNNING, goal=Goal.ACT) for name in names])]
    if type(request).__name__ == "VersionRequest":
        return [VersionReply(id=request.id, version="9", pid=7, since_wall=1.0)]
    return [DoneReply(id=request.id, outcomes=[Outcome(task="all", ok=True)])]


@pytest.fixture
def core(folder: Path) -> Iterator[FakeCore]:
    with FakeCore(folder, core_of) as core:
        yield core


@pytest.fixture
def efctl(folder: Path, core: FakeCore, capfd: pytest.CaptureFixture[str]) -> Efctl:
    def call(*words: str) -> tuple[int, str, str]:
        status = main.run(["--var", str(folder), *words])
        text = capfd.readouterr()
        return status, text.out, text.err

    return call


# Logs ---------------------------------------------------------------------------------------------------------------------------------------------


def test_a_group_or_pattern_is_resolved_by_the_core(efctl: Efctl) -> None:
    assert efctl("tail", "-n", "1", "front")[1] == "a    | three\nb    | b\n작업 | c\n"


def test_lines_as_json_are_one_array_with_the_offset_of_each(efctl: Efctl) -> None:
    status, out, _ = efctl("tail", "--json", "-n", "2", "a")
    assert status == 0
    assert json.loads(out) == [
        {"task": "a", "stream": "out", "offset": 4, "text": "tw\\xff"},
        {"task": "a", "stream": "out", "offset": 8, "text": "three"},
    ]


class Enough(Exception):
    pass


def test_following_as_json_is_one_object_a_line(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(_seconds: float, _connection: int, _out: object) -> None:
        raise Enough

    monkeypatch.setattr(tail, "pause", pause)
    out = io.BytesIO()
    with Client(core.path) as client, pytest.raises(Enough):
        tail.of_tasks(client, ["b", "a"], tail.Wish(lines=1, follow=True, as_json=True), out)
    assert [json.loads(line)["text"] for line in out.getvalue().splitlines()] == ["b", "three"]


def test_prefixes_have_a_colour_for_each_task_on_a_terminal(core: FakeCore) -> None:
    out = io.BytesIO()
    with Client(core.path) as client:
        tail.of_tasks(client, ["b", "작업"], tail.Wish(lines=1), out, Look(True, True, 80))
    one, two = out.getvalue().decode().splitlines()
    assert one.startswith("\x1b[36mb    |\x1b[0m ")
    assert two.startswith("\x1b[33m작업 |\x1b[0m ")


def test_a_log_from_an_offset_says_what_is_not_kept_any_more(efctl: Efctl) -> None:
    status, out, err = efctl("log", "--since", "1", "a")
    assert (status, out.splitlines()[1], err) == (0, "three", "efctl: a: 3 bytes are no longer there\n")
    assert efctl("log", "--all", "b")[:2] == (0, "b\n")


def test_the_daemons_log_needs_no_daemon(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "log").mkdir()
    (folder / "log" / "efsupervisord.log").write_text("first\nsecond\nthird\n")
    assert main.run(["--var", str(folder), "log", "-n", "2", "daemon"]) == 0
    assert capfd.readouterr().out == "second\nthird\n"
    assert main.run(["--var", str(folder), "log", "--all", "daemon"]) == 0
    assert capfd.readouterr().out == "first\nsecond\nthird\n"


def test_a_daemon_without_a_log_is_a_sentence(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--var", str(folder), "log", "daemon"]) == TABLE[Code.SYSTEM].exit_status
    assert "efsupervisord.log cannot be read: No such file" in capfd.readouterr().err


# Events -------------------------------------------------------------------------------------------------------------------------------------------

ROWS = [EventRow(seq=number, wall=1.0, what="state", task="a", before="STARTING", after="RUNNING") for number in range(1, 6)]


def events_of(call: Call) -> list[object]:
    fields = json.loads(bytes(call.fields))
    since = fields["since"]
    if since is None:
        return [Answered(id=call.id, answer=Events(rows=[], next=6))]
    return [Answered(id=call.id, answer=Events(rows=[row for row in ROWS if row.seq >= since], next=6))]


def test_the_last_events_are_shown(folder: Path, efctl: Efctl) -> None:
    with FakeMiddle(folder, events_of) as middle:
        status, out, _ = efctl("events", "-n", "2")
    assert (status, out.count("STARTING -> RUNNING")) == (0, 2)
    assert [json.loads(bytes(call.fields))["since"] for call in middle.calls] == [None, 4]


def test_events_as_json_say_where_to_go_on(folder: Path, efctl: Efctl) -> None:
    with FakeMiddle(folder, events_of):
        document = json.loads(efctl("events", "--json", "--since", "3")[1])
    assert [row["seq"] for row in document["rows"]] == [3, 4, 5]
    assert document["next"] == 6


def test_following_goes_on_where_the_last_answer_ended_and_waits(folder: Path, efctl: Efctl) -> None:
    def answer(call: Call) -> list[object]:
        if json.loads(bytes(call.fields))["wait_s"]:
            raise_in_efctl.append(call)
            return [Answered(id=call.id, answer=Events(rows=[], next=99))] if len(raise_in_efctl) == 1 else [b"\x02"]
        return events_of(call)

    raise_in_efctl: list[Call] = []
    with FakeMiddle(folder, answer):
        status, out, _ = efctl("events", "--follow", "--json", "-n", "1", "a,b")
    assert status == TABLE[Code.VERSION].exit_status  # the frame of another version is how this test ends it
    assert [json.loads(line)["seq"] for line in out.splitlines()] == [5]
    waits = [json.loads(bytes(call.fields)) for call in raise_in_efctl]
    assert [(fields["since"], fields["names"], fields["wait_s"] > 5) for fields in waits] == [(6, ["a", "b"], True), (99, ["a", "b"], True)]


# The configuration --------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text("tasks:\n  a:\n    command: sleep 1\n")
    return path


def test_a_file_is_checked_without_a_supervisor(conf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["conf", "check", str(conf)]) == 0
    assert capfd.readouterr().out == f"{conf}: fine, with 1 task and 0 flows\n"
    assert main.run(["-c", str(conf), "conf", "check", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["ok"] is True


def test_a_wrong_file_is_every_finding_and_exit_status_78(conf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    conf.write_text("tasks:\n  a:\n    comand: sleep 1\n")
    assert main.run(["conf", "check", str(conf)]) == 78
    text = capfd.readouterr()
    assert text.out == ""
    assert "comand" in text.err
    assert main.run(["conf", "check", "--json", str(conf)]) == 78
    document = json.loads(capfd.readouterr().out)
    assert document["ok"] is False
    assert any("comand" in finding for finding in document["findings"])


class Updating:
    """A middle interface with one difference; remembers what was applied."""

    def __init__(self) -> None:
        self.applied: list[dict[str, Any]] = []
        self.rows = [Change(noun="task", name="a", what="removed", effect="stops")]

    def __call__(self, call: Call) -> list[object]:
        applied = call.verb == "conf.update"
        if applied:
            self.applied.append(json.loads(bytes(call.fields)))
        return [Answered(id=call.id, answer=Difference(rows=self.rows, applied=applied))]


def test_where_nobody_can_be_asked_an_update_is_applied_but_not_with_yes(folder: Path, efctl: Efctl) -> None:
    updating = Updating()
    with FakeMiddle(folder, updating):
        assert efctl("update") == (0, "- task a (stops)\n1 change applied\n", "")
        efctl("update", "--yes")
    assert [fields["yes"] for fields in updating.applied] == [False, True]


@pytest.mark.parametrize(("answer", "applied"), [("y\n", [True]), ("n\n", []), ("", []), ("네\n", [True])])
def test_on_a_terminal_the_difference_is_shown_and_the_person_decides(
    answer: str, applied: list[bool], folder: Path, efctl: Efctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    monkeypatch.setattr(Output, "talks_with_a_person", True)
    updating = Updating()
    with FakeMiddle(folder, updating):
        status, out, err = efctl("update")
    assert out.startswith("- task a (stops)\n")
    assert "apply this? [y/N]" in err
    assert [fields["yes"] for fields in updating.applied] == applied
    assert status == (0 if applied else TABLE[Code.REFUSED].exit_status)


def test_nobody_is_asked_about_nothing(folder: Path, efctl: Efctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Output, "talks_with_a_person", True)
    updating = Updating()
    updating.rows = []
    with FakeMiddle(folder, updating):
        assert efctl("update") == (0, "the configuration is what runs\n", "")
    assert updating.applied == []


# JSON of the rest ---------------------------------------------------------------------------------------------------------------------------------


def test_put_version_and_shutdown_have_json_too(efctl: Efctl) -> None:
    assert json.loads(efctl("put", "--json", "a", "x", "y")[1]) == {"task": "a", "events": 2}
    document = json.loads(efctl("version", "--json")[1])
    assert document["efctl"] == verbs.own_version()
    assert document["efsupervisord"]["pid"] == 7
    assert json.loads(efctl("shutdown", "--json")[1])[0]["task"] == "all"


# Help ---------------------------------------------------------------------------------------------------------------------------------------------


def test_every_exit_status_is_explained(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["help", "exit-statuses"]) == 0
    text = capfd.readouterr().out
    assert {str(verdict.exit_status) for verdict in TABLE.values()} <= {line.split()[0] for line in text.splitlines() if line.startswith("    ")}
    assert str(edge.INTERRUPTED) in text


@pytest.mark.parametrize("topic", [["tail"], ["flow", "add"], ["conf", "check"], ["start"], ["exec"], ["completion"], ["flows"], []])
def test_every_command_and_subject_has_a_page_and_needs_nobody(topic: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["help", *topic]) == 0
    text = capfd.readouterr()
    assert len(text.out) > 100
    assert text.err == ""


def test_the_page_is_in_the_persons_language(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert main.run(["help", "flow", "add"]) == 0
    assert "플로우" in capfd.readouterr().out


def test_an_unknown_topic_is_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["help", "nonsense"]) == TABLE[Code.NO_SUCH_TASK].exit_status
    assert capfd.readouterr().err.count("\n") == 1


# Mistakes -----------------------------------------------------------------------------------------------------------------------------------------


def test_a_mistake_of_our_own_is_a_sentence_and_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(_words: object) -> int:
        raise KeyError("x")

    monkeypatch.setattr(main, "_do", wrong)
    monkeypatch.delenv("EFCTL_DEBUG", raising=False)
    assert main.run([]) == TABLE[Code.INTERNAL].exit_status
    err = capsys.readouterr().err
    assert "a mistake of efctl itself" in err
    assert err.count("\n") == 1
    monkeypatch.setenv("EFCTL_DEBUG", "1")
    with pytest.raises(KeyError):
        main.run([])


def test_output_goes_where_the_process_writes() -> None:
    out, err = io.StringIO(), io.StringIO()
    output = Output(out, err, PLAIN, PLAIN, os.environ)
    output.write("a")
    output.note("b")
    assert (out.getvalue(), err.getvalue()) == ("a", "efctl: b\n")

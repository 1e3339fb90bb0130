"""From words to the typed verb: every command that is made from a declaration."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor.cli import main
from efsupervisor.errors import Code
from efsupervisor.interface import VERBS
from efsupervisor.messages import Outcome, TaskStatus
from efsupervisor.messages.call import Answered, Call, Done, Flows, Lines, Tasks
from efsupervisor.states import Goal, State
from tests.unit.cli.fake_core import FakeMiddle

ROW = TaskStatus(name="a", state=State.RUNNING, goal=Goal.ACT, delivered=9, acknowledged=8, outstanding=1, lag_bytes=29, dead_letters=2)
Said = Callable[..., tuple[str, dict[str, Any]]]


@pytest.fixture
def middle(folder: Path) -> Iterator[FakeMiddle]:
    def answer(call: Call) -> list[object]:
        outcome = Outcome(task="x", ok=True)
        return [Answered(id=call.id, answer=Done(rows=[outcome]) if isinstance(call, Call) else Lines(lines=["OK : so"]))]

    with FakeMiddle(folder, answer) as middle:
        yield middle


@pytest.fixture
def said(folder: Path, middle: FakeMiddle, capfd: pytest.CaptureFixture[str]) -> Said:
    """The verb and the fields (but for defaults) that words mean."""

    def say(*words: str) -> tuple[str, dict[str, Any]]:
        assert main.run(["--var", str(folder), *words]) == 0, capfd.readouterr().err
        call = middle.calls[-1]
        fields = msgspec.json.decode(call.fields)
        declared = VERBS[call.verb]
        defaults = {field.name: field for field in msgspec.structs.fields(declared)}
        plain = {name: value for name, value in fields.items() if defaults[name].required or value != msgspec.to_builtins(_default(defaults[name]))}
        return call.verb, plain

    return say


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


@pytest.mark.parametrize(
    ("words", "verb", "fields"),
    [
        (["act", "a,b", "c"], "act", {"names": ["a", "b", "c"]}),
        (["start", "all"], "act", {"names": ["all"]}),
        (["trm", "--no-wait", "a"], "trm", {"names": ["a"], "wait": False}),
        (["stop", "a"], "trm", {"names": ["a"]}),
        (["restart", "web*"], "restart", {"names": ["web*"]}),
        (["show"], "task.show", {}),
        (["add", "web", "python3", "-m", "http.server", "a,b"], "task.add", {"task": "web", "program": ["python3", "-m", "http.server", "a,b"]}),
        (
            ["add", "--replace", "web", "stopwaitsecs=3s", "environment.TZ=UTC", "env", "A=B", "x"],
            "task.add",
            {"task": "web", "settings": {"stopwaitsecs": "3s", "environment.TZ": "UTC"}, "program": ["env", "A=B", "x"], "replace": True},
        ),
        (["add", "web", "--", "-odd", "x"], "task.add", {"task": "web", "program": ["-odd", "x"]}),
        (["add", "web", "command=sleep 5"], "task.add", {"task": "web", "settings": {"command": "sleep 5"}}),
        (["set", "--unset", "user,umask", "--unset", "priority", "web", "startsecs=2s"], "task.set",
         {"task": "web", "settings": {"startsecs": "2s"}, "unset": ["user", "umask", "priority"]}),
        (["del", "a", "b"], "task.del", {"names": ["a", "b"]}),
        (["flow", "add", "f", "a,b", "c"], "flow.add", {"flow": "f", "producers": ["a", "b"], "consumers": ["c"]}),
        (["flow", "add", "f", "a", "b", "c,d", "mode=share"], "flow.add",
         {"flow": "f", "producers": ["a"], "consumers": ["b", "c", "d"], "settings": {"mode": "share"}}),
        (["flow", "add", "f", "from=a,b", "to=c", "max_lag=1MiB"], "flow.add",
         {"flow": "f", "producers": ["a", "b"], "consumers": ["c"], "settings": {"max_lag": "1MiB"}}),
        (["flow", "del", "f"], "flow.del", {"names": ["f"]}),
        (["flow", "ls"], "flow.show", {}),
        (["group", "set", "front", "web*,www", "x"], "group.set", {"group": "front", "tasks": ["web*", "www", "x"]}),
        (["schedule", "set", "night", "0 3 * * *", "--act", "a,b", "--act", "c", "--missed", "once", "--no-enabled"], "schedule.set",
         {"schedule": "night", "cron": "0 3 * * *", "act": ["a", "b", "c"], "missed": "once", "enabled": False}),
        (["conf", "set", "web.port", "8080"], "conf.set", {"key": "web.port", "value": "8080"}),
        (["conf", "set", "web.port"], "conf.set", {"key": "web.port"}),
        (["conf", "show", "web"], "conf.show", {"keys": ["web"]}),
        (["history", "a", "--limit", "3", "--before", "9"], "task.history", {"names": ["a"], "limit": 3, "before": 9}),
        (["recovery", "a", "an event", "--timeout", "2.5"], "recovery.run", {"task": "a", "text": "an event", "timeout_s": 2.5}),
        (["reread"], "conf.reread", {}),
        (["services"], "daemon.services", {}),
        (["resource", "a"], "resource.show", {"names": ["a"]}),
        (["result", "--limit", "1"], "result.show", {"limit": 1}),
        (["queue", "clear", "a"], "queue.clear", {"names": ["a"]}),
    ],
)  # fmt: skip
def test_words_mean_this_verb_with_these_fields(words: list[str], verb: str, fields: dict[str, Any], said: Said) -> None:
    assert said(*words) == (verb, fields)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["act"], "NAMES is missing"),
        (["act", ","], "NAMES is missing"),
        (["add"], "TASK is missing"),
        (["flow", "add", "f", "a"], "CONSUMERS is missing"),
        (["conf", "set", "a", "b", "c"], "'c' is one word too many"),
        (["set", "web", "--unset", "user"], "options of efctl come before the name"),
        (["add", "web", "--replace", "sleep", "5"], "options of efctl come before the name"),
        (["history", "--limit", "0"], "--limit"),
        (["history", "--limit", "x"], "--limit"),
        (["recovery", "a", "x", "--timeout", "-1"], "timeout"),
        (["schedule", "set", "s", "* * * * *", "--missed", "maybe"], "--missed"),
        (["flow", "ad"], "add"),
        (["stauts"], "did you mean 'status'"),
    ],
)
def test_what_the_fields_forbid_is_one_sentence_before_anybody_is_asked(
    words: list[str], sentence: str, folder: Path, middle: FakeMiddle, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["--var", str(folder), *words]) == 2
    text = capfd.readouterr()
    assert sentence in text.err
    assert text.err.count("\n") == 1
    assert middle.asked == []


def test_a_dash_takes_an_event_from_standard_input_whatever_its_bytes(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"\xffevent\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    assert said("recovery", "a", "-") == ("recovery.run", {"task": "a", "data": "/2V2ZW50"})


def test_an_outcome_says_what_was_done_and_as_json_is_a_row(folder: Path, middle: FakeMiddle, capfd: pytest.CaptureFixture[str]) -> None:
    for words, done in ((["act", "x"], "started"), (["del", "x"], "removed"), (["flow", "add", "f", "a", "b"], "added")):
        assert main.run(["--var", str(folder), *words]) == 0
        assert capfd.readouterr().out == f"x: {done}\n"
    assert main.run(["--var", str(folder), "act", "--json", "x"]) == 0
    assert json.loads(capfd.readouterr().out) == [{"task": "x", "ok": True, "code": "ok", "sentence": ""}]


def test_exec_says_a_console_line(folder: Path, middle: FakeMiddle, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--var", str(folder), "exec", "shw", "task", "a,", "b", "--x"]) == 0
    assert capfd.readouterr().out == "OK : so\n"
    assert [call.line for call in middle.calls] == ["shw task a, b --x"]
    assert main.run(["--var", str(folder), "exec", "--json", "shw task"]) == 0
    assert json.loads(capfd.readouterr().out) == {"lines": ["OK : so"], "code": "ok"}


@pytest.mark.parametrize("words", [["completion", "bash"], ["completion", "zsh"], ["completion", "fish"]])
def test_a_completion_script_names_efctl_and_needs_nobody(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(words) == 0
    script = capfd.readouterr().out
    assert "_EFCTL_COMPLETE" in script
    assert "efctl" in script


def test_verbs_that_are_refused_have_their_exit_status(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(call: Call) -> list[object]:
        return [Answered(id=call.id, answer=Done(rows=[Outcome(task="a", ok=False, code=Code.EXISTS, sentence="there is an a")]))]

    with FakeMiddle(folder, refuse):
        assert main.run(["--var", str(folder), "add", "a", "x"]) == 5
    assert capfd.readouterr() == ("", "a: there is an a\n")


@pytest.mark.parametrize(
    ("words", "answer", "text"),
    [
        (["recoveries"], Tasks(rows=[]), "no recovery is under way\n"),
        (["queue", "ls"], Flows(rows=[]), "nothing waits: these tasks have no input\n"),
        (
            ["stdin"],
            Tasks(rows=[ROW]),
            "NAME  STATE    GIVEN  ACKNOWLEDGED  OUTSTANDING  LAG  DEAD\n"
            "a     RUNNING      9             8            1   29     2\n",
        ),
    ],
)
def test_some_answers_are_seen_from_another_side(words: list[str], answer: Any, text: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with FakeMiddle(folder, lambda call: [Answered(id=call.id, answer=answer)]):
        assert main.run(["--var", str(folder), *words]) == 0
        assert capfd.readouterr().out == text
        assert main.run(["--var", str(folder), *words, "--json"]) == 0
        assert len(json.loads(capfd.readouterr().out)) == len(answer.rows)

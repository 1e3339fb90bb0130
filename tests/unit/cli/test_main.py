"""efctl from its words to its text and exit status, against a fake Core."""

from __future__ import annotations

import io
import json
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from efsupervisor.cli import answers, grammar, main, tail, verbs
from efsupervisor.cli.client import Client
from efsupervisor.cli.terminal import Look
from efsupervisor.cli.where import Where
from efsupervisor.errors import TABLE, Code, EfError
from efsupervisor.interface import VERBS
from efsupervisor.messages import (
    ActRequest,
    DoneReply,
    FailedReply,
    Outcome,
    PutRequest,
    ReadReply,
    ReadRequest,
    Request,
    ShutdownRequest,
    StatusReply,
    StatusRequest,
    TaskStatus,
    TrmRequest,
    VersionReply,
)
from efsupervisor.states import Goal, State
from tests.unit.cli.fake_core import FakeCore

Efctl = Callable[..., tuple[int, str, str]]


class Desk:
    """Answers like a Core with the tasks a, b and 이벤트; `refuse` names those for which act, trm and put fail, with which code."""

    def __init__(self) -> None:
        self.refuse: dict[str, Code] = {}
        self.logs: dict[str, bytes] = {"a": b"one\ntwo\nthree\n", "b": b"\x1b[2Jhidden\nlast"}
        self.first = 0
        self.sentence = "nosuch: there is no such task"

    def __call__(self, request: Request) -> list[object]:
        match request:
            case StatusRequest(names=["nosuch"]):
                return [FailedReply(id=request.id, code=Code.NO_SUCH_TASK, sentence=self.sentence)]
            case StatusRequest():
                rows = [TaskStatus(name=name, state=State.RUNNING, goal=Goal.ACT, pid=41) for name in request.names or ["a", "b", "이벤트"]]
                return [StatusReply(id=request.id, tasks=rows)]
            case ActRequest() | TrmRequest():
                return [DoneReply(id=request.id, outcomes=[self._outcome(name) for name in request.names])]
            case PutRequest():
                return [DoneReply(id=request.id, outcomes=[self._outcome(request.task)])]
            case ReadRequest():
                return [self._read(request)]
            case ShutdownRequest():
                return [DoneReply(id=request.id, outcomes=[Outcome(task="all", ok=True)])]
            case _:
                return [VersionReply(id=request.id, version="9.9", pid=77, since_wall=1.0)]

    def _outcome(self, name: str) -> Outcome:
        code = self.refuse.get(name, Code.OK)
        return Outcome(task=name, ok=code is Code.OK, code=code, sentence="" if code is Code.OK else f"refused, {code}")

    def _read(self, request: ReadRequest) -> ReadReply:
        log = self.logs.get(request.task, b"")
        offset = request.offset
        if offset is None:
            offset = sum(map(len, log.splitlines(keepends=True)[: -request.lines or len(log)]))
        offset = max(offset, self.first)
        data = log[offset : offset + 7]  # small pieces, so that reading goes on
        return ReadReply(id=request.id, offset=offset, data=data, next=offset + len(data), end=len(log))


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def core(folder: Path, desk: Desk) -> Any:
    with FakeCore(folder, desk) as core:
        yield core


@pytest.fixture
def efctl(core: FakeCore, capfd: pytest.CaptureFixture[str]) -> Efctl:
    def call(*words: str) -> tuple[int, str, str]:
        status = main.run(["--socket", core.path, *words])
        text = capfd.readouterr()
        return status, text.out, text.err

    return call


# Status -------------------------------------------------------------------------------------------------------------------------------------------


def test_status_shows_every_task(efctl: Efctl) -> None:
    status, out, err = efctl("status")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "a", "b", "이벤트"]


def test_status_takes_comma_lists_and_all(efctl: Efctl, core: FakeCore) -> None:
    efctl("status", "b,a", "b", " ,")
    efctl("status", "a,all")
    assert [request.names for request in core.asked if isinstance(request, StatusRequest)] == [["b", "a"], []]


def test_status_as_json_has_every_field_of_the_protocol(efctl: Efctl) -> None:
    status, out, _ = efctl("status", "--json")
    rows = json.loads(out)
    assert status == 0
    assert [row["name"] for row in rows] == ["a", "b", "이벤트"]
    assert set(rows[0]) == set(TaskStatus.__struct_fields__)


def test_an_unknown_name_is_one_sentence_with_its_exit_status(efctl: Efctl) -> None:
    assert efctl("status", "nosuch") == (TABLE[Code.NO_SUCH_TASK].exit_status, "", "efctl: nosuch: there is no such task\n")


def test_an_error_cannot_drive_the_terminal(efctl: Efctl, desk: Desk) -> None:
    desk.sentence = "\x1b[31mred: there is no such task"
    assert efctl("status", "nosuch")[2] == "efctl: ^[[31mred: there is no such task\n"


@pytest.mark.parametrize("words", [["status"], ["status", "a,b"], ["status", "nosuch"], ["status", "all"]])
def test_the_quick_way_and_the_grammar_do_the_same(words: list[str], efctl: Efctl, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = efctl(*words)
    asked: list[object] = []
    whole_grammar = grammar.run
    monkeypatch.setattr(main, "quick", lambda _words: None)
    monkeypatch.setattr(grammar, "run", lambda words: asked.append(words) or whole_grammar(words))
    assert efctl(*words) == quick
    assert len(asked) == 1


@pytest.mark.parametrize(
    "words",
    [["status", "--json"], ["status", "--help"], ["tail", "a"], [], ["-c"], ["--var"], ["--var", "x"], ["status", "-x"], ["--help", "status"]],
)
def test_only_a_plain_status_is_quick(words: list[str]) -> None:
    assert main.quick(words) is None


def test_the_quick_way_knows_the_options_that_say_which_supervisor() -> None:
    assert main.quick(["-c", "f", "--var", "v", "--socket", "s", "status", "a", "b"]) == (Where(socket="s", var="v", conf="f"), ["a", "b"])


# Commands -----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "kind", "said"),
    [("act", ActRequest, "started"), ("start", ActRequest, "started"), ("trm", TrmRequest, "stopped"), ("stop", TrmRequest, "stopped")],
)
def test_act_and_trm_have_supervisords_names_too(word: str, kind: type, said: str, efctl: Efctl, core: FakeCore) -> None:
    assert efctl(word, "a,b") == (0, f"a: {said}\nb: {said}\n", "")
    assert efctl(word, "--no-wait", "all")[0] == 0
    waiting, not_waiting = core.asked
    assert type(waiting) is kind
    assert (waiting.names, waiting.wait) == (["a", "b"], True)  # type: ignore[union-attr]
    assert (not_waiting.names, not_waiting.wait) == (["all"], False)  # type: ignore[union-attr]


def test_failures_go_to_stderr_and_a_common_code_is_the_exit_status(efctl: Efctl, desk: Desk) -> None:
    desk.refuse = {"b": Code.NO_SUCH_TASK}
    assert efctl("act", "a", "b") == (3, "a: started\n", "b: refused, no-such-task\n")


def test_failures_that_differ_are_exit_status_1(efctl: Efctl, desk: Desk) -> None:
    desk.refuse = {"a": Code.TASK_FAILED, "b": Code.NO_SUCH_TASK}
    assert efctl("trm", "a,b,c")[0] == 1


def test_a_failure_never_exits_with_0() -> None:
    assert answers.outcome_status([Outcome(task="a", ok=False)]) == 1


@pytest.mark.parametrize(
    "words", [["act"], ["trm"], ["act", ","], ["tail"], ["put"], ["put", "a"], ["nonsense"], ["status", "--nonsense"], ["tail", "-n", "-1", "a"]]
)
def test_what_cannot_be_understood_is_one_line_and_exit_status_2(words: list[str], efctl: Efctl, core: FakeCore) -> None:
    status, out, err = efctl(*words)
    assert (status, out) == (2, "")
    assert err.startswith("efctl: ")
    assert err.count("\n") == 1
    assert core.asked == []


def test_shutdown_says_what_became_of_it(efctl: Efctl) -> None:
    assert efctl("shutdown") == (0, "all: stopped\n", "")


def test_version_says_both_versions(efctl: Efctl) -> None:
    status, out, _ = efctl("version")
    assert status == 0
    mine, its = out.splitlines()
    assert mine == f"efctl {verbs.own_version()}"
    assert its.startswith("efsupervisord 9.9, pid 77, since 19")


def test_a_daemon_that_does_not_run_is_exit_status_69(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["status"], ["status", "--json"], ["tail", "a"], ["act", "a"]):
        assert main.run(["--var", str(folder), *words]) == 69
        text = capfd.readouterr()
        assert text.out == ""
        assert text.err.count("\n") == 1
        assert "not running" in text.err


# Events -------------------------------------------------------------------------------------------------------------------------------------------


def test_each_text_is_one_event_with_an_id_of_its_own(efctl: Efctl, core: FakeCore) -> None:
    assert efctl("put", "a", "one two", "drei äöü") == (0, "a: 2 events put\n", "")
    puts = [request for request in core.asked if isinstance(request, PutRequest)]
    assert [put.data for put in puts] == [b"one two", "drei äöü".encode()]
    assert len({put.put_id for put in puts}) == 2


def test_a_dash_puts_each_line_of_stdin_byte_for_byte(core: FakeCore, monkeypatch: pytest.MonkeyPatch, efctl: Efctl) -> None:
    class Stdin:
        buffer = io.BytesIO(b"one\n\n\xff\r\nlast")

    monkeypatch.setattr("sys.stdin", Stdin)
    assert efctl("put", "a", "-") == (0, "a: 4 events put\n", "")
    assert [request.data for request in core.asked if isinstance(request, PutRequest)] == [b"one", b"", b"\xff\r", b"last"]


def test_a_refused_event_says_how_many_are_in(efctl: Efctl, desk: Desk) -> None:
    texts = iter([Code.OK, Code.TOO_LARGE])
    desk._outcome = lambda name: Outcome(task=name, ok=(code := next(texts)) is Code.OK, code=code, sentence="too long")  # type: ignore[method-assign]
    status, out, err = efctl("put", "a", "x", "y", "z")
    assert (status, out) == (TABLE[Code.TOO_LARGE].exit_status, "")
    assert err == "efctl: event 2 was not put into a: too long; the 1 before it are in the queue\n"


# Logs ---------------------------------------------------------------------------------------------------------------------------------------------


def test_tail_shows_the_last_lines_to_the_end_byte_for_byte(efctl: Efctl) -> None:
    assert efctl("tail", "-n", "2", "a") == (0, "two\nthree\n", "")
    assert efctl("tail", "b") == (0, "\x1b[2Jhidden\nlast", "")


def test_tail_asks_for_the_stream_that_is_meant(efctl: Efctl, core: FakeCore) -> None:
    efctl("tail", "--stream", "dead", "-n", "0", "a")
    assert [(request.stream, request.lines) for request in core.asked if isinstance(request, ReadRequest)] == [("dead", 0)]


def test_tail_of_several_tasks_names_them_before_each_line(efctl: Efctl) -> None:
    assert efctl("tail", "-n1", "a,b") == (0, "a | three\nb | last", "")


def test_tail_with_prefix_names_a_single_task_too(efctl: Efctl) -> None:
    assert efctl("tail", "--prefix", "a")[1] == "a | one\na | two\na | three\n"


@pytest.mark.parametrize(("raw", "shown"), [(False, b"^[[2Jhidden\nlast"), (True, b"\x1b[2Jhidden\nlast")])
def test_a_terminal_gets_neutral_text_unless_raw_is_asked_for(core: FakeCore, raw: bool, shown: bytes) -> None:
    out = io.BytesIO()
    with Client(core.path) as client:
        tail.of_tasks(client, ["b"], tail.Wish(raw=raw), out, Look(terminal=True))
    assert out.getvalue() == shown


class Enough(Exception):
    pass


def follow(core: FakeCore, monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> bytes:
    """What `tail -f` of a writes while these steps happen, one at each pause."""
    remaining = list(steps)
    out = io.BytesIO()

    def pause(_seconds: float, _connection: int, _out: object) -> None:
        if not remaining:
            raise Enough
        remaining.pop(0)()

    monkeypatch.setattr(tail, "pause", pause)
    with Client(core.path) as client, pytest.raises(Enough):
        tail.of_tasks(client, ["a"], tail.Wish(lines=1, follow=True), out)
    return out.getvalue()


def test_following_shows_what_comes_and_survives_a_restart_of_the_core(core: FakeCore, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def restart() -> None:
        core.stop()
        core.start()
        desk.logs["a"] += b"five\n"

    assert follow(core, monkeypatch, lambda: desk.logs.update(a=desk.logs["a"] + b"four\n"), restart) == b"three\nfour\nfive\n"


def test_following_says_when_bytes_were_removed_before_they_could_be_shown(
    core: FakeCore, desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def retain() -> None:
        desk.logs["a"] += b"lost\nkept\n"
        desk.first = len(desk.logs["a"]) - 5

    assert follow(core, monkeypatch, retain) == b"three\nkept\n"
    assert capsys.readouterr().err == "efctl: a: 5 bytes are no longer there\n"


def test_following_begins_anew_with_a_log_that_was_begun_anew(
    core: FakeCore, desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow(core, monkeypatch, lambda: desk.logs.update(a=b"new\n")) == b"three\nnew\n"
    assert "begun anew" in capsys.readouterr().err


def test_a_follower_whose_reader_has_gone_notices_it_in_silence_too() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as out, pytest.raises(BrokenPipeError):
        tail.pause(60, -1, out)


def test_a_follower_looks_again_at_once_when_the_connection_ends() -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    try:
        tail.pause(600, ours, io.BytesIO())
        assert select.select([ours], [], [], 0)[0]
    finally:
        os.close(ours)


# The edge -----------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stdout_kept() -> Any:
    kept = os.dup(1)
    yield
    os.dup2(kept, 1)
    os.close(kept)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (OSError(28, "No space left on device"), 71, "efctl: the output could not be written: No space left on device\n"),
        (EfError("a sentence", Code.GONE), 66, "efctl: a sentence\n"),
    ],
)
@pytest.mark.usefixtures("stdout_kept")
def test_an_end_from_outside_has_the_status_a_shell_expects(
    error: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_words: object) -> int:
        raise error

    monkeypatch.setattr(main, "_do", fail)
    assert main.run(["status"]) == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_an_exit_status(code: Code, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_words: object) -> int:
        raise EfError("why", code)

    monkeypatch.setattr(main, "_do", fail)
    assert main.run([]) == TABLE[code].exit_status
    assert capsys.readouterr().err == "efctl: why\n"


# Help ---------------------------------------------------------------------------------------------------------------------------------------------


def every_command() -> list[list[str]]:
    """The words of every command, groups and what is below them too."""
    context = click.Context(grammar.root, info_name="efctl")
    found: list[list[str]] = [[]]
    for name in grammar.root.list_commands(context):
        found.append([name])
        command = grammar.root.get_command(context, name)
        if isinstance(command, click.Group):
            found += [[name, below] for below in command.commands]
    return found


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_explains_itself(words: list[str]) -> None:
    result = CliRunner().invoke(grammar.root, [*words, "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 60
    assert ".." not in result.output.replace("...", "")


def test_every_verb_with_a_command_can_be_said() -> None:
    said = {" ".join(words) for words in every_command()}
    assert {verb.command for verb in VERBS.values() if verb.command} <= said


def test_the_version_option_says_efctls_version() -> None:
    assert CliRunner().invoke(grammar.root, ["--version"]).output == f"efctl {verbs.own_version()}\n"


def test_without_a_command_the_help_is_shown_and_the_status_says_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Run:" in said.err

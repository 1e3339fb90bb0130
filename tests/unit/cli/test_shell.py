"""The shell: what a line is, history, completion."""

from __future__ import annotations

import io
import os
import readline
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.cli import main
from efsupervisor.cli.output import standard
from efsupervisor.cli.session import Session
from efsupervisor.cli.shell import Completion, History, Shell, history_path, is_console, words_of
from efsupervisor.cli.where import Place
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import Request, StatusReply, TaskStatus
from efsupervisor.messages.call import Answered, Call, ConsoleCall, Done, Lines
from efsupervisor.states import Goal, State
from tests.unit.cli.fake_core import FakeCore, FakeMiddle


def core_of(request: Request) -> list[object]:
    return [StatusReply(id=request.id, tasks=[TaskStatus(name="a", state=State.RUNNING, goal=Goal.ACT)])]


def middle_of(call: Any) -> list[object]:
    if isinstance(call, ConsoleCall):
        refused = "nonsense" in call.line
        return [Answered(id=call.id, answer=Lines(lines=["NOK : no" if refused else f"OK : {call.line}"], code="usage" if refused else "ok"))]
    assert isinstance(call, Call)
    return [Answered(id=call.id, answer=Done(rows=[]))]


@pytest.fixture
def middle(folder: Path) -> Iterator[FakeMiddle]:
    with FakeCore(folder, core_of), FakeMiddle(folder, middle_of) as middle:
        yield middle


# Lines --------------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["shw task", "SHW task", "set task a", "del task x", "act a", "trm all", "hlp", "add task x", "rst a"])
def test_a_line_that_begins_with_a_word_of_the_console_language_is_one(line: str) -> None:
    assert is_console(line)


@pytest.mark.parametrize("line", ["status", "start a", "tail -f a", "shutdown", "flow add f a b", "actor"])
def test_every_other_line_is_a_command_of_efctl(line: str) -> None:
    assert not is_console(line)


def test_words_are_split_as_a_shell_splits_them() -> None:
    assert words_of("add web command='sleep 5' # later") == ["add", "web", "command=sleep 5"]
    with pytest.raises(EfError) as raised:
        words_of("put a 'x")
    assert raised.value.code is Code.USAGE


def shell(folder: Path, lines: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    return main.run(["--var", str(folder), "shell"])


def test_lines_from_a_pipe_are_done_in_order_in_both_languages(
    folder: Path, middle: FakeMiddle, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert shell(folder, "shw task a\n\n# a comment\nstatus a\nexit\nact all\n", monkeypatch) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[0] == "OK : shw task a"
    assert out[2].split()[:2] == ["a", "RUNNING"]
    assert len(out) == 3


def test_a_line_that_fails_does_not_end_the_shell_and_the_first_decides_the_status(
    folder: Path, middle: FakeMiddle, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert shell(folder, "status --nonsense\nshw nonsense\nput a 'x\nshell\nstatus\n", monkeypatch) == 2
    text = capfd.readouterr()
    assert text.out.startswith("NOK : no\nNAME")
    assert [line[:7] for line in text.err.splitlines()] == ["efctl: "] * 3


def test_the_shell_speaks_with_the_supervisor_it_was_called_for(
    folder: Path, middle: FakeMiddle, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EFSUPERVISOR_SOCKET", "/nowhere/core.sock")
    assert shell(folder, "restart a\n", monkeypatch) == 0
    assert [call.verb for call in middle.calls] == ["restart"]


def test_ctrl_c_ends_the_line_and_a_reader_that_went_away_ends_the_shell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = iter([KeyboardInterrupt(), BrokenPipeError()])

    def run(words: Any) -> int:
        raise next(ends)

    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    with Session(Place("", "", "")) as session:
        shell = Shell(session, standard({}), run, lambda _before, _begun: [])
        assert shell.do("tail -f a") == 130
        assert out.getvalue() == "\n"
        with pytest.raises(BrokenPipeError):
            shell.do("tail -f a")


# History ------------------------------------------------------------------------------------------------------------------------------------------


def test_the_history_lies_where_the_desktop_specification_says() -> None:
    assert history_path({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == "/s/efsupervisor/history"
    assert history_path({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == "/h/.local/state/efsupervisor/history"
    assert history_path({}) == ""


@pytest.fixture
def lines_of_others() -> Iterator[None]:
    readline.clear_history()
    yield
    readline.clear_history()


@pytest.mark.usefixtures("lines_of_others")
def test_the_history_is_kept_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "efsupervisor" / "history"
    history = History(str(path))
    history.load()
    readline.add_history("put a secret")
    history.save()
    assert path.read_text() == "put a secret\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    readline.clear_history()
    history.load()
    assert readline.get_history_item(1) == "put a secret"


@pytest.mark.usefixtures("lines_of_others")
def test_a_history_that_others_may_read_is_made_ours_and_a_link_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "efsupervisor"
    folder.mkdir()
    (folder / "history").write_text("")
    os.chmod(folder / "history", 0o644)
    History(str(folder / "history")).save()
    assert stat.S_IMODE((folder / "history").stat().st_mode) == 0o600
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / "link").symlink_to(victim)
    History(str(folder / "link")).save()
    assert victim.read_text() == "precious"
    assert "could not be kept" in capsys.readouterr().err


def test_no_home_costs_the_history_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    history = History("")
    history.load()
    history.save()
    assert list(tmp_path.iterdir()) == [], "a history without a place was written somewhere"
    assert capsys.readouterr() == ("", "")


# Completion ---------------------------------------------------------------------------------------------------------------------------------------


def commands(before: Any, begun: str) -> list[str]:
    return [word for word in ("status", "start", "stop", "flow") if word.startswith(begun)] if not before else ["add", "ls"]


@pytest.fixture
def completion() -> Completion:
    return Completion(lambda: ["web", "worker", "이벤트", "all"], commands)


@pytest.mark.parametrize(
    ("before", "begun", "found"),
    [
        ("", "st", ["status ", "start ", "stop "]),
        ("", "s", ["shw ", "set ", "status ", "start ", "stop "]),
        ("shw ", "fl", ["flow "]),
        ("shw task ", "w", ["web ", "worker "]),
        ("act ", "web,w", ["web,worker "]),
        ("trm ", "이", ["이벤트 "]),
        ("flow ", "", ["add ", "ls "]),
    ],
)
def test_tab_offers_what_fits(completion: Completion, before: str, begun: str, found: list[str]) -> None:
    assert completion.candidates(before, begun) == found


def test_readline_gets_one_candidate_after_the_other(completion: Completion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readline, "get_line_buffer", lambda: "act w")
    monkeypatch.setattr(readline, "get_begidx", lambda: 4)
    assert [completion("w", state) for state in range(3)] == ["web ", "worker ", None]

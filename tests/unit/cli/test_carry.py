"""Events to a file and back: exact bytes in every framing, each once whoever is cut short, and nothing half-written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.cli import carry, main
from efsupervisor.conf.schema import InputSpec, TaskSpec
from efsupervisor.errors import TABLE, Code
from efsupervisor.journal import Reader, Writer
from efsupervisor.journal.framing import wrap
from efsupervisor.messages import (
    DoneReply,
    FlowsReply,
    FlowsRequest,
    Outcome,
    PutRequest,
    Request,
    SpecsReply,
    SpecsRequest,
)
from efsupervisor.messages.core import FlowRow, TaskDetail
from efsupervisor.states import Framing
from efsupervisor.system import REAL, short_id
from tests.unit.cli.fake_core import FakeCore

Efctl = Callable[..., tuple[int, str, str]]


class Queue:
    """A Core with one task `web`, fed by `talks`.  held: what was put, by id; refuse_after: so many puts are taken."""

    def __init__(self, framing: Framing = Framing.LINES) -> None:
        self.framing = framing
        self.held: dict[str, bytes] = {}
        self.refuse_after = 1 << 30

    def __call__(self, request: Request) -> list[object]:
        match request:
            case SpecsRequest():
                spec = TaskSpec(name="web", command=["x"], input=InputSpec(framing=self.framing))
                return [SpecsReply(id=request.id, tasks=[TaskDetail(spec=spec)])]
            case FlowsRequest():
                own = FlowRow(flow="", producer="", consumers=["web"], id="own")
                return [FlowsReply(id=request.id, rows=[own, FlowRow(flow="f", producer="talks", consumers=["web"], id="edge")])]
            case PutRequest():
                ok = request.put_id in self.held or len(self.held) < self.refuse_after
                if ok:
                    self.held[request.put_id] = request.data
                return [DoneReply(id=request.id, outcomes=[Outcome(task="web", ok=ok, code=Code.OK if ok else Code.SYSTEM, sentence="no room")])]
        raise AssertionError(request)


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def efctl(folder: Path, queue: Queue, capfd: pytest.CaptureFixture[str]) -> Iterator[Efctl]:
    def call(*words: str) -> tuple[int, str, str]:
        status = main.run(["--var", str(folder), *words])
        text = capfd.readouterr()
        return status, text.out, text.err

    with FakeCore(folder, queue):
        yield call


def filled(folder: Path, task: str, stream: str, data: bytes, cursor: int, edge: str) -> None:
    home = folder / "tasks" / short_id(task)
    home.mkdir(parents=True, exist_ok=True)
    writer = Writer(str(home / stream), system=REAL, segment_bytes=16)
    for line in data.splitlines(keepends=True):
        writer.append(line)
    writer.close()
    hint = folder / "flows" / edge
    hint.mkdir(parents=True)
    (hint / f"cursor.{short_id('web')}").write_bytes(cursor.to_bytes(8, "little"))


@given(
    framing=st.sampled_from(list(Framing)),
    contents=st.lists(st.binary(max_size=40), max_size=30),
    stop=st.integers(0, 2000),
)
def test_records_of_every_framing_are_divided_as_they_were_made(framing: Framing, contents: list[bytes], stop: int) -> None:
    records = [record for content in contents if (record := wrap(framing, content)) is not None]
    data = b"".join(records)
    cut = data[:stop]
    found = list(carry.split(lambda at, size: cut[at : at + size], framing, 0, len(cut)))
    whole, at = [], 0
    for record in records:
        at += len(record)
        if at <= len(cut):
            whole.append((record, at))
    assert [(wrap(framing, content), following) for content, following in found] == whole


def test_what_waits_is_saved_as_it_is_and_loaded_once(folder: Path, efctl: Efctl, queue: Queue, tmp_path: Path) -> None:
    waits = b"two \xff\x00\nthree\n\nfive\n"
    filled(folder, "web", "input", b"one\n" + waits, 4, "own")
    file = tmp_path / "saved"
    assert efctl("queue", "save", "web", str(file)) == (0, "web: 4 events saved\n", "")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (waits, 0o600)
    assert efctl("queue", "load", "web", str(file)) == (0, "web: 4 events put\n", "")
    assert list(queue.held.values()) == waits.split(b"\n")[:-1]
    status, _, err = efctl("queue", "load", "web", str(file))
    assert status == TABLE[Code.EXISTS].exit_status
    assert "say --again" in err
    assert efctl("queue", "load", "--again", "web", str(file))[0] == 0
    assert len(queue.held) == 8


def test_what_waits_on_edges_is_saved_too_without_what_a_killed_program_left(folder: Path, efctl: Efctl, tmp_path: Path) -> None:
    filled(folder, "web", "input", b"own\n", 0, "own")
    filled(folder, "talks", "out", b"a\nb\n", 2, "edge")
    writer = Writer(str(folder / "tasks" / short_id("talks") / "out"), system=REAL)
    writer.append(b"torn")
    writer.mark_fragment(4, 8, deliver=False)
    writer.append(b"c\nlast")
    writer.mark_fragment(10, 14, deliver=True)
    writer.close()
    file = tmp_path / "saved"
    assert efctl("queue", "save", "web", str(file), "--producer", "talks")[1] == "web: 3 events saved\n"
    assert file.read_bytes() == b"b\nc\nlast\n"
    assert efctl("queue", "save", "web", str(file), "--all")[0] == 0
    assert file.read_bytes() == b"own\nb\nc\nlast\n"
    assert efctl("queue", "save", "web", str(file), "--producer", "nobody")[0] == TABLE[Code.NO_SUCH_TASK].exit_status


@pytest.mark.parametrize("taken", [0, 1, 1499, 2500])
def test_a_load_that_is_cut_short_goes_on_where_it_was(efctl: Efctl, queue: Queue, tmp_path: Path, taken: int) -> None:
    file = tmp_path / "saved"
    file.write_bytes(b"".join(b"%d\n" % number for number in range(2600)))
    queue.refuse_after = taken
    status, _, err = efctl("queue", "load", "web", str(file))
    assert (status, f"event {taken + 1} was not put" in err) == (TABLE[Code.SYSTEM].exit_status, True)
    if taken == 2500:
        os.unlink(f"{file}.loaded")  # killed before it could note: the ids see to it
    queue.refuse_after = 1 << 30
    assert efctl("queue", "load", "web", str(file))[0] == 0
    assert list(queue.held.values()) == [b"%d" % number for number in range(2600)]


@pytest.mark.parametrize("framing", list(Framing))
def test_a_file_is_read_in_the_framing_of_the_task(efctl: Efctl, queue: Queue, tmp_path: Path, framing: Framing) -> None:
    queue.framing = framing
    contents = [b"one", b"", b"x" * 400_000] if framing is Framing.NETSTRING else [b"one", b"", b"three"]
    contents[2] = contents[2][:60_000]
    file = tmp_path / "saved"
    file.write_bytes(b"".join(wrap(framing, content) or b"" for content in contents))
    assert efctl("queue", "load", "web", str(file))[0] == 0
    assert list(queue.held.values()) == contents


def test_what_is_no_record_is_said_with_its_place_and_a_file_that_cannot_be_written_leaves_nothing(
    folder: Path, efctl: Efctl, queue: Queue, tmp_path: Path
) -> None:
    queue.framing = Framing.NETSTRING
    file = tmp_path / "saved"
    file.write_bytes(b"3:abc,oops")
    status, _, err = efctl("queue", "load", "web", str(file))
    assert status == TABLE[Code.BAD_REQUEST].exit_status
    assert "begins at byte 6" in err
    assert list(queue.held.values()) == [b"abc"]
    filled(folder, "web", "input", b"own\n", 0, "own")
    assert efctl("queue", "save", "web", str(tmp_path / "none" / "file"))[0] == TABLE[Code.SYSTEM].exit_status
    assert efctl("queue", "load", "web", str(tmp_path / "none"))[0] == TABLE[Code.SYSTEM].exit_status


def test_a_replay_puts_whole_events_of_a_range_into_the_own_queue(folder: Path, efctl: Efctl, queue: Queue) -> None:
    filled(folder, "talks", "out", b"one\ntwo\nthree\nfour\n", 19, "edge")
    assert efctl("replay", "web", "--from", "5", "--to", "14") == (0, "web: 2 events put\n", "")
    assert list(queue.held.values()) == [b"two", b"three"]
    assert efctl("replay", "web", "--from", "1h")[1] == "web: 4 events put\n"
    assert efctl("replay", "web", "--from", "0", "--producer", "other")[0] == TABLE[Code.USAGE].exit_status
    queue.refuse_after = 8
    status, _, err = efctl("replay", "web", "--from", "0")
    assert status == TABLE[Code.SYSTEM].exit_status
    assert "2 events are in the queue" in err
    assert "--from 8" in err


def test_payloads_step_over_what_retention_took(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=8)
    for number in range(8):
        writer.append(b"line %d\n" % number)
    os.unlink(tmp_path / "j" / f"{14:020d}.log")
    reader = Reader(str(tmp_path / "j"), system=REAL)
    assert [content[-1:] for content, _ in carry.payloads(reader, 0, writer.end)] == [b"0", b"1", b"4", b"5", b"6", b"7"]
    reader.close()
    writer.close()

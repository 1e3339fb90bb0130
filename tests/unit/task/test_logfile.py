"""Log files beside the journals: links that follow segments, and cursors that feed what cannot be a link."""

from __future__ import annotations

import gzip
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.journal import Writer, packed
from efsupervisor.journal.folder import Folder
from efsupervisor.messages import Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL
from efsupervisor.task import logfile
from efsupervisor.task.logfile import LogFiles
from efsupervisor.task.seat import Seat
from efsupervisor.task.sinks import SharedFile, Sink, sink
from tests.unit.task.table import BOOT


class Bench:
    """One channel of a task: its journal, and what is said about it."""

    def __init__(self, folder: Path, **spec: Any) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(mode=0o755, exist_ok=True)
        self.dir = folder / "task"
        self.dir.mkdir(exist_ok=True)
        self.told: list[str] = []
        self.reactor = Reactor(REAL)
        self.seat = Seat(
            Wiring(spec=TaskSpec(name="t", command=["x"], **spec), task_dir=str(self.dir), namespace="n"),
            REAL,
            self.reactor,
            boot=BOOT,
            say=lambda level, sentence: self.told.append(f"{level} {sentence}"),
            tell=lambda _message: None,
            dirty=lambda: None,
            core_connected=lambda: True,
        )
        self.journal = Writer(str(self.dir / "out"), system=REAL, segment_bytes=4096, boot_id=BOOT)
        self.files = LogFiles(self.seat, "out", str(self.dir / "out"), self.journal.end)

    def write(self, data: bytes) -> None:
        self.journal.append(data)
        self.files.moved(self.journal.base)

    def turn(self, times: int = 20) -> None:
        for _ in range(times):
            self.reactor.turn(0.01)

    def close(self) -> None:
        self.files.close()
        self.journal.close()
        self.reactor.close()


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    made: list[Bench] = []
    yield made
    for each in made:
        each.close()


def bench(benches: list[Bench], folder: Path, **spec: Any) -> Bench:
    benches.append(Bench(folder, **spec))
    return benches[-1]


LINES = [f"line {number:04d} {'x' * 50}\n".encode() for number in range(400)]


def test_links_lead_to_the_newest_segments_and_old_ones_go(benches: list[Bench], tmp_path: Path) -> None:
    path = tmp_path / "logs" / "x.log"
    this = bench(benches, tmp_path, stdout_logfile=str(path), stdout_logfile_backups=2)
    (tmp_path / "logs" / "x.log.2").symlink_to(f"{this.dir}/out/gone.log")
    for each in LINES:
        this.write(each)
    kept = [Path(f"{path}{end}").read_bytes() for end in (".2", ".1", "")]
    assert b"".join(kept) == b"".join(LINES)[-sum(map(len, kept)) :] and len(b"".join(kept)) > 4096
    assert not os.path.lexists(f"{path}.3")
    assert {each.name for each in path.parent.iterdir()} == {"x.log", "x.log.1", "x.log.2"}


def test_a_compressed_segment_has_a_link_by_which_zcat_knows_it(benches: list[Bench], tmp_path: Path) -> None:
    path = tmp_path / "logs" / "x.log"
    this = bench(benches, tmp_path, stdout_logfile=str(path), stdout_logfile_backups=3)
    for each in LINES[:240]:
        this.write(each)
    names = {"x.log", "x.log.1", "x.log.2", "x.log.3"}
    assert {each.name for each in path.parent.iterdir()} == names
    before = Path(f"{path}.2").read_bytes()
    with Folder(REAL, f"{this.dir}/out") as journal:
        for base in packed.unpacked(journal)[:-1]:
            packed.pack(journal, base)
    this.files.trimmed()
    assert {each.name for each in path.parent.iterdir()} == {"x.log", "x.log.1", "x.log.2.gz", "x.log.3.gz"}
    assert gzip.decompress(Path(f"{path}.2.gz").read_bytes()) == before
    for each in LINES[240:]:
        this.write(each)
    assert {each.name for each in path.parent.iterdir()} == names


def test_a_file_in_the_way_is_kept_and_a_file_of_older_logs_is_not_touched(benches: list[Bench], tmp_path: Path) -> None:
    path = tmp_path / "logs" / "x.log"
    path.parent.mkdir(mode=0o755)
    path.write_text("old\n")
    Path(f"{path}.1").write_text("older\n")
    this = bench(benches, tmp_path, stdout_logfile=str(path))
    for each in LINES:
        this.write(each)
    assert Path(f"{path}.before").read_text() == "old\n" and path.is_symlink()
    assert Path(f"{path}.1").read_text() == "older\n"


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_folder_in_which_others_could_exchange_the_link_is_refused_and_said(benches: list[Bench], tmp_path: Path, mode: int) -> None:
    this = bench(benches, tmp_path, stdout_logfile=str(tmp_path / "logs" / "x.log"))
    this.logs.chmod(mode)
    this.write(b"a\n")
    assert not os.path.lexists(this.logs / "x.log")
    assert any("others may write into its folder" in each for each in this.told)
    this.logs.chmod(mode | stat.S_ISVTX)
    this.files.rewired()
    this.files.moved(this.journal.base)
    assert (this.logs / "x.log").read_bytes() == b"a\n" and not this.seat.health


def test_a_link_that_somebody_planted_is_replaced_and_never_followed(benches: list[Bench], tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine\n")
    this = bench(benches, tmp_path, stdout_logfile=str(tmp_path / "logs" / "x.log"))
    (this.logs / "x.log").symlink_to(tmp_path / "precious")
    this.write(b"a\n")
    assert (this.logs / "x.log").read_bytes() == b"a\n" and (tmp_path / "precious").read_text() == "mine\n"


def test_a_folder_that_is_missing_is_said_and_the_link_is_made_when_it_is_there(benches: list[Bench], tmp_path: Path) -> None:
    this = bench(benches, tmp_path, stdout_logfile=str(tmp_path / "none" / "x.log"))
    this.write(b"a\n")
    assert any("No such file or directory" in each for each in this.told)
    (tmp_path / "none").mkdir(mode=0o755)
    for each in LINES:
        this.write(each)
    assert (tmp_path / "none" / "x.log").is_symlink()


def test_a_fifo_is_fed_whole_lines_and_a_full_one_waits_for_its_reader(benches: list[Bench], tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    this = bench(benches, tmp_path, stdout_logfile=str(path))
    for _ in range(10):
        for each in LINES:
            this.write(each)
    got = b""
    for _ in range(2000):
        this.reactor.turn(0)
        try:
            got += os.read(reader, 65536)
        except BlockingIOError:
            if len(got) == 10 * sum(map(len, LINES)):
                break
    os.close(reader)
    assert got == 10 * b"".join(LINES)


def test_a_reader_that_is_gone_is_said_once_and_the_log_goes_on_when_one_is_back(
    benches: list[Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "RETRY_S", 0.02)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    this = bench(benches, tmp_path, stdout_logfile=str(path))
    this.write(b"a\n")
    this.turn(10)
    assert len([each for each in this.told if "cannot be written" in each]) == 1
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    this.turn(10)
    assert os.read(reader, 10) == b"a\n" and not this.seat.health
    os.close(reader)


def test_a_successor_goes_on_where_the_last_worker_stopped(benches: list[Bench], tmp_path: Path) -> None:
    path = str(tmp_path / "logs" / "both.log")
    first = bench(benches, tmp_path, stdout_logfile=path, fed_logs=True)
    first.write(b"one\n")
    first.files.close()
    first.journal.append(b"two\n")
    first.journal.close()
    second = bench(benches, tmp_path, stdout_logfile=path, fed_logs=True)
    second.write(b"three\n")
    assert Path(path).read_bytes() == b"one\ntwo\nthree\n"


def test_what_retention_took_before_it_was_read_is_counted_and_said(benches: list[Bench], tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    this = bench(benches, tmp_path, stdout_logfile=str(path))
    for each in LINES:
        this.journal.append(each)
    this.journal.retain(keep_bytes=1, keep_age_s=0, needed=1 << 62, wall_ns=REAL.wall_ns(), hard_bytes=0)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    this.files.moved(this.journal.base)
    assert any(f"{this.journal.first} bytes of the log were not written" in each for each in this.told)
    assert os.read(reader, 65536) == b"".join(LINES)[this.journal.first :]
    os.close(reader)


def test_a_shared_file_is_rotated_by_size_and_its_other_writer_follows(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    one, two = (sink(str(path), REAL, size=100, backups=1) for _ in range(2))
    for number in range(13):
        for each in (one, two):
            data = memoryview(f"{number:019d}\n".encode())
            assert each.write(data) == 20
    for each in (one, two):
        each.close()
    assert isinstance(one, SharedFile)
    assert {each.name for each in tmp_path.iterdir()} == {"x.log", "x.log.1"}
    assert (tmp_path / "x.log").stat().st_size <= 120 and (tmp_path / "x.log.1").stat().st_size == 120


def test_a_shared_file_is_no_link_and_has_no_second_name(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "hard").hardlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="ours alone"):
        sink(str(tmp_path / "hard"), REAL).write(memoryview(b"x\n"))
    (tmp_path / "soft").symlink_to(tmp_path / "nothing")
    with pytest.raises(OSError):
        sink(str(tmp_path / "soft"), REAL).write(memoryview(b"x\n"))
    assert not (tmp_path / "nothing").exists()


def test_colours_are_taken_out_where_that_is_asked() -> None:
    assert Sink("x", REAL, strip=True).form(b"\x1b[1;31mred\x1b[0m \x1b[2Kx") == b"red x"
    assert Sink("x", REAL, strip=False).form(b"\x1b[0m") == b"\x1b[0m"


def test_syslog_gets_a_record_for_each_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "log")
    monkeypatch.setattr("efsupervisor.task.sinks.SYSLOG", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        to = sink("syslog", REAL, label="web (stdout)")
        data = memoryview(b"one\ntwo\n")
        while data:
            data = data[to.write(data) :]
        assert [server.recv(100), server.recv(100)] == [b"<14>web (stdout): one", b"<14>web (stdout): two"]
        to.close()

"""Dead letters: found by number, settled once, and put back once whatever is killed in between."""

from __future__ import annotations

import base64
from itertools import count
from pathlib import Path

import msgspec
import pytest

from efsupervisor.errors import EfError
from efsupervisor.journal import Reader, Writer
from efsupervisor.states import Framing
from efsupervisor.system import REAL
from efsupervisor.task import dead
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.queue import PUT_BACK, put
from tests.unit.journal.fakes import Killed, Machine, StopAt


def made(event: bytes = b"bad\n", **more: object) -> dead.DeadLetter:
    fields = {"edge": "e" * 16, "producer": "p", "offset": 7, "length": len(event), "deliveries": 2, "reason": "why", "wall": 1.5}
    return dead.DeadLetter(**{**fields, "event": base64.b64encode(event).decode(), **more})  # type: ignore[arg-type]


def paths_with(folder: Path, *found: dead.DeadLetter, torn: bytes = b"", segment_bytes: int = 1 << 20) -> TaskPaths:
    paths = TaskPaths(str(folder / "taskaaaa"))
    Path(paths.folder).mkdir(exist_ok=True)
    writer = Writer(paths.dead_journal, system=REAL, boot_id="b", segment_bytes=segment_bytes)
    for each in found:
        writer.append(torn + msgspec.json.encode(each) + b"\n")
    writer.close()
    return paths


def queued(paths: TaskPaths) -> bytes:
    reader = Reader(paths.input_journal, system=REAL)
    try:
        return reader.read(0, 1 << 20)
    finally:
        reader.close()


def test_letters_are_found_by_their_numbers_and_nothing_else_is_one(tmp_path: Path) -> None:
    paths = paths_with(tmp_path, made(), made(b"worse\n"))
    (first, _, one), (second, _, two) = dead.letters(paths, 0, REAL)
    assert (first, one.content, two.content) == (0, b"bad\n", b"worse\n")
    assert dead.letter(paths, second, REAL) == two
    for wrong in (1, second - 1, second + 1, 10**6, 10**18):
        with pytest.raises(EfError, match="no dead letter"):
            dead.letter(paths, wrong, REAL)


def test_what_a_killed_writer_left_of_a_letter_is_none(tmp_path: Path) -> None:
    paths = paths_with(tmp_path, made(), torn=b'{"version":1,"edge":"to\n')
    assert [each.content for _number, _next, each in dead.letters(paths, 0, REAL)] == [b"bad\n"]


@pytest.mark.parametrize(
    ("event", "framing", "says"),
    [(b"a line\n", Framing.LINES, b"a line"), (b"9:two\nlines,", Framing.NETSTRING, b"two\nlines"), (b"last", Framing.NUL, b"last")],
)
def test_what_is_put_back_is_what_the_event_says(event: bytes, framing: Framing, says: bytes) -> None:
    assert dead.event_of(made(event, framing=int(framing))) == says


def test_an_event_of_which_only_the_beginning_was_kept_is_not_put_back() -> None:
    with pytest.raises(EfError, match="only the first 4 were kept"):
        dead.event_of(made(length=5000))


def test_a_letter_is_settled_once_and_a_torn_note_is_written_over(tmp_path: Path) -> None:
    paths = paths_with(tmp_path, made())
    assert dead.settled(paths, REAL) == {}
    dead.settle(paths, 0, dead.PUT_BACK, REAL)
    dead.settle(paths, 0, dead.DROPPED, REAL)
    with open(paths.dead_settled, "ab") as file:
        file.write(b"torn")
    dead.settle(paths, 99, dead.DROPPED, REAL)
    assert dead.settled(paths, REAL) == {0: dead.PUT_BACK, 99: dead.DROPPED}


def test_a_letter_whose_putting_back_was_killed_anywhere_is_in_the_queue_once_when_it_is_put_back_again(tmp_path: Path) -> None:
    killed = 0
    for number in count():
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = paths_with(folder, made())

        def put_back(system: object, paths: TaskPaths = paths) -> None:
            put(paths, f"{PUT_BACK}0", dead.event_of(dead.letter(paths, 0, system)), system)  # type: ignore[arg-type]
            dead.settle(paths, 0, dead.PUT_BACK, system)  # type: ignore[arg-type]

        machine = Machine(StopAt(number))
        try:
            put_back(machine)
        except Killed:
            killed += 1
            machine.bury()
            put(paths, "another", b"meanwhile", REAL)
            put_back(REAL)
            assert sorted(queued(paths).splitlines()) == [b"bad", b"meanwhile"], f"killed before call {number}"
        else:
            break
        assert dead.settled(paths, REAL) == {0: dead.PUT_BACK}
    assert killed > 15


def test_a_letter_put_back_long_ago_is_known_although_its_bytes_are_gone_and_ten_thousand_followed(tmp_path: Path) -> None:
    paths = paths_with(tmp_path, made())
    first = put(paths, f"{PUT_BACK}0", b"bad", REAL)
    ids = Path(paths.folder, "put-ids")
    record = ids.read_bytes()
    for at in range(3):
        put(paths, f"later {at}", b"x", REAL)
    later = ids.read_bytes()[-48:]
    with ids.open("ab") as file:
        file.write(later * 11_000)
    assert put(paths, f"{PUT_BACK}0", b"bad", REAL) == first
    assert len(record) == 48
    assert queued(paths).count(b"bad") == 1


def test_files_that_hold_only_settled_letters_are_removed(tmp_path: Path) -> None:
    paths = paths_with(tmp_path, *[made(b"x" * 500 + b"\n") for _ in range(20)], segment_bytes=4096)
    numbers = [number for number, _next, _letter in dead.letters(paths, 0, REAL)]
    writer = Writer(paths.dead_journal, system=REAL, boot_id="b", segment_bytes=4096)
    dead.forget_settled(paths, writer, REAL)
    assert writer.first == 0
    for number in numbers[:10]:
        dead.settle(paths, number, dead.DROPPED, REAL)
    dead.forget_settled(paths, writer, REAL)
    assert 0 < writer.first <= numbers[10]
    assert [number for number, _next, _letter in dead.letters(paths, 0, REAL) if number >= numbers[10]] == numbers[10:]
    writer.close()

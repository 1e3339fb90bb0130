"""Records read from journals: results of tasks, and what waits in a spool."""

from __future__ import annotations

import json
from pathlib import Path

from efsupervisor.core.collector.harvest import LONGEST, Harvest
from efsupervisor.core.collector.spool import NAME, Spool
from efsupervisor.journal import Writer
from efsupervisor.system import REAL


def journal(folder: Path, *pieces: bytes) -> Writer:
    writer = Writer(str(folder), system=REAL, segment_bytes=4096)
    for piece in pieces:
        writer.append(piece)
    return writer


def harvest(**folders: Path) -> Harvest:
    found = Harvest(REAL)
    found.arrange({name: (name.upper(), str(folder)) for name, folder in folders.items()})
    return found


def texts(records: list[bytes]) -> list[str]:
    return [json.loads(record)["text"] for record in records]


def untimed(records: list[bytes]) -> list[object]:
    """Without the times: the present where no index entry tells better."""
    return [{name: value for name, value in json.loads(record).items() if name != "time"} for record in records]


def test_results_are_whole_lines_with_their_place(tmp_path: Path) -> None:
    journal(tmp_path / "a", b"one\ntwo\nthr")
    found = harvest(a=tmp_path / "a").look({}, 10)
    assert texts(found.records) == ["one", "two"]
    assert [(json.loads(record)["task"], json.loads(record)["offset"], json.loads(record)["length"]) for record in found.records] == [
        ("A", 0, 3),
        ("A", 4, 3),
    ]
    assert found.until == {"a": 8}


def test_a_batch_is_read_again_exactly_although_more_was_written_meanwhile(tmp_path: Path) -> None:
    writer = journal(tmp_path / "a", b"one\ntwo\n")
    source = harvest(a=tmp_path / "a")
    first = source.look({}, 10)
    writer.append(b"three\n")
    assert untimed(source.look({}, 10, first.until).records) == untimed(first.records)
    assert texts(source.look(first.until, 10).records) == ["three"]


def test_tasks_take_turns_so_that_a_talkative_one_leaves_room(tmp_path: Path) -> None:
    journal(tmp_path / "a", b"loud\n" * 1000)
    journal(tmp_path / "b", b"quiet\n")
    source = harvest(a=tmp_path / "a", b=tmp_path / "b")
    position: dict[str, int] = {}
    seen: list[str] = []
    for _ in range(3):
        found = source.look(position, 10)
        position |= found.until
        seen += texts(found.records)
    assert "quiet" in seen


def test_what_a_killed_program_left_unfinished_is_passed_over_and_a_last_line_without_newline_is_not(tmp_path: Path) -> None:
    writer = journal(tmp_path / "a", b"one\ntorn")
    writer.mark_fragment(4, 8, deliver=False)
    writer.append(b"two\nlast")
    writer.mark_fragment(12, 16, deliver=True)
    writer.append(b"three\n")
    assert texts(harvest(a=tmp_path / "a").look({}, 10).records) == ["one", "two", "last", "three"]


def test_a_long_line_is_cut_and_says_so_and_bytes_that_are_no_text_are_base64(tmp_path: Path) -> None:
    journal(tmp_path / "a", b"x" * (LONGEST + 5) + b"\n", b"\xff\xfe\n")
    long, binary = (json.loads(record) for record in harvest(a=tmp_path / "a").look({}, 10).records)
    assert (len(long["text"]), long["length"], long["cut"]) == (LONGEST, LONGEST + 5, True)
    assert binary["base64"] == "//4="


def test_the_last_results_are_read_from_the_end(tmp_path: Path) -> None:
    journal(tmp_path / "a", b"".join(b"line %d\n" % number for number in range(2000)))
    rows = harvest(a=tmp_path / "a", b=tmp_path / "nothing").last(set(), 3)
    assert [row.data for row in rows] == [b"line 1997", b"line 1998", b"line 1999"]
    assert harvest(a=tmp_path / "a").last({"B"}, 3) == []


def test_a_task_that_left_is_told_and_its_results_are_not_read_any_more(tmp_path: Path) -> None:
    journal(tmp_path / "a", b"one\n")
    source = harvest(a=tmp_path / "a")
    assert source.arrange({}) == {"a"}
    assert source.look({}, 10).records == []
    assert source.waiting({}) == 0


def test_a_task_that_was_removed_and_added_again_begins_anew(tmp_path: Path) -> None:
    journal(tmp_path / "a", b"one\n" * 10)
    source = harvest(a=tmp_path / "a")
    assert source.arrange({"a": ("A", str(tmp_path / "a"))}) == set()
    (tmp_path / "a").rename(tmp_path / "former")
    assert source.arrange({"a": ("A", str(tmp_path / "a"))}) == set()
    journal(tmp_path / "a", b"new\n")
    assert source.arrange({"a": ("A", str(tmp_path / "a"))}) == {"a"}
    assert source.arrange({"a": ("A", str(tmp_path / "a"))}) == set()
    assert texts(source.look({}, 10).records) == ["new"]


def test_the_time_of_a_result_comes_from_the_index(tmp_path: Path) -> None:
    writer = journal(tmp_path / "a", b"one\n")
    writer.index(1_000_000_000_000_000_000)
    writer.append(b"two\n")
    writer.index(1_000_000_005_000_000_000)
    times = [json.loads(record)["time"] for record in harvest(a=tmp_path / "a").look({}, 10).records]
    assert times == [1_000_000_000.0, 1_000_000_005.0]


# The spool -----------------------------------------------------------------------------------------------------------------------------------------


def samples(records: list[bytes]) -> list[object]:
    return [json.loads(record)["sample"] for record in records]


def test_what_was_put_into_the_spool_is_there_for_the_successor(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "s"), REAL, 1 << 20)
    for number in range(5):
        spool.put({"n": number}, {})
    spool.close()
    found = Spool(str(tmp_path / "s"), REAL, 1 << 20).look({}, 3)
    assert samples(found.records) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert samples(Spool(str(tmp_path / "s"), REAL, 1 << 20).look(found.until, 9).records) == [{"n": 3}, {"n": 4}]


def test_a_put_that_was_killed_in_its_middle_costs_only_itself(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "s"), REAL, 1 << 20)
    spool.put({"n": 0}, {})
    spool.close()
    segment = next((tmp_path / "s").glob("*.log"))
    with open(segment, "ab") as file:
        file.write(b'{"n": 1')
    again = Spool(str(tmp_path / "s"), REAL, 1 << 20)
    again.put({"n": 2}, {})
    assert samples(again.look({}, 9).records) == [{"n": 0}, {"n": 2}]


def test_a_server_that_stays_away_costs_the_oldest_and_no_more_disk_than_the_limit(tmp_path: Path) -> None:
    limit = 64 << 10
    spool = Spool(str(tmp_path / "s"), REAL, limit)
    position = {NAME: 0}
    for number in range(2000):
        spool.put({"n": number, "text": "x" * 100}, position)
        assert sum(path.stat().st_size for path in (tmp_path / "s").glob("*.log")) <= limit + limit // 8 + 4096
    found = spool.look(position, 1)
    assert found.lost
    assert samples(found.records)[0]["n"] > 1000  # type: ignore[index]
    assert spool.waiting(position) > 0


def test_what_the_server_has_makes_room(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "s"), REAL, 64 << 10)
    position: dict[str, int] = {}
    for number in range(2000):
        spool.put({"n": number, "text": "x" * 100}, position)
        found = spool.look(position, 10)
        assert not found.lost
        assert samples(found.records)[-1]["n"] == number  # type: ignore[index]
        position = found.until
    assert len(list((tmp_path / "s").glob("*.log"))) <= 3

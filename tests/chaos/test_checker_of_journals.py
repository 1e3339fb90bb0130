"""The checker of the diamond: an honest journal is clean, and one that loses, doubles, tears or reorders a single record is found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import witness
from tests.support.programs import lines
from tests.support.witness import History, Key, Life, Received

COUNT = 40
SEGMENT = 10
TEXT = [b"Failed password for root", b"Accepted password for a b c", b"connection closed"]

Change = Callable[[list[bytes]], None]


def lost(records: list[bytes]) -> None:
    del records[17]


def doubled(records: list[bytes]) -> None:
    records.insert(17, records[17])


def torn(records: list[bytes]) -> None:
    records[17] = records[17][:-6] + b"\n"


def changed(records: list[bytes]) -> None:
    records[17] = records[17].replace(b"password", b"Password").replace(b"closed", b"Closed")


def reordered(records: list[bytes]) -> None:
    records[17], records[18] = records[18], records[17]


def invented(records: list[bytes]) -> None:
    records.insert(17, lines.seal(1, 900, lines.make(7, 1, 900, text=TEXT)[:-1]))


WRONG = [lost, doubled, torn, changed, reordered, invented]


def journal(folder: Path, records: list[bytes], change: Change | None) -> witness.Journal:
    """A journal of several segments on disk, damaged before it was written."""
    if change is not None:
        change(records)
    at = 0
    for number in range(0, len(records), SEGMENT):
        data = b"".join(records[number : number + SEGMENT])
        (folder / f"{at:020d}.log").write_bytes(data)
        at += len(data)
    return witness.read_journal(folder)


def produced() -> list[Key]:
    return [(1, seq) for seq in range(COUNT)]


def relay(folder: Path, change: Change | None, again: int = 0) -> witness.Verdict:
    """The verdict on a relay that died once, and wrote `again` lines a second time in its next life."""
    first, second = Life(1, 11, 1), Life(2, 12, 2)
    records: list[bytes] = []
    for life, seqs in ((first, range(20)), (second, range(20 - again, COUNT))):
        for own, seq in enumerate(seqs):
            life.received.append(Received((1, seq), True))
            life.passing.append((life.number, own))
            life.passed.append((life.number, own))
            records.append(lines.seal(life.number, own, lines.make(7, 1, seq, text=TEXT)[:-1]))
    return witness.relayed("log of B", produced(), History([first, second]), journal(folder, records, change))[0]


def log(folder: Path, change: Change | None) -> witness.Verdict:
    history = History([Life(1, 11, 1, intended=COUNT, done=COUNT)])
    records = [lines.make(7, *key, text=TEXT) for key in produced()]
    return witness.log_of_producer("log of A", history, journal(folder, records, change), seed=7, text=TEXT)


@pytest.mark.parametrize("again", [0, 1])
def test_an_honest_journal_of_a_relay_is_clean_also_when_its_death_doubled_one_event(tmp_path: Path, again: int) -> None:
    assert relay(tmp_path, None, again).clean


def test_two_doubled_events_of_one_death_are_caught(tmp_path: Path) -> None:
    assert not relay(tmp_path, None, 2).clean


@pytest.mark.parametrize("change", WRONG)
def test_a_wrong_journal_of_a_relay_is_caught(tmp_path: Path, change: Change) -> None:
    verdict = relay(tmp_path, change)
    names = {"changed": "torn", "invented": "unknown"}
    assert getattr(verdict, names.get(change.__name__, change.__name__)) >= 1, verdict


def test_an_honest_log_of_real_text_is_clean(tmp_path: Path) -> None:
    assert log(tmp_path, None).clean


@pytest.mark.parametrize("change", WRONG)
def test_a_wrong_log_of_the_producer_is_caught(tmp_path: Path, change: Change) -> None:
    assert not log(tmp_path, change).clean


def side(*lives: list[int]) -> witness.Verdict:
    histories = [Life(n, n, n, [Received((1, seq), True) for seq in got], []) for n, got in enumerate(lives, 1)]
    return witness.stretches("A -> E", produced(), History(histories), begun=2)


def test_an_edge_that_was_made_twice_may_leave_two_gaps_and_no_third() -> None:
    assert side([3, 4, 5, 9, 10, 11]).clean
    assert side([3, 4, 5], [5, 6, 9]).clean
    assert side([3, 5, 7]).lost == 1


def test_an_edge_that_goes_back_is_caught() -> None:
    assert side([3, 4, 3]).reordered == 1
    assert side([3, 4, 5, 6], [3, 4]).reordered == 2


def test_members_that_go_back_more_often_than_deaths_explain_are_caught() -> None:
    def member(*lives: list[int]) -> History:
        return History([Life(n, n, n, [Received((1, seq), True) for seq in got], [(1, seq) for seq in got]) for n, got in enumerate(lives, 1)])

    other = member([0, 1], [4])
    assert witness.share_group("group", produced()[:8], [other, member([3, 2, 5, 6, 7])], window=2).clean
    assert witness.share_group("group", produced()[:8], [other, member([7, 6, 5, 3, 2])], window=2).reordered == 2

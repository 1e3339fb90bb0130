"""What waits for a pool: bounded, counted, and the same after a kill."""

from __future__ import annotations

import contextlib
from pathlib import Path

from efsupervisor.listener.kinds import Event
from efsupervisor.listener.pool import Pool
from efsupervisor.listener.sources import BEGIN, END, divided


def pool(folder: Path, said: list[str], size: int = 3) -> Pool:
    return Pool(str(folder / "pool"), "p", size, said.append)


def test_events_are_taken_in_order_and_kept_until_they_are_done(tmp_path: Path) -> None:
    said: list[str] = []
    with pool(tmp_path, said).opened() as kept:
        pool(tmp_path, said).add(kept, [Event("A", b"1"), Event("B", b"2")])
    with pool(tmp_path, said).opened() as kept:
        first = pool(tmp_path, said).take(kept, "m")
        assert first is not None and (first.name, first.serial, first.poolserial) == ("A", 1, 1)
    with pool(tmp_path, said).opened() as kept:  # as if the member had died
        pool(tmp_path, said).give_back(kept, "m")
        again = pool(tmp_path, said).take(kept, "n")
        assert again is not None and again.serial == 1
        pool(tmp_path, said).done(kept, "n")
        pool(tmp_path, said).give_back(kept, "n")
        assert [event.name for event in kept.waiting] == ["B"]
    assert said == []


def test_the_oldest_goes_when_there_is_no_room_and_that_is_counted_and_told(tmp_path: Path) -> None:
    said: list[str] = []
    mine = pool(tmp_path, said)
    with mine.opened() as kept:
        mine.add(kept, [Event(str(number), b"") for number in range(5)])
        assert [event.name for event in kept.waiting] == ["2", "3", "4"]
        assert kept.discarded == 2
    assert said == [
        "pool p event buffer overflowed, discarding event 1 (0); 1 in all", "pool p event buffer overflowed, discarding event 2 (1); 2 in all",
    ]  # fmt: skip


def test_what_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    mine = pool(tmp_path, [])
    with contextlib.suppress(RuntimeError), mine.opened() as kept:
        mine.add(kept, [Event("A", b"")])
        raise RuntimeError
    with mine.opened() as kept:
        assert kept.waiting == []


def test_a_damaged_file_is_told_and_begun_anew(tmp_path: Path) -> None:
    said: list[str] = []
    mine = pool(tmp_path, said)
    (tmp_path / "pool" / "pool").write_bytes(b"\xff\xff")
    with mine.opened() as kept:
        assert kept.waiting == []
    assert said == ["pool p: its file is damaged; it begins anew"]


def test_tokens_are_found_wherever_output_is_cut() -> None:
    whole = b"a" + BEGIN + b"said" + END + b"b"
    for cut in range(len(whole) + 1):
        found, used = divided(whole[:cut], 100)
        more, rest = divided(whole[used:], 100)
        assert used + rest == len(whole)
        pieces = [*found, *more]
        assert b"".join(piece for said, piece in pieces if said) == b"said"
        assert b"".join(piece for said, piece in pieces if not said) == b"ab"


def test_what_is_never_ended_is_said_when_it_is_longer_than_its_capture() -> None:
    data = BEGIN + b"x" * 40_000
    assert divided(data, 10) == ([(False, b""), (True, b"x" * 40_000)], len(data))

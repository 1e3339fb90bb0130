"""The checker itself: honest histories are clean, each kind of wrong history is caught, and so is a supervisor that is deliberately wrong.

Histories are written as witness files, in the words of the witness programs, so that reading them is tested as well.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import witness
from tests.support.nemesis import Sampler
from tests.support.programs import lines
from tests.support.supervisor import MARK
from tests.support.wait import until
from tests.support.witness import History, Journal, Key, Life, Produced, Received

SEED = 7


def keys(count: int) -> list[Key]:
    """Lines of one producer life."""
    return [(1, seq) for seq in range(count)]


def event_consumer(count: int, window: int, deaths: int, seed: int) -> History:
    """An honest consumer that dies now and then, before or after the acknowledgement, with and without having recorded it."""
    dice, history, cursor = random.Random(seed), History(), 0
    careful = 0
    for number in range(1, deaths + 2):
        life = Life(number, 1000 + number, number)
        history.lives.append(life)
        last = number == deaths + 1
        until_index = count if last else min(count, cursor + dice.randint(0, 12))
        while cursor < until_index:
            limit = 1 if cursor < careful else window
            batch = min(dice.randint(1, limit), count - cursor)
            life.read += batch
            for index in range(cursor, min(cursor + batch, until_index)):
                held = life.read - len(life.acknowledged)
                life.received.append(Received((1, index), True, held))
                life.acknowledged.append((1, index))
                cursor += 1
        careful = max(careful, len(life.acknowledged) and life.received[0].key[1] + life.read)
        if not last and cursor < count:
            # it took one more up and died, perhaps after its acknowledgement had been written
            life.read = max(life.read, len(life.acknowledged) + 1)
            life.received.append(Received((1, cursor), True, life.read - len(life.acknowledged)))
            careful = max(careful, cursor + life.read - len(life.acknowledged))
            cursor += dice.randint(0, 1)
    return history


@given(st.integers(0, 10_000), st.sampled_from([1, 8, 64]), st.integers(0, 6))
def test_an_honest_event_consumer_is_clean_whatever_its_deaths(seed: int, window: int, deaths: int) -> None:
    history = event_consumer(60, window, deaths, seed)
    verdict = witness.event_edge("edge", keys(60), history, window=window)
    doubtful_end = len(history.lives[-1].received) == 0
    assert verdict.clean or doubtful_end, str(verdict)


def edge(change: Callable[[Life], None], window: int = 8) -> witness.Verdict:
    """The verdict on an honest life of twenty events after `change` damaged it."""
    history = event_consumer(20, window, 0, 3)
    assert witness.event_edge("edge", keys(20), history, window=window).clean
    change(history.lives[0])
    return witness.event_edge("edge", keys(20), history, window=window)


def forget(life: Life, index: int) -> None:
    """The life never received this event."""
    del life.received[index], life.acknowledged[index]


def test_a_lost_event_is_caught() -> None:
    assert edge(lambda life: forget(life, 7)).lost == 1


def test_a_lost_last_event_is_caught() -> None:
    assert edge(lambda life: forget(life, 19)).lost == 1


def test_a_torn_event_is_caught() -> None:
    def tear(life: Life) -> None:
        life.received[5] = Received((-1, -1), False)

    assert edge(tear).torn == 1


def test_two_events_in_the_wrong_order_are_caught() -> None:
    def swap(life: Life) -> None:
        life.received[4:6] = reversed(life.received[4:6])
        life.acknowledged[4:6] = reversed(life.acknowledged[4:6])

    verdict = edge(swap)
    assert (verdict.reordered, verdict.lost) == (1, 0)


def test_an_event_that_comes_twice_in_one_life_is_caught() -> None:
    def double(life: Life) -> None:
        life.received.insert(9, life.received[8])
        life.acknowledged.insert(9, life.acknowledged[8])

    assert edge(double).doubled == 1


def test_a_line_that_nobody_produced_is_caught() -> None:
    def invent(life: Life) -> None:
        life.received.append(Received((9, 9), True))

    assert edge(invent).unknown == 1


def test_more_outstanding_events_than_the_window_are_caught() -> None:
    def crowd(life: Life) -> None:
        life.received[3] = life.received[3]._replace(outstanding=9)

    assert edge(crowd).over_window == 1


def two_lives(begin: int, outstanding: int = 1) -> witness.Verdict:
    """Ten events; the first life received six, acknowledged four and had read six; the second begins at `begin`."""
    first = Life(1, 11, 1, [Received((1, n), True) for n in range(5)], [(1, n) for n in range(4)], read=6)
    second = Life(2, 12, 2, [Received((1, n), True, outstanding if n < 6 else 2) for n in range(begin, 10)], [(1, n) for n in range(begin, 10)])
    return witness.event_edge("edge", keys(10), History([first, second]), window=2)


@pytest.mark.parametrize("begin", [4, 5])
def test_after_a_death_either_side_of_one_unrecorded_acknowledgement_is_right(begin: int) -> None:
    assert two_lives(begin).clean


def test_an_event_redelivered_though_it_was_acknowledged_is_caught() -> None:
    assert two_lives(3).redelivered_though_acknowledged == 1


def test_an_event_skipped_by_a_death_is_caught() -> None:
    assert two_lives(6).lost == 1


def test_a_redelivery_that_does_not_run_at_window_one_is_caught() -> None:
    assert two_lives(4, outstanding=2).over_window == 2


def test_an_event_that_was_never_acknowledged_is_lost_when_the_run_is_over_and_open_before() -> None:
    history = History([Life(1, 11, 1, [Received((1, 0), True)], [])])
    assert witness.event_edge("edge", keys(1), history, window=1).lost == 1
    assert witness.event_edge("edge", keys(1), history, window=1, complete=False).clean


def test_a_consumer_that_never_lived_lost_everything() -> None:
    assert witness.event_edge("edge", keys(3), History(), window=1).lost == 3
    assert witness.stream_edge("edge", keys(3), [10] * 3, History(), largest_read=10).lost == 3


# Witness files ------------------------------------------------------------------------------------------------------------------------------------


def history_of(tmp_path: Path, text: str) -> History:
    """The history in a witness file with this text."""
    path = tmp_path / "witness"
    path.write_text(text, encoding="ascii")
    return witness.read_history(path)


def test_a_witness_file_is_read_life_by_life(tmp_path: Path) -> None:
    history = history_of(tmp_path, "\nS 1 100 1\nG 2\nR 1 0 1\nA 1 0\nR 1 1 0\n\nS 2 101 2\nE\n")
    assert [(life.number, life.pid, life.ended) for life in history.lives] == [(1, 100, False), (2, 101, True)]
    assert history.lives[0].received == [Received((1, 0), True, 2), Received((1, 1), False, 1)]


def test_a_second_copy_is_caught(tmp_path: Path) -> None:
    history = history_of(tmp_path, "\nS 1 100 1\nX 101\n")
    assert witness.event_edge("edge", [], history, window=1).copies == 1


def test_a_torn_record_is_forgiven_at_the_end_of_a_life_only(tmp_path: Path) -> None:
    assert history_of(tmp_path, "\nS 1 100 1\nR 1\n\nS 2 101 2\n").malformed == 0
    assert history_of(tmp_path, "\nS 1 100 1\nR 1\nG 3\n").malformed == 1


def test_a_producer_tells_certain_from_possible_lines(tmp_path: Path) -> None:
    history = history_of(tmp_path, "\nS 1 100 1\nI 3\nD 2\nI 5\n\nS 2 101 2\nI 6\nD 6\nF 6\n")
    assert witness.produced_by(history) == [Produced([(1, 0), (1, 1)], [(1, 2), (1, 3), (1, 4)]), Produced([(2, 5)], [])]


def test_a_possible_line_that_was_seen_proves_those_before_it() -> None:
    produced = [Produced([(1, 0)], [(1, 1), (1, 2), (1, 3)]), Produced([(2, 4)], [])]
    assert witness.settle(produced, [(1, 2)]) == [(1, 0), (1, 1), (1, 2), (2, 4)]
    assert witness.settle(produced, []) == [(1, 0), (2, 4)]


# Streams --------------------------------------------------------------------------------------------------------------------------------------------


def stream(read: int, begin: int) -> witness.Verdict:
    """Ten lines of ten bytes; the first life had read `read` bytes and recorded the whole lines, the second begins at line `begin`."""
    first = Life(1, 11, 1, [Received((1, n), True) for n in range(read // 10)], read=read)
    second = Life(2, 12, 2, [Received((1, n), True) for n in range(begin, 10)], read=100 - 10 * begin)
    return witness.stream_edge("edge", keys(10), [10] * 10, History([first, second]), largest_read=25)


@pytest.mark.parametrize(("read", "begin"), [(30, 3), (35, 3), (39, 3), (40, 4), (30, 4), (30, 5), (0, 0), (0, 2)])
def test_a_stream_goes_on_at_the_record_that_holds_the_first_unread_byte(read: int, begin: int) -> None:
    assert stream(read, begin).clean, str(stream(read, begin))


@pytest.mark.parametrize(("read", "begin"), [(30, 2), (40, 3)])
def test_a_stream_that_repeats_what_was_read_is_caught(read: int, begin: int) -> None:
    assert stream(read, begin).doubled == 1


@pytest.mark.parametrize(("read", "begin"), [(30, 6), (0, 3)])
def test_a_stream_that_skips_what_was_not_read_is_caught(read: int, begin: int) -> None:
    assert stream(read, begin).lost == 1


def test_a_stream_without_its_end_is_caught() -> None:
    history = History([Life(1, 11, 1, [Received((1, n), True) for n in range(9)], read=90)])
    assert witness.stream_edge("edge", keys(10), [10] * 10, history, largest_read=10).lost == 1


# Share groups ---------------------------------------------------------------------------------------------------------------------------------------


def member(*lives: tuple[list[int], int]) -> History:
    """A member whose lives received these events and acknowledged the first few of them."""
    return History(
        [Life(n, n, n, [Received((1, seq), True) for seq in got], [(1, seq) for seq in got[:count]]) for n, (got, count) in enumerate(lives, 1)]
    )


def test_an_honest_share_group_is_clean() -> None:
    assert witness.share_group("group", keys(6), [member(([0, 2, 4], 3)), member(([1, 3, 5], 3))], window=1).clean


def test_an_event_may_come_to_another_member_after_a_death_without_acknowledgement() -> None:
    assert witness.share_group("group", keys(4), [member(([0, 2], 1), ([3], 1)), member(([1, 2], 2))], window=1).clean


def test_an_event_acknowledged_by_two_members_is_caught() -> None:
    verdict = witness.share_group("group", keys(3), [member(([0, 1], 2)), member(([1, 2], 2))], window=1)
    assert verdict.redelivered_though_acknowledged == 1


def test_an_event_held_by_two_living_members_is_caught() -> None:
    verdict = witness.share_group("group", keys(2), [member(([0, 1], 1)), member(([1], 0))], window=1, complete=False)
    assert verdict.doubled == 1


def test_an_event_that_no_member_acknowledged_is_caught() -> None:
    assert witness.share_group("group", keys(3), [member(([0], 1)), member(([2], 1))], window=1).lost == 1


def test_a_member_that_goes_back_is_caught_where_nobody_died() -> None:
    assert witness.share_group("group", keys(3), [member(([1, 0], 2)), member(([2], 1))], window=1).reordered == 1


def test_a_member_that_receives_an_event_twice_in_one_life_is_caught() -> None:
    verdict = witness.share_group("group", keys(1), [member(([0, 0], 2))], window=1)
    assert (verdict.doubled, verdict.redelivered_though_acknowledged) == (1, 1)


# Logs -----------------------------------------------------------------------------------------------------------------------------------------------


def written(*bounds: tuple[int, int]) -> tuple[History, list[bytes]]:
    """A producer whose lives wrote (done, intended) lines, and the bytes of each life's certain lines."""
    history = History([Life(n, n, n, done=done, intended=intended) for n, (done, intended) in enumerate(bounds, 1)])
    return history, [b"".join(lines.make(SEED, *key) for key in produced.certain) for produced in witness.produced_by(history)]


def log(history: History, data: bytes) -> witness.Verdict:
    """The verdict on a log with these bytes."""
    return witness.log_of_producer("log", history, Journal(data, [], 1), seed=SEED)


def test_an_honest_log_is_clean_with_every_fragment_that_a_dying_write_can_leave() -> None:
    history, (first, second) = written((40, 43), (60, 60))
    dying = b"".join(lines.make(SEED, 1, seq) for seq in range(40, 43))
    for length in range(len(dying) + 1):
        verdict = log(history, first + dying[:length] + second)
        assert verdict.clean, f"{length}: {verdict}"


def test_a_log_that_lacks_one_byte_is_caught_wherever_it_is() -> None:
    history, (data,) = written((12, 12))
    for at in range(len(data)):
        assert not log(history, data[:at] + data[at + 1 :]).clean, at


def test_a_log_that_repeats_a_piece_is_caught() -> None:
    history, (data,) = written((12, 12))
    for at in (0, 100, len(data)):
        assert not log(history, data[:at] + data[max(0, at - 30) : at] + b"x" + data[at:]).clean
    assert log(history, data + data[-40:]).doubled


def test_a_log_with_a_fragment_that_nobody_wrote_is_caught() -> None:
    history, (first, second) = written((40, 40), (60, 60))
    assert log(history, first + second).clean
    assert not log(history, first + lines.make(SEED, 1, 40)[:10] + second).clean


def test_segments_that_leave_a_gap_or_cut_a_record_are_caught(tmp_path: Path) -> None:
    for base, data in ((0, b"one\ntwo\n"), (8, b"thr"), (11, b"ee\n"), (15, b"four\n")):
        (tmp_path / f"{base:020d}.log").write_bytes(data)
    journal = witness.read_journal(tmp_path)
    assert journal.segments == 4
    assert [fault.split(" ", 2)[2] for fault in journal.faults] == ["ends inside a record", "begins at 15, the one before it ends at 14"]


def test_a_segment_that_could_not_be_cut_ends_where_the_next_begins_if_both_say_the_same(tmp_path: Path) -> None:
    (tmp_path / f"{0:020d}.log").write_bytes(b"one\ntwo\nthr")
    (tmp_path / f"{8:020d}.log").write_bytes(b"three\n")
    assert witness.read_journal(tmp_path) == Journal(b"one\ntwo\nthree\n", [], 2)
    (tmp_path / f"{8:020d}.log").write_bytes(b"four\n")
    assert witness.read_journal(tmp_path).faults


def test_messages_on_stderr_are_each_there_once() -> None:
    history = History([Life(1, 1, 1, noises=2), Life(2, 2, 2, noises=1)])
    one, two, three = b"noise 1 1 of event 4\n", b"noise 1 2 of event 9\n", b"noise 2 1 of event 9\n"

    def judged(*said: bytes) -> witness.Verdict:
        return witness.noise_log("noise", history, Journal(b"".join(said), [], 1))

    assert judged(one, two, three).clean
    assert judged(one, two, b"noise 1 3 of event 9\n", three).clean  # written, and killed before it was recorded
    assert judged(one, three).lost == 1
    assert judged(one, two, two, three).doubled == 1
    assert judged(two, one, three).reordered == 1
    assert judged(one, b"noi\n", two, three).torn == 1


# The outside witness --------------------------------------------------------------------------------------------------------------------------------


class _Run:
    """What the sampler needs of a supervisor: a folder and a mark."""

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder = folder
        self.mark = mark


@pytest.mark.parametrize(("cookies", "found"), [(("a:1", "a:1"), True), (("a:1", "a:2"), False)])
def test_the_sampler_sees_two_copies_of_one_program_and_only_those(tmp_path: Path, cookies: tuple[str, str], found: bool) -> None:
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    sampler = Sampler(_Run(tmp_path, mark))  # type: ignore[arg-type]
    with sampler:
        until(lambda: Path(f"/proc/{sampler._process.pid}/wchan").exists() and _catches_terminate(sampler._process.pid), 10, "the sampler is ready")
        programs = [subprocess.Popen(["/bin/sleep", "60"], env={MARK: mark, "EFS_COOKIE": cookie}) for cookie in cookies]
        try:
            before = _switches(sampler._process.pid)
            until(lambda: _switches(sampler._process.pid) > before + 5, 10, "the sampler looks a few times")
        finally:
            for program in programs:
                program.kill()
                program.wait()
    assert (sampler.copies > 0) is found


def _catches_terminate(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16) >> 14 & 1)


def _switches(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("voluntary_ctxt")).split()[1])


def test_a_witness_program_that_starts_beside_a_living_copy_says_so(tmp_path: Path) -> None:
    path = tmp_path / "w"
    program = [sys.executable, "-S", "-E", "-s", str(Path(witness.__file__).parent / "programs" / "exiter.py"), str(path)]
    first = subprocess.Popen([*program, "lives_s=0", "signal=19"])  # it stops itself, holding its lock
    try:
        until(lambda: path.exists() and b"C -19" in path.read_bytes(), 10)
        assert subprocess.run(program, check=False).returncode == 99
    finally:
        first.kill()
        first.wait()
    assert witness.read_history(path).copies == 1

"""What is posted next, and what follows from each answer of the server."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.core.collector.announcer import MAX_BODY, MAX_REFUSALS, Announcer, Answer, Phase, Post, Slice
from efsupervisor.core.collector.cursor import Cursor, Position
from efsupervisor.system import REAL

OK, BUSY, BAD, NOTHING = Answer(204), Answer(503, "503"), Answer(400, "400 Bad Request"), Answer(0, "timed out")


class Numbers:
    """A source of the numbers 0, 1, 2 ... below `end`; `first`: those before were lost."""

    def __init__(self, end: int, first: int = 0, size: int = 1) -> None:
        self.end = end
        self.first = first
        self.size = size

    def look(self, position: Position, limit: int, until: Position | None = None) -> Slice:
        begin = max(position.get("n", 0), self.first)
        end = min(begin + limit, self.end if until is None else until["n"])
        lost = begin - position.get("n", 0) if until is None else 0
        records = [msgspec.json.encode({"at": "n", "next": number + 1, "value": "x" * self.size}) for number in range(begin, end)]
        return Slice(records, {"n": max(begin, end)}, lost)

    def waiting(self, position: Position) -> int:
        return max(0, self.end - position.get("n", 0))


def announcer(folder: Path, source: Numbers, batch: int = 10) -> Announcer:
    return Announcer("stream", source, Cursor(str(folder / "cursor.json"), REAL, {}), node="here", supervisor="sup", batch=batch, retry_max_s=60)


def numbers(post: Post) -> list[int]:
    return [record["next"] - 1 for record in json.loads(post.body)["records"]]


def expect(post: Post | None) -> Post:
    assert post is not None
    return post


def test_what_is_accepted_is_followed_by_what_comes_behind_it(tmp_path: Path) -> None:
    one = announcer(tmp_path, Numbers(25))
    seen = []
    for _ in range(3):
        seen.append(numbers(expect(one.next(0.0))))
        one.answered(OK, 0.0)
    assert seen == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert one.next(0.0) is None
    assert (one.posted, one.waiting, one.dropped) == (25, 0, 0)


def test_one_post_is_under_way_at_a_time(tmp_path: Path) -> None:
    one = announcer(tmp_path, Numbers(25))
    expect(one.next(0.0))
    assert one.next(0.0) is None


@pytest.mark.parametrize("answer", [BUSY, NOTHING, Answer(429), Answer(302, "302 Found"), Answer(401, "401 Unauthorized"), Answer(199)])
def test_what_was_not_accepted_is_posted_again_under_the_same_id_after_a_growing_delay(tmp_path: Path, answer: Answer) -> None:
    one = announcer(tmp_path, Numbers(5))
    first, now, delays = expect(one.next(0.0)), 0.0, []
    for _ in range(12):
        one.answered(answer, now)
        assert one.phase is Phase.WAITING
        assert one.next(one.due - 0.001) is None
        delays.append(one.due - now)
        now = one.due
        assert expect(one.next(now)) == first
    assert 0.45 <= delays[0] <= 0.5
    assert all(later >= earlier * 1.7 or later >= 54 for earlier, later in itertools.pairwise(delays))
    assert max(delays) <= 60
    assert "tried again" in one.ailment


def test_a_server_that_says_when_is_believed_within_the_longest_delay(tmp_path: Path) -> None:
    one = announcer(tmp_path, Numbers(5))
    expect(one.next(0.0))
    one.answered(Answer(503, "503", retry_after_s=20), 0.0)
    assert 18 <= one.due <= 20
    expect(one.next(one.due))
    one.answered(Answer(503, "503", retry_after_s=1e9), 0.0)
    assert one.due <= 60


def test_a_successor_posts_the_same_batch_under_the_same_id(tmp_path: Path) -> None:
    source = Numbers(5)
    first = expect(announcer(tmp_path, source).next(0.0))
    source.end = 100
    assert expect(announcer(tmp_path, source, batch=50).next(0.0)) == first


def test_what_the_server_accepted_from_the_killed_one_is_not_posted_by_its_successor(tmp_path: Path) -> None:
    one = announcer(tmp_path, Numbers(5))
    expect(one.next(0.0))
    one.answered(OK, 0.0)
    assert announcer(tmp_path, Numbers(5)).next(0.0) is None


def test_refused_content_is_divided_until_the_record_is_found_and_that_one_is_dropped_and_counted(tmp_path: Path) -> None:
    one, accepted, ids, now = announcer(tmp_path, Numbers(20)), [], set(), 0.0
    for _ in range(200):
        post = one.next(now)
        if post is None and one.phase is Phase.IDLE:
            break
        if post is None:
            now = one.due
            continue
        if 7 in numbers(post):
            one.answered(BAD, now)
        else:
            assert post.id not in ids, "an id stands for one batch"
            ids.add(post.id)
            accepted += numbers(post)
            one.answered(OK, now)
    assert accepted == [number for number in range(20) if number != 7]
    assert one.dropped == 1


def test_a_single_record_is_not_dropped_at_its_first_refusals(tmp_path: Path) -> None:
    one = announcer(tmp_path, Numbers(1))
    for _ in range(MAX_REFUSALS - 1):
        expect(one.next(one.due))
        one.answered(BAD, 0.0)
        assert one.phase is Phase.WAITING
    expect(one.next(one.due))
    one.answered(BAD, 0.0)
    assert (one.dropped, one.phase) == (1, Phase.IDLE)
    assert "dropped" in one.ailment


def test_what_retention_took_is_counted_once_and_said_in_the_posts(tmp_path: Path) -> None:
    one = announcer(tmp_path, Numbers(20, first=15))
    post = expect(one.next(0.0))
    assert numbers(post) == [15, 16, 17, 18, 19]
    assert json.loads(post.body)["dropped"] == 15
    one.answered(OK, 0.0)
    assert one.next(0.0) is None
    assert one.dropped == 15


def test_a_batch_of_which_nothing_is_left_is_dropped_and_counted(tmp_path: Path) -> None:
    source = Numbers(5)
    expect(announcer(tmp_path, source).next(0.0))
    source.first = source.end = 8
    one = announcer(tmp_path, source)
    assert one.next(0.0) is None
    assert one.dropped >= 5


def test_a_post_holds_no_more_than_its_limit_of_bytes_unless_one_record_is_larger(tmp_path: Path) -> None:
    one = announcer(tmp_path, Numbers(30, size=MAX_BODY // 4))
    total: list[int] = []
    while post := one.next(0.0):
        assert len(post.body) < MAX_BODY + 1000
        total += numbers(post)
        one.answered(OK, 0.0)
    assert total == list(range(30))
    alone = announcer(tmp_path / "..", Numbers(2, size=MAX_BODY * 2))
    assert numbers(expect(alone.next(0.0))) == [0]


@given(answers=st.lists(st.sampled_from([OK, BUSY, NOTHING, "crash", "crash after accepting"]), max_size=60))
def test_whatever_happens_the_server_sees_each_record_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, answers: list[Answer | str]
) -> None:
    folder, source = tmp_path_factory.mktemp("announcer"), Numbers(0)
    one, now = announcer(folder, source, batch=3), 0.0
    server: dict[str, list[int]] = {}
    for answer in answers:
        source.end += 2
        now = max(now, one.due)
        post = one.next(now)
        if post is None:
            continue
        if answer in (OK, "crash after accepting"):
            assert server.setdefault(post.id, numbers(post)) == numbers(post), "the same id, other records"
        if isinstance(answer, Answer):
            one.answered(answer, now)
        else:
            one, now = announcer(folder, source, batch=3), 0.0
    seen = [number for batch in server.values() for number in batch]
    assert seen == list(range(len(seen)))

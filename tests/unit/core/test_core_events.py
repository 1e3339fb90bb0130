"""Events: numbers that never go back, the ring, the alerts behind it, and who waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from efsupervisor.core import events as module
from efsupervisor.core.events import MAX_WAITERS, SLACK, Events, Waiter
from efsupervisor.messages import MAX_FRAME, EventRow, EventsReply, encode
from tests.support.stores import opened


class FakeStore:
    """A store in memory; `saved` is what a crash leaves."""

    def __init__(self) -> None:
        self.ailment = ""
        self.rows: list[EventRow] = []
        self.lost_alert = 0
        self.marks: dict[str, int] = {}
        self.saved: dict[str, int] = {}
        self.flushes = 0

    @property
    def newest_alert(self) -> int:
        return self.rows[-1].seq if self.rows else 0

    def alert(self, row: EventRow) -> None:
        self.rows.append(row)

    def alerts(self, since: int = 0, limit: int = 200) -> list[EventRow]:
        return [row for row in self.rows if row.seq >= since][:limit]

    def mark(self, name: str) -> int:
        return self.saved.get(name, 0)

    def set_mark(self, name: str, number: int, *, exactly: bool = False) -> None:
        self.marks[name] = number if exactly else max(number, self.marks.get(name, 0))

    def flush(self) -> bool:
        self.flushes += 1
        if not self.ailment:
            self.saved = dict(self.marks)
        return not self.ailment


def started(store: FakeStore, **named: object) -> Events:
    found = Events(store, **named)  # type: ignore[arg-type]
    store.flush()
    return found


def state(events: Events, task: str = "a", after: str = "RUNNING") -> int:
    return events.publish("state", task, 1.0, before="STARTING", after=after, pid=7).seq


def numbers(rows: list[EventRow]) -> list[int]:
    return [row.seq for row in rows]


# Numbers -------------------------------------------------------------------------------------------------------------------------------------------


def test_numbers_count_up_from_one_and_go_on_without_a_gap_after_a_clean_end() -> None:
    store = FakeStore()
    events = started(store)
    assert [state(events), events.publish("message", "a", 1.0).seq, state(events)] == [1, 2, 3]
    events.close()
    store.flush()
    assert state(started(store)) == 4


def test_a_crash_skips_numbers_and_repeats_none() -> None:
    store, seen = FakeStore(), set[int]()
    for _ in range(5):
        events = started(store)
        mine = [state(events) for _ in range(10)]
        assert not seen & set(mine)
        assert min(mine) > max(seen, default=0)
        seen.update(mine)


def test_a_storm_of_events_never_gets_past_the_saved_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLACK", 8)
    store = FakeStore()
    events = started(store)
    for _ in range(100):
        assert state(events) <= store.mark("event")
    assert store.flushes < 30


def test_numbers_after_a_lost_mark_are_above_all_that_can_have_been() -> None:
    store = FakeStore()
    events = started(store, now_wall=module.EPOCH_WALL + 86_400.0, complete=False)
    assert events.next == 86_400_000
    assert started(FakeStore(), now_wall=module.EPOCH_WALL + 86_400.0).next == 1


def test_a_store_that_cannot_be_written_stops_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLACK", 4)
    store = FakeStore()
    events = started(store)
    store.ailment, store.flushes = "full", 0
    assert [state(events) for _ in range(20)] == list(range(1, 21))
    assert store.flushes == 0, "what fails is not tried again for each event"


def test_numbers_go_on_with_a_real_store_over_kill_and_clean_end(tmp_path: Path) -> None:
    store = opened(tmp_path)
    events = Events(store)
    store.flush()
    assert state(events) == 1
    assert events.publish("message", "a", 1.0, event=b"\xff", lines=["x"]).seq == 2
    store.flush()
    store.close()  # the events were not closed: a crash
    store = opened(tmp_path)
    events = Events(store)
    assert events.next == SLACK + 2
    found = events.since(0)
    assert [(row.seq, row.event, row.lines) for row in found.rows] == [(2, b"\xff", ["x"])]
    assert state(events) == SLACK + 2
    events.close()
    store.close()
    store = opened(tmp_path)
    assert Events(store).next == SLACK + 3
    store.close()


# Since ---------------------------------------------------------------------------------------------------------------------------------------------


def test_transitions_and_alerts_come_in_one_order() -> None:
    events = started(FakeStore())
    for what in ("state", "message", "state", "dead-letter", "state"):
        events.publish(what, "a", 1.0)
    assert numbers(events.since(1).rows) == [1, 2, 3, 4, 5]
    assert numbers(events.since(3).rows) == [3, 4, 5]
    assert events.since(6) == ([], 6, 0)


def test_a_limit_cuts_and_the_next_question_goes_on_without_gap_or_repetition() -> None:
    events = started(FakeStore())
    for number in range(50):
        events.publish("state" if number % 3 else "message", f"t{number % 4}", 1.0)
    for names, what in (((), ()), (("T1",), ()), ((), ("message",)), (("t1", "t2"), ("state",))):
        whole = numbers(events.since(1, 1000, names, what).rows)
        seen, since = [], 1
        while since <= 50:
            found = events.since(since, 7, names, what)
            seen += numbers(found.rows)
            assert found.next > since
            since = found.next
        assert seen == whole
        assert whole


def test_what_fell_out_of_the_ring_is_counted_as_lost_and_alerts_are_not_lost_with_it() -> None:
    events = started(FakeStore(), keep=5)
    for number in range(20):
        events.publish("message" if number in (0, 9) else "state", "a", 1.0)
    found = events.since(1)
    assert numbers(found.rows) == [1, 10, 16, 17, 18, 19, 20]
    assert found.lost == 13
    assert events.since(16).lost == 0
    assert events.since(0).lost == 0, "who has seen nothing has lost nothing"
    only = events.since(1, what=["message"])
    assert (numbers(only.rows), only.lost) == ([1, 10], 0)


def test_alerts_that_were_trimmed_are_counted_as_lost() -> None:
    store = FakeStore()
    events = started(store)
    for _ in range(6):
        events.publish("message", "a", 1.0)
    store.rows, store.lost_alert = store.rows[4:], 4
    assert events.since(2, what=["message"]).lost == 3
    assert events.since(5, what=["message"]).lost == 0
    assert events.since(2, what=["state"]).lost == 0


def test_an_answer_fits_into_a_frame_whatever_is_in_it() -> None:
    events = started(FakeStore())
    for _ in range(40):
        events.publish("message", "a", 1.0, sentence="\x01" * 9000, event=b"\xff" * 200_000, lines=["\x02" * 3000] * 60)
    since, seen = 1, 0
    while since <= 40:
        found = events.since(since)
        assert len(encode(EventsReply(id="x" * 100, rows=found.rows, next=found.next))) < MAX_FRAME
        seen += len(found.rows)
        since = found.next
    assert seen == 40
    assert found.rows[-1].event
    assert found.rows[-1].lines[-1]


# Who waits -----------------------------------------------------------------------------------------------------------------------------------------


def waiter(key: str, deadline: float = 10.0, names: tuple[str, ...] = (), what: tuple[str, ...] = ()) -> Waiter:
    return Waiter(key, 1, 10, names, what, deadline)


def test_who_waits_is_told_once_of_what_concerns_him() -> None:
    events = started(FakeStore())
    for each in (waiter("all"), waiter("of b", names=("B",)), waiter("alerts", what=("message",))):
        assert events.wait(each)
    state(events, "a")
    state(events, "a")
    assert [each.key for each in events.published()] == ["all"]
    assert events.published() == []
    state(events, "b")
    assert [each.key for each in events.published()] == ["of b"]
    events.publish("message", "c", 1.0)
    assert [each.key for each in events.published()] == ["alerts"]


def test_who_waits_too_long_or_goes_away_waits_no_more() -> None:
    events = started(FakeStore())
    assert events.deadline() is None
    for each in (waiter("late", 5.0), waiter("later", 6.0), waiter("gone", 4.0), waiter("answered", 3.0)):
        events.wait(each)
    events.gone("gone")
    events.gone("nobody")
    assert events.deadline() == 3.0
    state(events)
    assert len(events.published()) == 3
    for each in (waiter("late", 5.0), waiter("later", 6.0)):
        events.wait(each)
    assert events.expired(4.9) == []
    assert [each.key for each in events.expired(5.0)] == ["late"]
    assert events.deadline() == 6.0


def test_who_went_away_between_the_event_and_the_answer_gets_none() -> None:
    events = started(FakeStore())
    events.wait(waiter("x"))
    state(events)
    events.gone("x")
    assert events.published() == []


def test_only_so_many_may_wait() -> None:
    events = started(FakeStore())
    assert all(events.wait(waiter(str(number))) for number in range(MAX_WAITERS))
    assert not events.wait(waiter("one more"))
    assert events.wait(waiter("1", 20.0)), "the same one may ask again"

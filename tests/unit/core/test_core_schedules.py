"""When schedules are due: skipped and repeated hours, a clock that jumps, times that were missed, texts that mean nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf.schema import ScheduleSpec
from efsupervisor.core.overlap import MAX_WAITING
from efsupervisor.core.schedules import FAR_S, LATE_S, LOOK_S, MAX_TEXT, Schedules, fault_of, next_after

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86_400.0


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def schedule(cron: str, zone: str = "Europe/Berlin", missed: str = "skip", name: str = "s", *, enabled: bool = True) -> ScheduleSpec:
    return ScheduleSpec(name=name, cron=cron, timezone=zone, act=["a"], missed=missed, enabled=enabled)


def times(cron: str, begin: float, end: float, zone: str = "Europe/Berlin") -> list[str]:
    found, spec = [], schedule(cron, zone)
    while (begin := next_after(spec, begin)) and begin <= end:
        found.append(datetime.fromtimestamp(begin, ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


def ran(schedules: Schedules, now: float) -> list[tuple[float, int]]:
    return [(due.wall, due.missed) for due in schedules.due(now)]


# Hours that are not there, hours that come twice ------------------------------------------------------------------------------------------------


def test_a_time_in_the_skipped_hour_of_spring_is_due_at_the_first_moment_after_it() -> None:
    night = at("2026-03-28T12:00"), at("2026-03-30T12:00")
    assert times("30 2 * * *", *night) == ["29 03:00+0200", "30 02:30+0200"]
    assert times("0 2 * * *", *night) == ["29 03:00+0200", "30 02:00+0200"]
    assert times("59 1 * * *", *night) == ["29 01:59+0100", "30 01:59+0200"]


def test_two_times_in_the_skipped_hour_are_due_once_together() -> None:
    assert times("10,40 2 * * *", at("2026-03-29T00:00"), at("2026-03-29T12:00")) == ["29 03:00+0200"]


def test_a_time_in_the_repeated_hour_of_autumn_is_due_the_first_time_only() -> None:
    night = at("2026-10-24T12:00"), at("2026-10-26T12:00")
    assert times("30 2 * * *", *night) == ["25 02:30+0200", "26 02:30+0100"]


def test_a_rhythm_goes_by_the_hours_that_there_are() -> None:
    assert times("*/30 * * * *", at("2026-03-29T01:00"), at("2026-03-29T04:00")) == [
        "29 01:30+0100", "29 03:00+0200", "29 03:30+0200", "29 04:00+0200",
    ]  # fmt: skip
    assert times("*/30 * * * *", at("2026-10-25T01:30"), at("2026-10-25T03:00")) == [
        "25 02:00+0200", "25 02:30+0200", "25 02:00+0100", "25 02:30+0100", "25 03:00+0100",
    ]  # fmt: skip


def test_a_start_inside_the_repeated_hour_does_not_go_back_into_it() -> None:
    second = at("2026-10-25T02:10", fold=1)
    assert next_after(schedule("30 2 * * *"), second) == at("2026-10-26T02:30")


def test_a_day_that_some_months_and_years_do_not_have_waits_for_one_that_has_it() -> None:
    assert next_after(schedule("0 0 29 2 *", "UTC"), at("2026-01-01T00:00", ZoneInfo("UTC"))) == at("2028-02-29T00:00", ZoneInfo("UTC"))


@given(
    st.sampled_from(["30 2 * * *", "*/20 * * * *", "15,45 1,2,3 * * *", "0 */2 * * *", "5 0 1 * *", "*/7 2 * * SUN", "30 30 2 * * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata", "America/Sao_Paulo"]),
    st.integers(at_day := 1_767_225_600, at_day + 400 * 86_400),
)
def test_times_rise_and_next_depends_on_nothing_but_the_moment(cron: str, zone: str, begin: int) -> None:
    spec = schedule(cron, zone)
    first = next_after(spec, begin)
    assert first > begin
    for moment in (begin + (first - begin) / 2, first - 0.5):
        assert next_after(spec, moment) == first, "a look in between finds the same time"
    assert next_after(spec, first) > first


# The clock -----------------------------------------------------------------------------------------------------------------------------------------


def test_each_time_is_given_once_however_often_it_is_asked_for() -> None:
    begin = at("2026-06-01T00:00:30")
    schedules = Schedules()
    schedules.put(schedule("* * * * *"), begin)
    assert schedules.next_wall("S") == begin + 30
    assert schedules.due(begin + 29.9) == []
    assert ran(schedules, begin + 30.2) == [(begin + 30, 0)]
    assert schedules.due(begin + 30.3) == []
    assert ran(schedules, begin + 90) == [(begin + 90, 0)]


@pytest.mark.parametrize("missed", ["skip", "once"])
@pytest.mark.parametrize("jump", [60.0, 3600.0, DAY])
def test_a_clock_that_goes_back_makes_nothing_run_twice(missed: str, jump: float) -> None:
    begin = at("2026-06-01T00:00")
    schedules = Schedules()
    schedules.put(schedule("*/10 * * * *", missed=missed), begin)
    seen = []
    for minute in range(60):
        seen += [due.wall for due in schedules.due(begin + minute * 60)]
    back = begin + 3540 - jump
    for minute in range(int(jump / 60) + 20):
        seen += [due.wall for due in schedules.due(back + minute * 60)]
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen)
    assert seen[-1] > begin + 3540, "it goes on when the clock is where it was"


def test_a_clock_that_was_days_ahead_and_is_set_right_does_not_silence_a_schedule() -> None:
    begin = at("2026-06-01T00:00")
    schedules = Schedules()
    schedules.put(schedule("* * * * *"), begin)
    assert ran(schedules, begin + FAR_S + DAY) == [(begin + FAR_S + DAY, 1000 - 1)]
    assert schedules.due(begin + 5.0) == []
    assert ran(schedules, begin + 60.0) == [(begin + 60.0, 0)]


def test_a_clock_that_leaps_forward_obeys_missed() -> None:
    begin = at("2026-06-01T00:00")
    schedules = Schedules()
    schedules.put(schedule("0 * * * *", missed="skip", name="skip"), begin)
    schedules.put(schedule("0 * * * *", missed="once", name="once"), begin)
    now = begin + DAY + 1800
    assert [(due.spec.name, due.wall, due.missed) for due in schedules.due(now)] == [("once", begin + DAY, 23)]
    assert schedules.due(now) == []
    assert {due.spec.name for due in schedules.due(begin + DAY + 3600)} == {"skip", "once"}


def test_all_that_was_missed_is_given_in_order_up_to_a_hundred() -> None:
    begin = at("2026-06-01T00:00")
    schedules = Schedules()
    schedules.put(schedule("0 * * * *", missed="all"), begin)
    given = schedules.due(begin + 5 * 3600 + 1800)
    assert [(due.wall, due.missed, due.backlog) for due in given] == [(begin + hour * 3600, 0, True) for hour in range(1, 6)]
    (one,) = schedules.due(begin + 6 * 3600)
    assert (one.wall, one.backlog) == (begin + 6 * 3600, False), "a time that comes when it should is no backlog"
    given = schedules.due(begin + 200 * 3600)
    assert [due.wall for due in given] == [begin + hour * 3600 for hour in range(101, 201)]
    assert [due.missed for due in given] == [94] + [0] * 99, "the first tells how many older ones are left out"


@pytest.mark.parametrize("cron", ["* * * * * *", "* * * * *", "0 * * * *", "30 2 * * *", "0 3 * * MON"])
@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_a_clock_that_leaps_ten_years_and_back_is_no_flood_and_no_silence(cron: str, missed: str) -> None:
    begin, years = at("2026-06-01T00:00:30"), 10 * 365.25 * DAY
    schedules = Schedules()
    schedules.put(schedule(cron, missed=missed), begin)
    leapt = schedules.due(begin + years)
    assert len(leapt) <= {"skip": 1, "once": 1, "all": MAX_WAITING}[missed]
    assert all(begin < due.wall <= begin + years for due in leapt) and [due.wall for due in leapt] == sorted({due.wall for due in leapt})
    if missed != "skip":
        assert leapt[-1].wall == last_before(cron, begin + years)
    assert schedules.due(begin + years) == []
    assert schedules.due(begin + 1.0) == [], "set right again: nothing comes twice"
    following = next_after(schedule(cron), begin + 1.0)
    assert [due.wall for due in schedules.due(following)] == [following]


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_a_clock_that_was_ten_years_behind_is_set_right(missed: str) -> None:
    """As a machine without a battery starts: 1970, or an old image's time, and then the network says what it is."""
    schedules, behind = Schedules(), at("2016-06-01T00:00:30")
    schedules.put(schedule("0 * * * *", missed=missed), behind, last_wall=at("2026-06-01T10:00"))
    assert schedules.due(behind + 60) == []
    now = at("2026-06-01T12:00:30")
    assert len(schedules.due(now)) <= MAX_WAITING
    assert [due.wall for due in schedules.due(now + 3600)] == [now + 3570]


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        # the night that leaves 02:00 to 03:00 out: once, at the first moment after it
        ("2026-03-28T12:00", "2026-03-30T12:00", ["29 03:00+0200", "30 02:30+0200"]),
        # the night that has 02:00 to 03:00 twice: once, the first time
        ("2026-10-24T12:00", "2026-10-26T12:00", ["25 02:30+0200", "26 02:30+0100"]),
    ],
)
def test_what_was_missed_in_a_night_of_change_is_given_by_the_same_rule(begin: str, end: str, expected: list[str]) -> None:
    schedules = Schedules()
    schedules.put(schedule("30 2 * * *", missed="all"), at(begin))
    given = [datetime.fromtimestamp(due.wall, BERLIN).strftime("%d %H:%M%z") for due in schedules.due(at(end))]
    assert given == expected


def last_before(cron: str, end: float) -> float:
    found, spec, begin = 0.0, schedule(cron), end - {6: 10.0, 5: 8 * DAY}[len(cron.split())]
    while (begin := next_after(spec, begin)) and begin <= end:
        found = begin
    return found


def test_a_look_that_comes_a_little_late_is_not_a_missed_time() -> None:
    begin = at("2026-06-01T00:00")
    schedules = Schedules()
    schedules.put(schedule("0 * * * *"), begin)
    assert ran(schedules, begin + 3600 + LATE_S) == [(begin + 3600, 0)]
    assert ran(schedules, begin + 7200 + LATE_S + 1) == []


def test_what_passed_while_no_supervisor_ran_is_missed_and_a_new_schedule_has_missed_nothing() -> None:
    now = at("2026-06-02T12:30")
    schedules = Schedules()
    schedules.put(schedule("0 * * * *", missed="once", name="old"), now, last_wall=at("2026-06-02T10:00"))
    schedules.put(schedule("0 * * * *", missed="once", name="new"), now)
    assert [(due.spec.name, due.wall, due.missed) for due in schedules.due(now)] == [("old", at("2026-06-02T12:00"), 1)]


def test_a_month_of_missed_seconds_is_not_counted_to_the_end() -> None:
    begin = at("2026-06-01T00:00")
    schedules = Schedules()
    schedules.put(schedule("* * * * * *", missed="once"), begin)
    (due,) = schedules.due(begin + 30 * DAY)
    assert due.wall == begin + 30 * DAY


def test_a_schedule_that_is_replaced_does_not_run_again_what_it_has_run() -> None:
    begin = at("2026-06-01T00:00")
    schedules = Schedules()
    schedules.put(schedule("0 * * * *"), begin)
    assert len(schedules.due(begin + 3601)) == 1
    schedules.put(schedule("0 * * * *", missed="once"), begin + 3602, last_wall=begin)
    assert schedules.due(begin + 3603) == []


def test_what_is_disabled_or_removed_is_never_due() -> None:
    begin = at("2026-06-01T00:00")
    schedules = Schedules()
    schedules.put(schedule("* * * * *", name="off", enabled=False), begin)
    schedules.put(schedule("* * * * *", name="gone"), begin)
    schedules.remove("GONE")
    schedules.remove("never there")
    assert schedules.due(begin + DAY) == []
    assert (schedules.next_wall("off"), schedules.next_wall("gone"), len(schedules)) == (0.0, 0.0, 1)


def test_the_next_look_is_at_the_next_time_or_within_a_minute() -> None:
    begin = at("2026-06-01T00:00:00")
    schedules = Schedules()
    assert schedules.look_in_s(begin) == LOOK_S
    schedules.put(schedule("0 12 * * *"), begin)
    assert schedules.look_in_s(begin) == LOOK_S
    schedules.put(schedule("*/15 * * * * *", name="often"), begin)
    assert schedules.look_in_s(begin + 3) == 12.0
    assert schedules.look_in_s(begin + 100) == 0.0


@given(st.lists(st.floats(-2 * DAY, 2 * DAY), min_size=1, max_size=40), st.sampled_from(["skip", "once"]))
def test_no_walk_of_the_clock_within_a_day_gives_a_time_twice_or_before_it_is_due(steps: list[float], missed: str) -> None:
    begin = now = at("2026-10-24T00:00")
    schedules = Schedules()
    schedules.put(schedule("*/30 * * * *", missed=missed), begin)
    seen: list[float] = []
    for step in steps:
        now = max(begin - DAY / 2, min(begin + DAY / 2, now + step))
        for due in schedules.due(now):
            assert due.wall <= now
            assert missed == "once" or now - due.wall <= LATE_S
            seen.append(due.wall)
    assert seen == sorted(set(seen))


# Texts ---------------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "zone", "said"),
    [
        ("61 * * * *", "", "its minute is wrong"),
        ("* 24 * * *", "", "its hour is wrong"),
        ("* * * * MONDAY", "", "its day-of-week is wrong"),
        ("* * 0 * *", "", "its day-of-month is wrong"),
        ("* * * 13 *", "", "its month is wrong"),
        ("99 * * * * *", "", "its second is wrong"),
        ("* * *", "", "five fields"),
        ("", "", "five fields"),
        ("@daily", "", "five fields"),
        ("0 0 31 2 *", "", "cannot be used"),
        ("*/0 * * * *", "", "its minute is wrong"),
        ("9" * 6000, "", f"at most {MAX_TEXT} characters"),
        ("0 0 * * *", "Mars/Olympus", 'no time zone is called "Mars/Olympus"'),
        ("0 0 * * *", "../../etc/passwd", "no time zone"),
        ("0 0 * * *", "/etc/localtime", "no time zone"),
        ("0 0 * * *", "Europe", "no time zone"),
        ("0 0 * * *", "a\0b", "no time zone"),
    ],
)
def test_a_text_that_means_nothing_is_refused_with_a_sentence(cron: str, zone: str, said: str) -> None:
    assert said in fault_of(cron, zone)


@pytest.mark.parametrize("cron", ["* * * * *", "*/15 9-17 * * MON-FRI", "0 0 L * *", "0 0 * * 5L", "0 0 * * MON#1", "30 */5 * * * *", "0 0 29 2 *"])
@pytest.mark.parametrize("zone", ["", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_a_text_that_means_something_has_no_fault(cron: str, zone: str) -> None:
    assert fault_of(cron, zone) == ""


@given(st.text(max_size=40) | st.text("0123456789*/,-#LWMONSU ", max_size=40), st.text(max_size=20))
def test_no_text_at_all_raises(cron: str, zone: str) -> None:
    if not fault_of(cron, zone):
        assert next_after(schedule(cron, zone), datetime.now(UTC).timestamp()) >= 0
    assert fault_of(cron, "UTC") == "" or len(fault_of(cron, "UTC")) < 250


def test_the_zone_of_the_machine_is_used_when_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from efsupervisor.core import schedules as module

    for name, offset in (("Asia/Tokyo", 9), ("UTC", 0), ("", None)):
        module._machine.cache_clear()
        monkeypatch.setenv("TZ", name)
        found = datetime.fromtimestamp(next_after(schedule("0 0 * * *", ""), 1_780_000_000.0), UTC)
        if offset is not None:
            assert (found + timedelta(hours=offset)).hour == 0
    module._machine.cache_clear()

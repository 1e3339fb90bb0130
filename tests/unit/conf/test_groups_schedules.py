"""Groups and schedules: what they become, and each refusal where it stands."""

from __future__ import annotations

import textwrap

import pytest

from efsupervisor.conf import check_groups
from efsupervisor.conf.cron import cron_fault, timezone_fault
from efsupervisor.conf.loader import parse
from efsupervisor.conf.schema import Config, GroupSpec, ScheduleSpec
from efsupervisor.errors import ConfigError

TASKS = "tasks:\n  web-1: {command: cat}\n  web-2: {command: cat}\n  store: {command: cat, input: {}}\n"


def read(text: str) -> Config:
    return parse((TASKS + textwrap.dedent(text)).encode(), "f.yaml")


def findings_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value.findings


def test_groups_and_schedules_become_what_was_written_with_the_tasks_own_names() -> None:
    config = read("""\
        groups:
          web: {tasks: ["web-*", STORE]}
        schedules:
          nightly: {cron: 0 3 * * *, timezone: Asia/Seoul, act: [WEB, store], missed: once}
          evening: {cron: "0 20 * * MON-FRI", trm: all, enabled: no}
          tick: {cron: "*/10 * * * * *", task: Store, put: "tick {time}"}
          patterns: {cron: 0 0 1 * *, act: "w?b-*"}
        """)
    assert config.groups == [GroupSpec(name="web", tasks=["web-*", "store"])]
    assert config.schedules == [
        ScheduleSpec(name="nightly", cron="0 3 * * *", timezone="Asia/Seoul", act=["web", "store"], missed="once"),
        ScheduleSpec(name="evening", cron="0 20 * * MON-FRI", trm=["all"], enabled=False),
        ScheduleSpec(name="tick", cron="*/10 * * * * *", task="store", put="tick {time}"),
        ScheduleSpec(name="patterns", cron="0 0 1 * *", act=["w?b-*"]),
    ]


def test_a_task_at_which_a_flow_ends_takes_events_of_a_schedule() -> None:
    text = "flows: {f: {from: web-1, to: web-2}}\nschedules:\n  s: {cron: 0 3 * * *, task: web-2, put: ''}\n"
    assert read(text).schedules[0].task == "web-2"


GROUPS = [
    ("web:", "6: groups.web.tasks: is missing; name a task, a pattern or a list of them"),
    ("web: [web-1]", "6: groups.web: must be keys with values (key: value), not a list"),
    ("web: {tasks: []}", "6: groups.web.tasks: names no task"),
    ("web: {tasks: [web-1, stor]}", '6: groups.web.tasks[1]: there is no task "stor"; did you mean "store"?'),
    ("web: {tasks: all}", '6: groups.web.tasks: there is no task "all"'),
    ("web: {tasks: 'x*'}", '6: groups.web.tasks: no task matches "x*"'),
    ("web: {task: store}", '6: groups.web.task: unknown key; did you mean "tasks"?'),
    ("Store: {tasks: store}", '6: groups.Store: has the name of the task "store" in line 4; a group and a task may not share one'),
    ("all: {tasks: store}", '6: groups.all: "all" stands for every task and cannot be a name'),
]


@pytest.mark.parametrize(("line", "sentence"), GROUPS, ids=[line for line, _ in GROUPS])
def test_a_wrong_group_is_refused_where_it_stands(line: str, sentence: str) -> None:
    found = findings_of(f"groups:\n  {line}\n")
    assert f"f.yaml:{sentence}" in found
    assert len(found) <= 2


def test_two_groups_with_one_name_are_refused() -> None:
    assert findings_of("groups:\n  g: {tasks: store}\n  G: {tasks: store}\n") == [
        'f.yaml:7: groups.G: is the same name as "g" in line 6: group names are compared without regard to case and width'
    ]


SCHEDULES = [
    ("act: store", "cron: is missing; say when, as in `0 3 * * *` for three o'clock each night"),
    ("cron: 0 3 * * *", ": does nothing; say what is to happen with act, trm, run, or task and put"),
    ("cron: 0 3 * * *\nput: x", "put: needs `task`, whose input queue it goes into"),
    ("cron: 0 3 * * *\ntask: store", "task: needs `put`, the event that goes into its input queue"),
    ("cron: 0 3 * * *\ntask: stor\nput: x", 'task: there is no task "stor"; did you mean "store"?'),
    ("cron: 0 3 * * *\ntask: web-1\nput: x", 'task: "web-1" takes no events: it has no `input:` and no flow ends at it'),
    ('cron: 0 3 * * *\ntask: store\nput: "a\\nb"', "put: has a line break: an event is one line"),
    ("cron: 0 3 * * *\nact: web", 'act: there is no task or group "web"; did you mean "web-2"?'),
    ("cron: 0 3 * * *\ntrm: [store, 'y*']", 'trm[1]: no task matches "y*"'),
    ("cron: 0 3 * * *\nact: all\nmissed: run", 'missed: "run" is unknown; known are skip, once, all'),
    ("cron: 0 3 * * *\nrun: stroe", 'run: there is no flow, task or group "stroe"; did you mean "store"?'),
    ("cron: 0 3 * * *\nact: all\noverlap: wait", 'overlap: "wait" is unknown; known are forbid, queue, replace'),
    ("cron: 0 3 * * *\nact: all\noverlap: replace\nmissed: all", "overlap: replace would end each run that `missed: all` makes for the next one"),
    ("cron: 0 3 * * *\nact: all\ntimezone: Asia/Seul", 'timezone: there is no time zone "Asia/Seul"; did you mean "Asia/Seoul"?'),
    ("cron: 0 3 * *\nact: all", 'cron: "0 3 * *" is no cron expression: it needs five fields (minute hour day-of-month month day-of-week), or six'),
    ("cron: 61 3 * * *\nact: all", 'cron: "61 3 * * *" is no cron expression: the minute is out of its range or cannot be read'),
    ("cron: 0 3 32 * *\nact: all", 'cron: "0 3 32 * *" is no cron expression: the day-of-month is out of its range or cannot be read'),
]


@pytest.mark.parametrize(("lines", "sentence"), SCHEDULES, ids=[lines for lines, _ in SCHEDULES])
def test_a_wrong_schedule_is_refused_where_it_stands(lines: str, sentence: str) -> None:
    (found,) = findings_of("schedules:\n  s:\n" + textwrap.indent(lines, "    "))
    place, _, reason = found.partition(": schedules.s")
    assert reason.lstrip(".").startswith(sentence)
    assert place.startswith("f.yaml:")


@pytest.mark.parametrize("text", ["* * * * *", "0 0 29 2 *", "*/5 0-6,20 L * 1#2", "0 0 LW JAN,JUL *", "30 0 3 * * SUN"])
def test_what_cronsim_reads_is_taken(text: str) -> None:
    assert cron_fault(text) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0 */31 2 MON#5", "names a time that never comes"),
        ("*" * 300, "is no cron expression: it may have 256 ASCII characters"),
        ("٣ * * * *", "is no cron expression: it may have 256 ASCII characters"),
        ("9" * 200 + " * * * *", "the minute is out of its range"),
        ("", "it needs five fields"),
    ],
)
def test_what_is_no_cron_expression_is_refused_whatever_it_is(text: str, reason: str) -> None:
    assert reason in cron_fault(text)


@pytest.mark.parametrize("name", ["America", "/etc/passwd", "../etc/passwd", "a\0b", "x" * 5000, "Mars/Olympus"])
def test_what_is_no_time_zone_is_refused_whatever_it_is(name: str) -> None:
    assert timezone_fault(name).startswith("there is no time zone")


def test_the_number_of_patterns_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_groups, "MAX_PATTERNS", 2)
    assert len(read("groups:\n  g: {tasks: ['w*', 's*']}\n  h: {tasks: ['w*']}\n").groups) == 2
    assert findings_of("groups:\n  g: {tasks: ['w*', 's*', '*']}\n") == [
        "f.yaml:6: groups.g.tasks[2]: is one pattern too many: a configuration has at most 2 of them here"
    ]

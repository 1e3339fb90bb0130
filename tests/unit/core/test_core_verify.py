"""What comes by command is what the file could have said, and is refused in the file's own words."""

from __future__ import annotations

import pytest

from efsupervisor.conf.schema import Config, FlowSpec, GroupSpec, InputSpec, OutputSpec, ScheduleSpec, TaskSpec
from efsupervisor.core.saved import put
from efsupervisor.core.verify import named, verify, with_own_names
from efsupervisor.errors import ConfigError
from efsupervisor.states import Framing, Mode, Protocol
from tests.contract.samples import SPEC

A = TaskSpec(name="a", command=["true"])
B = TaskSpec(name="b", command=["true"], input=InputSpec(protocol=Protocol.EVENT, framing=Framing.NUL))
FILE = Config(source="/etc/x.yaml", tasks=[A, B], flows=[FlowSpec(name="ab", producers=["a"], consumers=["b"])])
NOUNS = {TaskSpec: "tasks", FlowSpec: "flows", GroupSpec: "groups", ScheduleSpec: "schedules"}


def checked(part: TaskSpec | FlowSpec | GroupSpec | ScheduleSpec, file: Config = FILE) -> list[str]:
    """The findings about a part that is added to a configuration."""
    noun = NOUNS[type(part)]
    config = Config(**{**{key: getattr(file, key) for key in file.__struct_fields__}, noun: put(getattr(file, noun), part)})
    try:
        verify(config, part, ["process"])
    except ConfigError as error:
        return error.findings
    return []


@pytest.mark.parametrize(
    "part",
    [
        TaskSpec(name="c", command=["sh", "-c", "echo ${HOME} $$ $x"], environment={"A": "${B} $ {}", "E": ""}),
        SPEC,
        TaskSpec(name="c", command=["true"], output=OutputSpec(segment_bytes=1 << 20, sync="always"), backoff_s=0.001, exitcodes=(0, 255)),
        TaskSpec(name="c", command=["x y", "", "*"], directory="/srv/${x}", user="nobody:nogroup", stopsignal="KILL"),
        FlowSpec(name="ab", producers=["a"], consumers=["b"], mode=Mode.SHARE, start="begin", overflow="drop-oldest", max_lag=1),
        FlowSpec(name="f", producers=["b"], consumers=["a"], start="4096", cycle=True),
        GroupSpec(name="g", tasks=["a", "b*"]),
        ScheduleSpec(name="s", cron="*/5 * * * *", act=["a"], trm=["all"], timezone="Asia/Seoul", missed="once"),
        ScheduleSpec(name="s", cron="0 3 * * *", task="b", put="run ${x} {time}", enabled=False),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_a_file_could_say_is_accepted(part: TaskSpec) -> None:
    assert checked(part) == []


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (TaskSpec(name="c", command=[]), "tasks.c.command"),
        (TaskSpec(name="c", command=["x"], type="talend"), "tasks.c.type"),
        (TaskSpec(name="c", command=["x"], startsecs=-1.0), "tasks.c.startsecs"),
        (TaskSpec(name="c", command=["x"], umask="999"), "tasks.c.umask"),
        (TaskSpec(name="c", command=["x"], stopsignal="FOO"), "tasks.c.stopsignal"),
        (TaskSpec(name="c", command=["x"], directory="relative"), "tasks.c.directory"),
        (TaskSpec(name="c", command=["x\0y"]), "tasks.c.command"),
        (TaskSpec(name="c", command=["x"], input=InputSpec(window=5000)), "tasks.c.input.window"),
        (TaskSpec(name="c", command=["x"], output=OutputSpec(sync="often")), "tasks.c.output.sync"),
        (TaskSpec(name="c", command=["x"], redirect_stderr=True, input=InputSpec(protocol=Protocol.EVENT)), "redirect_stderr"),
        (TaskSpec(name="a b", command=["x"]), "a space"),
        (TaskSpec(name="all", command=["x"]), "stands for every task"),
        (TaskSpec(name="x" * 65, command=["x"]), "at most 64"),
        (TaskSpec(name="c", command=["x"] * 40_000), "at most"),
        (FlowSpec(name="f", producers=["a"], consumers=["gone"]), 'there is no task "gone"'),
        (FlowSpec(name="f", producers=["b"], consumers=["a"]), "closes a cycle: a -> b -> a; events could go round for ever"),
        (FlowSpec(name="f", producers=["a"], consumers=["b"]), "every event would come twice"),
        (FlowSpec(name="f", producers=["a"], consumers=[]), "flows.f.to"),
        (FlowSpec(name="f", producers=["a"], consumers=["b", "B"]), "twice"),
        (FlowSpec(name="f", producers=["a"], consumers=["b"], overflow="never"), "flows.f.overflow"),
        (GroupSpec(name="A", tasks=["b"]), "may not share one"),
        (GroupSpec(name="g", tasks=[]), "groups.g.tasks"),
        (GroupSpec(name="g", tasks=["gone"]), 'there is no task "gone"'),
        (ScheduleSpec(name="s", cron="* * *", act=["a"]), "schedules.s.cron"),
        (ScheduleSpec(name="s", cron="* * * * *"), "does nothing"),
        (ScheduleSpec(name="s", cron="* * * * *", task="a", put="x"), "takes no events"),
        (ScheduleSpec(name="s", cron="* * * * *", act=["a"], timezone="Mars/Base"), "schedules.s.timezone"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_file_could_not_say_is_refused(part: TaskSpec, words: str) -> None:
    findings = checked(part)
    assert any(words in finding for finding in findings), findings
    assert not any(finding.startswith(":") or "line 0" in finding for finding in findings)


def test_a_part_of_the_rest_that_lost_what_it_names_refuses_nobody() -> None:
    lost = ScheduleSpec(name="s", cron="* * * * *", act=["gone"])
    file = Config(source="", tasks=[A], groups=[GroupSpec(name="old", tasks=["gone"])], schedules=[lost])
    assert checked(TaskSpec(name="c", command=["true"]), file) == []
    assert checked(GroupSpec(name="new", tasks=["a"]), file) == []
    assert checked(ScheduleSpec(name="t", cron="* * * * *", act=["old"]), file) == []


def test_names_are_kept_in_one_form_and_parts_name_tasks_as_these_name_themselves() -> None:
    assert named(TaskSpec(name="u\u0308", command=["x"])).name == "ü"
    assert with_own_names(FILE, FlowSpec(name="f", producers=["A"], consumers=["B"])).producers == ["a"]
    assert with_own_names(FILE, ScheduleSpec(name="s", cron="* * * * *", act=["B", "x*"], task="A")).task == "a"

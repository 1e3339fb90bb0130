"""The documents say what the code does: every key, every command, every exit status that a person may meet; and the example is a configuration."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from docs.generate import pages
from efsupervisor.cli import grammar
from efsupervisor.conf.loader import load
from efsupervisor.conf.schema import (
    AliveSpec,
    CgroupSpec,
    FlowSpec,
    GroupSpec,
    HooksSpec,
    InputSpec,
    OutputSpec,
    PostSpec,
    ReadySpec,
    ResourceSpec,
    ResultSpec,
    ScheduleSpec,
    SupervisorSpec,
    TaskSpec,
    WebSpec,
    XmlRpcSpec,
)
from efsupervisor.errors import TABLE, Code
from efsupervisor.help.reference import HEADINGS
from efsupervisor.states import Protocol

PAGES = pages()
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.rst").read_text(encoding="utf-8")
EXAMPLE = ROOT / "etc" / "example"

SECTIONS = {
    "supervisor\n---": SupervisorSpec,
    "web listener\n~~~": WebSpec,
    "resource collector\n~~~": ResourceSpec,
    "result collector\n~~~": ResultSpec,
    "posts of the collectors\n~~~": PostSpec,
    "xmlrpc of supervisord\n~~~": XmlRpcSpec,
    "tasks\n---": TaskSpec,
    "input of a task\n~~~": InputSpec,
    "output of a task\n~~~": OutputSpec,
    "readiness of a task\n~~~": ReadySpec,
    "watching a task\n~~~": AliveSpec,
    "hooks of a task\n~~~": HooksSpec,
    "kernel limits of a task\n~~~": CgroupSpec,
    "flows\n---": FlowSpec,
    "groups\n---": GroupSpec,
    "schedules\n---": ScheduleSpec,
}
WRITTEN = {"name": None, "group": None, "instance": None, "fed_logs": None, "producers": "from", "consumers": "to"}
"""Fields whose key is another word; None: they are no key."""


@pytest.mark.parametrize("heading", list(SECTIONS))
def test_every_key_is_explained_and_no_other(heading: str) -> None:
    section = re.split(r"\n[a-zA-Z ]+\n(?:---|~~~)", CONFIGURATION[CONFIGURATION.index(f"\n{heading}") + 1 :].partition("\n")[2])[0]
    explained = re.findall(r"^   \* - ``(\w+)``$", section, re.MULTILINE)
    keys = [WRITTEN.get(name, name) for name in SECTIONS[heading].__struct_fields__]  # type: ignore[attr-defined]
    assert explained == [key for key in keys if key]


def test_every_table_of_keys_has_its_heading() -> None:
    assert [heading.partition("\n")[0] for heading in SECTIONS] == list(HEADINGS)


@pytest.mark.parametrize("path", list(PAGES), ids=lambda path: path.name)
def test_what_is_made_from_the_code_is_as_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path], f"{path.name} is stale: make docs"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
@pytest.mark.parametrize("path", sorted(path for path in PAGES if path.parent.name == "man"), ids=lambda path: path.name)
def test_a_manual_page_is_set_without_a_warning(path: Path) -> None:
    done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-z", str(path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_every_command_is_in_the_readme() -> None:
    for name, command in grammar.root.commands.items():
        assert f"efctl {name}" in README or (command.hidden and f"``{name}``" in README), name


def test_the_exit_statuses_of_the_readme_are_those_of_the_table() -> None:
    listed = {int(number) for number in re.findall(r"(\d+) ", README[README.index("Exit statuses:") : README.index("Events\n---")])}
    assert listed <= {verdict.exit_status for verdict in TABLE.values()}
    assert {
        TABLE[code].exit_status for code in (Code.TASK_FAILED, Code.USAGE, Code.NO_SUCH_TASK, Code.NOT_RUNNING, Code.TIMEOUT, Code.CONFIG)
    } <= listed


def test_the_first_flow_of_the_readme_is_accepted(tmp_path: Path) -> None:
    text = README[README.index("    supervisor:\n") : README.index("Run it, look at it")]
    conf = tmp_path / "first.yaml"
    conf.write_text(re.sub(r"^    ", "", text, flags=re.MULTILINE), encoding="utf-8")
    conf.chmod(0o644)
    config = load(str(conf))
    assert [task.name for task in config.tasks] == ["clock", "shout"]
    assert (config.flows[0].producers, config.flows[0].consumers) == (["clock"], ["shout"])


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that is ours alone: a checkout may be writable by a group."""
    conf = tmp_path_factory.mktemp("etc") / "efsupervisor.yaml"
    conf.write_bytes((ROOT / "etc" / "efsupervisor.yaml").read_bytes())
    conf.chmod(0o644)
    return conf


def test_the_example_is_accepted_and_shows_both_protocols(example: Path) -> None:
    config = load(str(example))
    inputs = {task.name: task.input.protocol for task in config.tasks if task.input}
    assert inputs == {"busy": Protocol.STREAM, "alerts": Protocol.EVENT}
    for task in config.tasks:
        assert (EXAMPLE / task.command[1]).is_file()


# The programs of the example, each by itself ------------------------------------------------------------------------------------------------------

COUNTERS = """\
t{n} load 0.52
t{n} memory.total 1000
t{n} memory.available 590
t{n} cpu.idle {idle}
t{n} cpu.total {total}
t{n} switches {n}00
t{n} forks {n}
"""


def run(script: str, stdin: str) -> tuple[str, str]:
    done = subprocess.run(["sh", script], input=stdin, capture_output=True, text=True, cwd=EXAMPLE, check=True, timeout=30)
    return done.stdout, done.stderr


def test_busy_turns_counters_into_rates_and_leaves_out_a_second_it_saw_half_of() -> None:
    half = COUNTERS.format(n=1, idle=0, total=0).partition("cpu.idle")[2].partition("\n")[2]
    seconds = [COUNTERS.format(n=n, idle=idle, total=total) for n, idle, total in ((2, 100, 200), (3, 163, 300), (4, 163, 310))]
    out, err = run("busy.sh", half + "".join(seconds))
    assert err == ""
    assert out.splitlines() == ["t3 cpu 37 load 0.52 memory 41 switches 100 forks 1", "t4 cpu 100 load 0.52 memory 41 switches 100 forks 1"]


def test_alerts_acknowledges_every_event_with_an_empty_line_and_judges_it() -> None:
    line = "14:03:07 cpu {} load 0.52 memory 41 switches 1234 forks 12\n"
    events = [line.format(37), "note: * by hand\n", line.format(97), line.format(98), line.format(7), "\n"]
    out, err = run("alerts.sh", "".join(events))
    assert err == "\n" * len(events)
    verdicts = [text.rpartition("  ")[2] for text in out.splitlines()]
    assert verdicts == ["calm", "note: * by hand", "HIGH for 1 s", "HIGH for 2 s", "calm again after 2 s", ""]


def test_kernel_prints_one_counter_a_line_and_forks_last() -> None:
    with subprocess.Popen(["sh", "kernel.sh"], stdout=subprocess.PIPE, text=True, cwd=EXAMPLE, process_group=0) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(7)]
        os.killpg(process.pid, signal.SIGKILL)
    assert {words[1] for words in lines[:-1]} == {"load", "memory.total", "memory.available", "cpu.total", "cpu.idle", "switches"}
    assert lines[-1][1] == "forks"
    assert all(float(words[2]) >= 0 for words in lines)

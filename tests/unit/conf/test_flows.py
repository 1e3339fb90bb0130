"""What flows are to each other: cycles, meant and not meant, and tasks that would be fed twice."""

from __future__ import annotations

import textwrap
import time

import msgspec
import pytest

from efsupervisor.conf.check_flows import WHY_NOT
from efsupervisor.conf.flows import fed_twice, has_cycle, unfit_flow
from efsupervisor.conf.loader import parse
from efsupervisor.conf.schema import FlowSpec
from efsupervisor.errors import ConfigError

FILE = "/etc/x.yaml"
EVENTS = "{command: x, input: {protocol: event}}"
TASKS = f"tasks:\n  a: {{command: cat}}\n  b: {EVENTS}\n  c: {EVENTS}\nflows:\n"


def flow(name: str, producers: str, consumers: str, **more: object) -> FlowSpec:
    return FlowSpec(name=name, producers=producers.split(), consumers=consumers.split(), **more)  # type: ignore[arg-type]


def findings(flows: str) -> list[str]:
    """The sentences about these flows between a, b and c, without the file's name."""
    try:
        parse((TASKS + textwrap.indent(textwrap.dedent(flows).strip(), "  ") + "\n").encode(), FILE)
    except ConfigError as error:
        return [sentence.removeprefix(FILE + ":") for sentence in error.findings]
    return []


def test_a_task_whose_stdin_is_a_listening_socket_takes_no_events() -> None:
    text = "tasks:\n  a: {command: cat}\n  web: {command: x, socket: 'unix:///run/web'}\nflows:\n  f: {from: a, to: web}\n"
    with pytest.raises(ConfigError, match="cannot take events: its program finds a listening socket"):
        parse(text.encode(), FILE)


@pytest.mark.parametrize(
    ("flows", "cycle"),
    [
        ([], False),
        ([("f", "a", "b"), ("g", "b", "c")], False),
        ([("f", "a", "b"), ("g", "b", "A")], True),
        ([("f", "a", "a")], True),
        ([("f", "a", "b"), ("g", "a", "c"), ("h", "b", "d"), ("i", "c", "d")], False),
        ([("b", "a", "c"), ("a", "b", "c")], False),
    ],
)
def test_a_cycle_is_one_of_tasks_and_not_of_names(flows: list[tuple[str, str, str]], cycle: bool) -> None:
    assert has_cycle(flow(*each) for each in flows) is cycle


def test_a_long_chain_is_no_matter_of_recursion() -> None:
    assert not has_cycle(flow(f"f{n}", f"t{n}", f"t{n + 1}") for n in range(20_000))


@pytest.mark.parametrize("place", range(3))
def test_any_flow_of_a_cycle_may_say_that_it_is_meant(place: int) -> None:
    ring = [flow("f", "a", "b"), flow("g", "b", "c"), flow("h", "c", "a")]
    assert has_cycle(ring)
    ring[place] = msgspec.structs.replace(ring[place], cycle=True)
    assert not has_cycle(ring)


def test_a_cycle_is_refused_with_the_reason_and_what_to_say_and_accepted_when_it_is_said() -> None:
    assert findings("f: {from: a, to: b}\ng: {from: b, to: a}") == [f"7: flows.g.to: closes a cycle: a -> b -> a; {WHY_NOT}"]
    assert findings("f: {from: a, to: b}\ng: {from: b, to: a, cycle: true}") == []
    assert findings("f: {from: a, to: a, cycle: yes}") == []


def test_one_cycle_that_is_meant_excuses_no_other() -> None:
    flows = "f: {from: a, to: b, cycle: true}\ng: {from: b, to: [a, c]}\nh: {from: c, to: b}"
    assert findings(flows) == [f"8: flows.h.to: closes a cycle: b -> c -> b; {WHY_NOT}"]


@pytest.mark.parametrize("modes", [("broad", "broad"), ("broad", "share"), ("share", "share")])
def test_a_task_is_not_fed_twice_whatever_the_modes(modes: tuple[str, str]) -> None:
    flows = f"f: {{from: a, to: [b, c], mode: {modes[0]}}}\ng: {{from: a, to: C, mode: {modes[1]}}}"
    assert findings(flows) == ['7: flows.g.to: "C" has the output of "a" already, by the flow "f" in line 6: every event would come twice']


def test_a_share_group_of_tasks_that_take_a_stream_is_refused_for_each_would_get_everything() -> None:
    assert findings("f: {from: b, to: [c, a], mode: share}") == [
        '6: flows.f.to[1]: "a" takes a stream, and members of a share group acknowledge each event: say input: {protocol: event} in it'
    ]


def test_flows_that_share_a_producer_or_a_consumer_but_not_both_are_no_matter() -> None:
    assert fed_twice([flow("f", "a", "b"), flow("g", "a", "c"), flow("h", "d", "b c")]) == []


def test_looking_for_tasks_that_are_fed_twice_has_a_bound() -> None:
    many = " ".join(f"p{number}" for number in range(3000))
    flows = [
        flow(f"f{number}", many.replace("p", f"p{number}-"), " ".join(f"c{number * other % 997}" for other in range(997))) for number in range(60)
    ]
    began = time.process_time()
    fed_twice(flows)
    assert time.process_time() - began < 10


def test_an_offset_is_a_place_in_one_tasks_output() -> None:
    assert findings("f: {from: a, to: [b, c], start: 4096}") == []
    assert findings("f: {from: [a, b], to: c, start: 7}") == [
        "6: flows.f.start: is an offset in one task's output, and 2 tasks are producers; make a flow for each"
    ]
    assert findings("f: {from: a, to: b, start: -7}") == ["6: flows.f.start: -7 bytes is outside 0 to 1,152,921,504,606,846,976 bytes"]


def test_more_edges_than_a_task_can_keep_account_of_are_refused() -> None:
    names = [f"p{number}" for number in range(128)]
    tasks = "".join(f"  {name}: {{command: x}}\n" for name in (*names, "c"))
    text = f"tasks:\n{tasks}flows:\n  f: {{from: [{', '.join(names[:100])}], to: c}}\n  g: {{from: [{', '.join(names[100:])}], to: c}}\n"
    with pytest.raises(ConfigError) as raised:
        parse(text.encode(), FILE)
    assert raised.value.findings == [f'{FILE}:133: flows.g.to: "c" would be fed by 128 tasks; at most 127 are possible']
    assert parse(text.replace("p100, ", "", 1).replace(", p100]", "]").encode(), FILE).flows[1].consumers == ["c"]


def test_what_does_not_fit_is_said_in_a_word_for_flows_that_were_added_by_command() -> None:
    assert unfit_flow([flow("f", "a", "b"), flow("g", "b", "a")]) == "it closes a cycle and does not say `cycle: true`"
    assert unfit_flow([flow("f", "a", "b"), flow("g", "a", "B")]) == "it feeds b what the flow f feeds it already"
    assert unfit_flow([flow("f", "a", "b"), flow("g", "b", "a", cycle=True)]) == ""

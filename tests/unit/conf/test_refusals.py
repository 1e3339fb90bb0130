"""Each refusal as the sentence that a person reads, with its file, line and key."""

from __future__ import annotations

import textwrap

import pytest

from efsupervisor.conf.check_flows import WHY_NOT
from efsupervisor.conf.loader import parse
from efsupervisor.errors import Code, ConfigError

FILE = "etc/efsupervisor.yaml"


def findings_of(text: str, file: str = FILE) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(textwrap.dedent(text).lstrip("\n").encode(), file)
    assert caught.value.code is Code.CONFIG
    return caught.value.findings


def in_task(lines: str) -> str:
    """A file whose task `web` has these lines; the first of them is line 4."""
    return "tasks:\n  web:\n    command: cat\n" + textwrap.indent(textwrap.dedent(lines).strip("\n"), "    ") + "\n"


IN_A_TASK = [
    ("comand: sleep 1", '4: tasks.web.comand: unknown key; did you mean "command"?'),
    ("xyzzy: 1", "4: tasks.web.xyzzy: unknown key"),
    ("COMMAND: x", '4: tasks.web.COMMAND: unknown key; did you mean "command"?'),
    ("type: proces", '4: tasks.web.type: "proces" is unknown; did you mean "process"?'),
    ("type: x", '4: tasks.web.type: "x" is unknown; known are process, eventlistener'),
    ("kind: servise", '4: tasks.web.kind: "servise" is unknown; did you mean "service"?'),
    ("kind: [job]", "4: tasks.web.kind: must be one value, not a list"),
    ("kind: {a: b}", "4: tasks.web.kind: must be one value, not keys with values"),
    ("kind:", "4: tasks.web.kind: has no value; write one or leave the key out"),
    ("autostart: maybe", '4: tasks.web.autostart: "maybe" is neither true nor false'),
    ("autorestart: unexpectd", '4: tasks.web.autorestart: "unexpectd" is unknown; did you mean "unexpected"?'),
    ("startretries: three", '4: tasks.web.startretries: "three" is not a whole number'),
    ("startretries: 3.0", '4: tasks.web.startretries: "3.0" is not a whole number'),
    ("startretries: 007", '4: tasks.web.startretries: "007" is not a whole number; write 7'),
    ("startretries: ٣", '4: tasks.web.startretries: "٣" is not a whole number'),
    ("startretries: -1", "4: tasks.web.startretries: -1 is outside 0 to 1,000,000"),
    ("startsecs: 22:22", '4: tasks.web.startsecs: "22:22" is not a duration; write seconds, or a number with ms, s, m, h or d'),
    ("startsecs: -1", '4: tasks.web.startsecs: "-1" is not a duration; write seconds, or a number with ms, s, m, h or d'),
    ("startsecs: .inf", '4: tasks.web.startsecs: ".inf" is not a duration; write seconds, or a number with ms, s, m, h or d'),
    ("stopwaitsecs: 999999d", "4: tasks.web.stopwaitsecs: 86,399,913,600 s is outside 0 to 316,224,000 s"),
    ("backoff_s: 0", "4: tasks.web.backoff_s: 0 s is outside 0.001 to 316,224,000 s"),
    ("umask: 888", '4: tasks.web.umask: "888" is not an octal mask between 000 and 777'),
    ("umask: 7777", '4: tasks.web.umask: "7777" is not an octal mask between 000 and 777'),
    ("stopsignal: TREM", '4: tasks.web.stopsignal: "TREM" is not a signal; did you mean "TERM"?'),
    ("stopsignal: 99", '4: tasks.web.stopsignal: "99" is not a signal'),
    ("user: a b", '4: tasks.web.user: "a b" is not a user; write a name or number, with :group after it if wanted'),
    ('user: "a:"', '4: tasks.web.user: "a:" is not a user; write a name or number, with :group after it if wanted'),
    ("directory: ~/x", "4: tasks.web.directory: begins with ~, which is not expanded; write the folder in full"),
    ('directory: "a\\0b"', "4: tasks.web.directory: may not contain U+0000, which no argument, variable or path can hold"),
    ('user: "\\uD800"', "4: tasks.web.user: may not contain U+D800, which no argument, variable or path can hold"),
    ("exitcodes: [0, 256]", "4: tasks.web.exitcodes: 256 is outside 0 to 255"),
    ("exitcodes:\n- 0\n- [1]", "6: tasks.web.exitcodes[1]: must be one value, not a list"),
    ("environment: [A]", "4: tasks.web.environment: must be keys with values (key: value), not a list"),
    ("environment:\n  A: [1]", "5: tasks.web.environment.A: must be one value, not a list"),
    ("environment:\n  A=B: 1", "5: tasks.web.environment.A=B: a variable's name may not be empty or contain ="),
    ("environment:\n  A: 1\n  B: 2\n  A: 3", "7: tasks.web.environment.A: is said twice; the first time in line 5"),
    ("input: stream", '4: tasks.web.input: must be keys with values (key: value), not the text "stream"'),
    ("input:\n  windw: 2", '5: tasks.web.input.windw: unknown key; did you mean "window"?'),
    ("input:\n  window: 0", "5: tasks.web.input.window: 0 is outside 1 to 1,024"),
    ("input:\n  window: 1025", "5: tasks.web.input.window: 1,025 is outside 1 to 1,024"),
    ("input: {protocol: events}", '4: tasks.web.input.protocol: "events" is unknown; did you mean "event"?'),
    ("input: {framing: xml}", '4: tasks.web.input.framing: "xml" is unknown; known are lines, nul, netstring'),
    ("output:\n  segment_bytes: 64M", '5: tasks.web.output.segment_bytes: "64M" has no unit of size that is known; 64MiB or 64MB?'),
    ("output:\n  segment_bytes: 12", "5: tasks.web.output.segment_bytes: 12 bytes is outside 1,024 to 1,099,511,627,776 bytes"),
    (
        "output:\n  keep_bytes: 1.0000000001",
        '5: tasks.web.output.keep_bytes: "1.0000000001" is not a size; write bytes, or a number with KiB, MiB, GiB, KB, MB or GB',
    ),
    ("output:\n  keep_bytes: 0.5", '5: tasks.web.output.keep_bytes: "0.5" is not a whole number of bytes'),
    ("output:\n  sync: allways", '5: tasks.web.output.sync: "allways" is unknown; did you mean "always"?'),
    ("backoff_s: 2m", "4: tasks.web.backoff_s: the longest delay, backoff_max_s (60 s), is shorter than the first, backoff_s (120 s)"),
    (
        "redirect_stderr: true\ninput: {protocol: event}",
        "4: tasks.web.redirect_stderr: cannot be used with input.protocol: event, because the program acknowledges its events on stderr",
    ),
    ("socket: http://x", '4: tasks.web.socket: "http://x" is no socket; write unix:///path/to/it, or tcp://HOST:PORT with an address or localhost'),
    ("socket: unix:///run/x\ninput: {stdin: open}", "4: tasks.web.socket: cannot be used with input: the program finds the socket as its stdin"),
    ("socket: tcp://[::1]:9000\nsocket_mode: 0660", "5: tasks.web.socket_mode: is for a socket of unix:// only"),
    ("command: sort", "4: tasks.web.command: is said twice; the first time in line 3"),
    ("user: &u me", "4: tasks.web.user: anchors (&u) are not allowed"),
    ("user: *u", "4: tasks.web.user: aliases (*u) are not allowed; write the value out"),
    ("user: !!str me", "4: tasks.web.user: tags (tag:yaml.org,2002:str) are not allowed; each key has its own type"),
    (
        "user: !!python/name:os.system x",
        "4: tasks.web.user: tags (tag:yaml.org,2002:python/name:os.system) are not allowed; each key has its own type",
    ),
    ("<<: {user: me}", "4: tasks.web.<<: merge keys are not allowed; write the values out"),
    ("? [a, b]\n: c", "4: tasks.web: a key must be a single word, not a list or a mapping"),
]


@pytest.mark.parametrize(("lines", "sentence"), IN_A_TASK, ids=[lines for lines, _ in IN_A_TASK])
def test_a_wrong_key_of_a_task_is_refused_where_it_stands(lines: str, sentence: str) -> None:
    assert findings_of(in_task(lines)) == [f"{FILE}:{sentence}"]


COMMANDS = [
    ("command:", "has no value; write one or leave the key out"),
    ('command: ""', "names no program to run"),
    ('command: "  "', "names no program to run"),
    ("command: []", "names no program to run"),
    ('command: [""]', "names no program to run"),
    ("command: \"'' x\"", "names no program to run"),
    ("command: {a: b}", "must be one value, not keys with values"),
    ("command: say 'hello", "has a quote (') that is never closed"),
    ("command: say hello\\", "ends with a backslash"),
    (f"command: [cat, {'x' * 131_072}]", "has 131,072 bytes; the system takes at most 131,071 for one argument or variable"),
]


@pytest.mark.parametrize(("line", "reason"), COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_that_cannot_be_run_is_refused(line: str, reason: str) -> None:
    assert findings_of(f"tasks:\n  web:\n    {line}\n") == [f"{FILE}:3: tasks.web.command: {reason}"]


def test_a_task_that_is_too_large_to_be_told_to_a_worker_is_refused() -> None:
    (sentence,) = findings_of(f"tasks:\n  web: {{command: cat, environment: {{A: {'x' * 66_000}}}}}\n")
    assert sentence.startswith(f"{FILE}:2: tasks.web: takes 67,")
    assert sentence.endswith(" bytes, at most 65,536 are possible; put long arguments and variables into a file")


def test_an_argument_that_is_no_text_is_refused_at_its_own_line() -> None:
    text = """
        tasks:
          web:
            command:
              - cat
              - [a]
              -
        """
    assert findings_of(text) == [
        f"{FILE}:5: tasks.web.command[1]: must be one value, not a list",
        f"{FILE}:6: tasks.web.command[2]: has no value; write one or leave the key out",
    ]


def test_a_task_without_a_command_is_refused_at_its_name() -> None:
    assert findings_of("tasks:\n  a: {command: cat}\n  web:\n    priority: 1\n") == [
        f"{FILE}:3: tasks.web.command: is missing; say which program to run"
    ]
    assert findings_of("tasks:\n  web:\n") == [f"{FILE}:2: tasks.web.command: is missing; say which program to run"]


NAMES = [
    ("a b", "a name may not contain a space; letters and digits of any script are fine, and . _ - inside"),
    ("a/b", 'a name may not contain "/"; letters and digits of any script are fine, and . _ - inside'),
    ("a,b", 'a name may not contain ","; letters and digits of any script are fine, and . _ - inside'),
    ('"a\\u200bb"', "a name may not contain U+200B (zero width space); letters and digits of any script are fine, and . _ - inside"),
    ('"a\\ufe0fb"', 'a name may not contain "\ufe0f"; letters and digits of any script are fine, and . _ - inside'),
    (".a", "a name begins and ends with a letter or a digit"),
    ("a-", "a name begins and ends with a letter or a digit"),
    ('""', "a name may not be empty"),
    ("x" * 65, "a name has at most 64 characters, this one has 65"),
    ("ALL", '"ALL" stands for every task and cannot be a name'),
    ("Daemon", '"Daemon" is the supervisor itself where a log is asked for and cannot be a name'),
]


@pytest.mark.parametrize(("name", "reason"), NAMES, ids=range(len(NAMES)))
def test_a_name_against_the_rule_is_refused(name: str, reason: str) -> None:
    (sentence,) = findings_of(f"tasks:\n  {name}: {{command: cat}}\n")
    assert sentence.startswith(f"{FILE}:2: tasks.")
    assert sentence.endswith(f": {reason}")


def test_two_tasks_with_one_name_are_refused_and_both_places_named() -> None:
    text = "tasks:\n  web: {command: cat}\n  b: {command: cat}\n  \uff37eb: {command: cat}\n  web: {command: tac}\n"
    assert findings_of(text) == [
        f'{FILE}:4: tasks.\uff37eb: is the same name as "web" in line 2: task names are compared without regard to case and width',
        f"{FILE}:5: tasks.web: is said twice; the first time in line 2",
    ]


TASKS = "tasks:\n  read: {command: cat}\n  sort: {command: sort}\n  store: {command: cat}\nflows:\n  f:\n"

FLOWS = [
    ("from: red\nto: sort", ['7: flows.f.from: there is no task "red"; did you mean "read"?']),
    ("from: read\nto: [sort, xxxx]", ['8: flows.f.to[1]: there is no task "xxxx"']),
    ("from: read\nto:\n  - sort\n  - stor", ['10: flows.f.to[1]: there is no task "stor"; did you mean "store"?']),
    ("from: read\nto: [sort, store, SORT]", ['8: flows.f.to[2]: names "SORT" twice; the first time in line 8']),
    ("from: read", ["6: flows.f.to: is missing; name a task or a list of tasks"]),
    ("to: read", ["6: flows.f.from: is missing; name a task or a list of tasks"]),
    ("from: []\nto: sort", ["7: flows.f.from: names no task"]),
    ('from: ""\nto: ["", sort]', ["7: flows.f.from: names no task", "8: flows.f.to[0]: names no task"]),
    ("from: {a: b}\nto: sort", ["7: flows.f.from: must be a task's name or a list of names"]),
    ("from: read\nto: sort\nmode: brood", ['9: flows.f.mode: "brood" is unknown; did you mean "broad"?']),
    ("from: read\nto: sort\nstart: now", ['9: flows.f.start: "now" is unknown; known are end, begin, or an offset in bytes']),
    ("from: read\nto: sort\nmax_lag: 0", ["9: flows.f.max_lag: 0 bytes is outside 1 to 1,152,921,504,606,846,976 bytes"]),
    ("from: read\nto: sort\nproducers: read", ["9: flows.f.producers: unknown key"]),
    ("from: read\nto: read", [f"8: flows.f.to: closes a cycle: read -> read; {WHY_NOT}"]),
    ("from: read\nto: sort\ng: {}", ["9: flows.f.g: unknown key"]),
]


@pytest.mark.parametrize(("lines", "sentences"), FLOWS, ids=[lines for lines, _ in FLOWS])
def test_a_wrong_flow_is_refused_where_it_stands(lines: str, sentences: list[str]) -> None:
    assert findings_of(TASKS + textwrap.indent(lines, "    ")) == [f"{FILE}:{sentence}" for sentence in sentences]


def test_a_cycle_over_several_flows_is_refused_once_at_the_last_of_them() -> None:
    text = TASKS + "    {from: read, to: [sort]}\n  g: {from: sort, to: store}\n  h:\n    from: store\n    to: read\n"
    assert findings_of(text) == [f"{FILE}:11: flows.h.to: closes a cycle: read -> sort -> store -> read; {WHY_NOT}"]


def test_every_cycle_is_found() -> None:
    text = TASKS + "    {from: read, to: READ}\n  g: {from: sort, to: store}\n  h: {from: store, to: sort}\n"
    assert findings_of(text) == [
        f"{FILE}:7: flows.f.to: closes a cycle: read -> read; {WHY_NOT}",
        f"{FILE}:9: flows.h.to: closes a cycle: sort -> store -> sort; {WHY_NOT}",
    ]


def test_two_flows_with_one_name_are_refused() -> None:
    text = TASKS + "    {from: read, to: sort}\n  F: {from: read, to: store}\n"
    assert findings_of(text) == [f'{FILE}:8: flows.F: is the same name as "f" in line 6: flow names are compared without regard to case and width']


def test_a_share_group_whose_members_frame_differently_is_refused() -> None:
    text = """
        tasks:
          a: {command: cat}
          b: {command: cat, input: {protocol: event}}
          c: {command: cat, input: {protocol: event, framing: nul}}
        flows:
          f: {from: a, to: [b, c], mode: share}
        """
    assert findings_of(text) == [f'{FILE}:6: flows.f.to[1]: "c" and "b" share events but differ in input.framing']


def test_a_stream_whose_producer_frames_otherwise_than_its_consumer_is_refused() -> None:
    text = """
        tasks:
          a: {command: cat, output: {framing: nul}}
          b: {command: cat}
          c: {command: cat, input: {framing: nul}}
          d: {command: cat, input: {protocol: event}}
        flows:
          f: {from: a, to: [b, c, d]}
        """
    assert findings_of(text) == [
        f'{FILE}:7: flows.f.to[0]: "b" takes a stream, which passes as it was written, and "a" writes nul (output.framing): give "b"'
        " input.framing: nul, or input.protocol: event, which frames anew"
    ]


def test_an_echo_of_what_may_hold_newlines_is_refused() -> None:
    text = "tasks:\n  a: {command: cat, input: {protocol: event, ack: echo, framing: netstring}}\n"
    reason = "repeats an event as a line, and with input.framing: nul or netstring an event may hold newlines: use ack: empty"
    assert findings_of(text) == [f"{FILE}:2: tasks.a.input.ack: {reason}"]


def test_a_flow_with_very_many_edges_is_refused_and_the_same_as_share_is_not() -> None:
    tasks = "".join(f"  t{number}: {{command: cat, input: {{protocol: event}}}}\n" for number in range(202))
    producers, consumers = ", ".join(f"t{number}" for number in range(101)), ", ".join(f"t{number}" for number in range(101, 202))
    text = f"tasks:\n{tasks}flows:\n  f: {{from: [{producers}], to: [{consumers}], mode: MODE}}\n"
    assert findings_of(text.replace("MODE", "broad")) == [
        f"{FILE}:205: flows.f: makes 10,201 edges, each producer with each consumer; at most 10,000 are possible"
    ]
    assert len(parse(text.replace("MODE", "share").encode(), FILE).flows[0].producers) == 101


WHOLE_FILES = [
    ("", ": says nothing: it is empty, or its content was lost"),
    ("# only a comment\n", ": says nothing: it is empty, or its content was lost"),
    ("just text\n", ':1: must be keys with values (key: value), not the text "just text"'),
    ("- a\n", ":1: must be keys with values (key: value), not a list"),
    ("task: {}\n", ':1: task: unknown key; did you mean "tasks"?'),
    ("tasks: []\n", ":1: tasks: must be keys with values (key: value), not a list"),
    ("tasks: {}\n---\ntasks: {}\n", ":2: a second document begins here; a configuration is one document"),
    ("tasks: {}\nsupervisor: {log_level: loud}\n", ':2: supervisor.log_level: "loud" is unknown; known are debug, info, warning, error'),
    ("supervisor:\n  ping: 3\n", ':2: supervisor.ping: unknown key; did you mean "ping_s"?'),
    ("tasks:\n\ta: b\n", ":2: cannot be read as YAML: while scanning for the next token, found character '\\t' that cannot start any token"),
    ("tasks: {a: 'b\n", ":2: cannot be read as YAML: while scanning a quoted scalar (begun in line 1), found unexpected end of stream"),
    ('tasks: "\\UFFFFFFFF"\n', ":1: cannot be read as YAML: "),
    ("tasks:\n  a: {command: cat} # \u2028\n", ":2: contains U+2028 (line separator), which is not shown as what it is; leave"),
    ("tasks:\n  a: x\u202ey\n", ":2: contains U+202E (right-to-left override), which is not shown as what it is; leave"),
    ("tasks: \x1b[2J\n", ":1: contains U+001B (a control character), which is not shown as what it is; leave"),
    ("a: 1\rtasks: {}\n", ":1: contains U+000D (a control character), which is not shown as what it is; leave"),
]


@pytest.mark.parametrize(("text", "sentence"), WHOLE_FILES, ids=range(len(WHOLE_FILES)))
def test_a_file_that_is_no_configuration_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), FILE)
    (finding,) = caught.value.findings
    assert finding.startswith(FILE + sentence)


def test_bytes_that_are_not_utf8_are_refused_with_their_line() -> None:
    for data, line, byte in ((b"tasks:\n  a: \xff\n", 2, "ff"), ("tasks: {}".encode("utf-16"), 1, "ff"), (b"tasks: \xed\xa0\x80", 1, "ed")):
        with pytest.raises(ConfigError) as caught:
            parse(data, FILE)
        assert caught.value.findings == [f"{FILE}:{line}: is not UTF-8: byte 0x{byte}"]


def test_everything_that_is_wrong_is_told_at_once_from_top_to_bottom() -> None:
    text = """
        supervisor: {log_levl: info}
        tasks:
          web: {comand: cat}
          store: {command: cat, umask: 9}
        flows:
          f: {from: web, to: stoer}
        """
    assert findings_of(text) == [
        f'{FILE}:1: supervisor.log_levl: unknown key; did you mean "log_level"?',
        f'{FILE}:3: tasks.web.comand: unknown key; did you mean "command"?',
        f"{FILE}:3: tasks.web.command: is missing; say which program to run",
        f'{FILE}:4: tasks.store.umask: "9" is not an octal mask between 000 and 777',
        f'{FILE}:6: flows.f.to: there is no task "stoer"; did you mean "store"?',
    ]


def test_a_file_full_of_mistakes_gives_a_hundred_sentences_and_the_number_of_the_others() -> None:
    text = "tasks:\n" + "".join(f"  t{number}: {{}}\n" for number in range(250))
    findings = findings_of(text)
    assert len(findings) == 101
    assert findings[-1] == f"{FILE}: 150 more findings are not shown"


def test_text_of_the_file_cannot_drive_the_terminal() -> None:
    (finding,) = findings_of('tasks:\n  a: {command: cat, "\\e[2J\\n\\u202e": 1}\n')
    assert finding == f"{FILE}:2: tasks.a.\\x1b[2J\\n\\u202e: unknown key"


def test_a_long_key_is_cut_in_messages() -> None:
    (finding,) = findings_of(f"tasks:\n  a: {{command: cat, {'k' * 900}: 1}}\n")
    assert len(finding) < 150

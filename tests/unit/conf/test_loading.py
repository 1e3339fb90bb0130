"""What a good file becomes: types, defaults, paths, names; and that what people wrote is kept."""

from __future__ import annotations

import textwrap

import pytest

from efsupervisor.conf.loader import default_var, parse
from efsupervisor.conf.schema import Config, InputSpec, OutputSpec, TaskSpec
from efsupervisor.errors import ConfigError
from efsupervisor.states import Framing, Kind, Mode, Protocol


def read(text: str, path: str = "/srv/app/etc/efsupervisor.yaml") -> Config:
    return parse(textwrap.dedent(text).encode(), path)


def task(lines: str) -> TaskSpec:
    text = "tasks:\n  web:\n    command: cat\n" + textwrap.indent(textwrap.dedent(lines).strip("\n"), "    ")
    return read(text).tasks[0]


def test_a_whole_file_becomes_a_whole_configuration() -> None:
    config = read("""\
        supervisor:
          var: ../state
          log_level: debug
          log_max_bytes: 1MB
          ping_s: 500ms
        tasks:
          read:
            command: tail -F "my file"
            kind: service
            directory: data
            user: nobody:nogroup
            umask: "027"
            environment: {LANG: C.UTF-8}
            autostart: no
            autorestart: unexpected
            exitcodes: [0, 2]
            startsecs: 1.5
            startretries: 5
            backoff_s: 200ms
            backoff_max_s: 1m30s
            stopsignal: sigint
            stopwaitsecs: 1h
            priority: -3
            drain_s: 0
            output:
              segment_bytes: 1.5MiB
              keep_bytes: 2GiB
              keep_age_s: 7d
              hard_bytes: 1TB
              sync: interval
          store:
            command: [python3, -c, "print(1)"]
            kind: job
            input:
              {protocol: event, window: 64, ack: empty, max_deliveries: 0, on_poison: stop, max_event: 64KiB, stdin: open, framing: nul,
               ack_timeout_s: 3}
        flows:
          all-lines:
            from: read
            to: [store]
            mode: share
            start: begin
            max_lag: 10KB
            overflow: drop-oldest
            on_consumers_done: continue
        """)
    assert config.source == "/srv/app/etc/efsupervisor.yaml"
    assert (config.supervisor.var, config.supervisor.log_level) == ("/srv/app/state", "debug")
    assert (config.supervisor.log_max_bytes, config.supervisor.ping_s) == (1_000_000, 0.5)
    reader, store = config.tasks
    assert reader == TaskSpec(
        name="read", command=["tail", "-F", "my file"], directory="/srv/app/etc/data", user="nobody:nogroup", umask="027",
        environment={"LANG": "C.UTF-8"}, autostart=False, autorestart="unexpected", exitcodes=(0, 2), startsecs=1.5, startretries=5,
        backoff_s=0.2, backoff_max_s=90.0, stopsignal="INT",
        stopwaitsecs=3600.0, priority=-3, drain_s=0.0,
        output=OutputSpec(segment_bytes=3 << 19, keep_bytes=2 << 30, keep_age_s=604_800.0, hard_bytes=10**12, sync="interval"),
    )  # fmt: skip
    assert (store.command, store.kind) == (["python3", "-c", "print(1)"], Kind.JOB)
    assert store.input == InputSpec(
        protocol=Protocol.EVENT, window=64, ack="empty", max_deliveries=0, on_poison="stop", max_event=65_536, stdin="open", framing=Framing.NUL,
        ack_timeout_s=3.0,
    )
    (flow,) = config.flows
    assert (flow.name, flow.producers, flow.consumers, flow.mode, flow.start) == ("all-lines", ["read"], ["store"], Mode.SHARE, "begin")
    assert (flow.max_lag, flow.overflow, flow.on_consumers_done) == (10_000, "drop-oldest", "continue")


def test_what_is_not_said_has_the_default_of_the_schema() -> None:
    assert task("") == TaskSpec(name="web", command=["cat"])
    assert task("input:").input == InputSpec()


@pytest.mark.parametrize("written", ["22:22", "NO", "0644", "1e3", "~", "null", "2001-12-14", "0x1F", "1_000", "yes", ".inf", "=", "a  b", "a:b"])
def test_an_environment_value_stays_what_was_written(written: str) -> None:
    assert task(f"environment:\n  A: {written}").environment == {"A": written}


def test_an_environment_value_may_be_quoted_empty_or_left_out() -> None:
    assert task("environment:\n  A: ' x '\n  B: ''\n  C:\n  D: |\n    two\n    lines\n  E: e").environment == {
        "A": " x ",
        "B": "",
        "C": "",
        "D": "two\nlines\n",
        "E": "e",
    }


def test_variables_that_differ_in_case_are_two() -> None:
    assert task("environment: {a: 1, A: 2}").environment == {"a": "1", "A": "2"}


def test_names_arguments_and_masks_are_not_taken_for_numbers_or_booleans() -> None:
    tasks = "tasks:\n  NO:\n    command: [echo, 0644, 22:22, NO, ~]\n    umask: 0027\n  007: {command: cat}\n"
    config = read(tasks + "flows:\n  on: {from: NO, to: 007}\n")
    assert config.tasks[0].command == ["echo", "0644", "22:22", "NO", "~"]
    assert config.tasks[0].umask == "0027"
    assert [each.name for each in config.tasks] == ["NO", "007"]
    assert (config.flows[0].name, config.flows[0].producers, config.flows[0].consumers) == ("on", ["NO"], ["007"])


@pytest.mark.parametrize(
    ("written", "meant"), [("yes", True), ("True", True), ("ON", True), ("'true'", True), ("no", False), ("False", False), ("off", False)]
)
def test_a_boolean_is_taken_however_yaml_people_write_it(written: str, meant: bool) -> None:
    assert task(f"autostart: {written}").autostart is meant
    assert task(f"autorestart: {written}").autorestart == ("true" if meant else "false")


def test_one_exit_code_needs_no_list() -> None:
    assert task("exitcodes: 3").exitcodes == (3,)


@pytest.mark.parametrize("written", ["TERM", "SIGTERM", "term", "15"])
def test_a_signal_may_be_a_name_or_a_number(written: str) -> None:
    assert task(f"stopsignal: {written}").stopsignal == "TERM"


def test_names_of_every_script_are_kept_in_nfc_and_flows_use_the_tasks_own_spelling() -> None:
    tasks = "tasks:\n  작업.하나: {command: cat}\n  cafe\u0301: {command: cat}\n  नमस्ते-1: {command: cat}\n"
    config = read(tasks + "flows:\n  f: {from: CAFÉ, to: [작업.하나, नमस्ते-1]}\n")
    assert [each.name for each in config.tasks] == ["작업.하나", "café", "नमस्ते-1"]
    assert config.flows[0].producers == ["café"]


def test_a_type_of_a_plugin_is_known_when_the_caller_knows_it() -> None:
    text = b"tasks:\n  a: {command: cat, type: talend}\n"
    assert parse(text, "f.yaml", types=["process", "talend"]).tasks[0].type == "talend"
    with pytest.raises(ConfigError, match="talend"):
        parse(text, "f.yaml")


def test_absolute_paths_stay_and_relative_ones_are_below_the_folder_of_the_file() -> None:
    assert task("directory: /x/../y").directory == "/y"
    assert task("directory: .").directory == "/srv/app/etc"
    assert read("supervisor: {var: /var/x}").supervisor.var == "/var/x"


@pytest.mark.parametrize(
    ("folder", "var"),
    [
        ("/srv/app/etc", "/srv/app/var"),
        ("/srv/app", "/srv/app/var"),
        ("/etc", "/var/lib/efsupervisor"),
        ("/etc/efsupervisor", "/var/lib/efsupervisor"),
        ("/etcetera", "/etcetera/var"),
    ],
)
def test_the_state_folder_follows_from_where_the_file_lies(folder: str, var: str) -> None:
    assert default_var(folder) == var
    assert read("supervisor: {}", f"{folder}/efsupervisor.yaml").supervisor.var == var
    assert read("tasks: {}", f"{folder}/efsupervisor.yaml").supervisor.var == var


def test_a_relative_path_of_the_file_gives_absolute_paths_in_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    config = parse(b"tasks: {}", "etc/efsupervisor.yaml")
    assert config.source == f"{tmp_path}/etc/efsupervisor.yaml"
    assert config.supervisor.var == f"{tmp_path}/var"


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    text = "tasks:\r\n  a: {command: cat}\r\n"
    assert parse(b"\xef\xbb\xbf" + text.encode(), "f.yaml") == parse(text.replace("\r", "").encode(), "f.yaml")

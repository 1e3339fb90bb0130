"""A supervisord.conf as tasks and groups: names, notes, findings, the daemon and its doors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from efsupervisor.conf.ini.carry import fitting
from efsupervisor.conf.ini.load import find_ini_var, load_ini
from efsupervisor.conf.ini.situation import Situation, looks_like_ini
from efsupervisor.conf.names import fault
from efsupervisor.conf.schema import PASSING_KEPT, PIPE_BYTES, Config, GroupSpec
from efsupervisor.errors import ConfigError

HEAD = "[supervisord]\n"


def load(folder: Path, text: str, **more: object) -> Config:
    path = folder / "s.conf"
    path.write_text(text, encoding="utf-8")
    return load_ini(str(path), Situation(cwd=str(folder), **more))  # type: ignore[arg-type]


def notes(config: Config) -> list[str]:
    assert config.daemon is not None
    return config.daemon.notes


def test_a_process_is_called_by_its_own_name_where_that_is_alone(tmp_path: Path) -> None:
    text = HEAD + (
        "[program:web]\ncommand=a\n[program:one]\ncommand=a\nprocess_name=same\n[program:two]\ncommand=a\nprocess_name=same\n"
        "[group:both]\nprograms=one,two\n[program:many]\ncommand=a\nnumprocs=2\nprocess_name=%(program_name)s_%(process_num)02d\n"
        "[program:other]\ncommand=a\nprocess_name=same\n"
    )
    config = load(tmp_path, text)
    assert {(task.group, task.process_name): task.name for task in config.tasks} == {
        ("web", "web"): "web",
        ("both", "same"): "both.same",
        ("many", "many_00"): "many_00",
        ("many", "many_01"): "many_01",
        ("other", "same"): "other.same",
    }
    assert config.groups == [
        GroupSpec(name="both", tasks=["both.same"]),
        GroupSpec(name="many", tasks=["many_00", "many_01"]),
        GroupSpec(name="other", tasks=["other.same"]),
    ]


def test_a_group_with_the_name_of_one_of_its_members_does_not_take_that_name_twice(tmp_path: Path) -> None:
    config = load(tmp_path, HEAD + "[program:a]\ncommand=x\n[program:b]\ncommand=x\n[group:a]\nprograms=a,b\n")
    assert [task.name for task in config.tasks] == ["a.a", "b"]
    assert config.groups == [GroupSpec(name="a", tasks=["a.a", "b"])]


@pytest.mark.parametrize("name", ["a+b", "_x_", "db@main", "x" * 100, "---", "all", "ALL", "a b", "é", "-", "💥", "1", "a\u200bb"])
def test_any_name_becomes_one_that_we_may_use(name: str) -> None:
    assert fault(fitting(name)) == "" and fitting(name).lower() != "all"


def test_a_name_that_had_to_change_is_a_note_and_supervisords_name_stays(tmp_path: Path) -> None:
    config = load(tmp_path, HEAD + "[program:db@main]\ncommand=x\n")
    assert (config.tasks[0].name, config.tasks[0].process_name) == ("db-main", "db@main")
    assert any('the process "db@main" is the task "db-main" here' in note for note in notes(config))


def test_groups_start_by_priority_and_their_members_as_they_are_listed(tmp_path: Path) -> None:
    text = HEAD + (
        "[program:z]\ncommand=x\npriority=5\n[program:a]\ncommand=x\npriority=900\n[program:b]\ncommand=x\npriority=1\n"
        "[group:late]\nprograms=a,b\npriority=1000\n"
    )
    assert [(task.name, task.priority) for task in load(tmp_path, text).tasks] == [("z", 5), ("a", 1000), ("b", 1000)]


def test_everything_that_is_wrong_is_found_with_file_line_and_option(tmp_path: Path) -> None:
    (tmp_path / "more.ini").write_text("[program:b]\nautostart=maybe\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, HEAD + "nodaemon=perhaps\n[program:a]\ncommand=%(ENV_NO)s\n[include]\nfiles=*.ini\n[group:g]\nprograms=a,c\n")
    assert [each.removeprefix(f"{tmp_path}/").partition(": ")[0] + ": " + each.split(": ")[1] for each in caught.value.findings] == [
        "s.conf:2: supervisord.nodaemon",
        "s.conf:4: program:a.command",
        "s.conf:8: group:g.programs",
        "more.ini:1: program:b",
        "more.ini:2: program:b.autostart",
    ]


def test_slips_and_what_has_no_effect_are_notes(tmp_path: Path) -> None:
    text = HEAD + "[program:a]\ncommand=x\nautorestrat=true\n[prgram:b]\ncommand=y\n[rpcinterface:mine]\nsupervisor.rpcinterface_factory=x:y\n"
    said = notes(load(tmp_path, text))
    assert said == [
        f"{tmp_path}/s.conf:4: program:a.autorestrat: is no option of supervisord; did you mean autorestart?; it has no effect",
        f"{tmp_path}/s.conf:5: [prgram:b]: is no section of supervisord; did you mean [program...]?; it has no effect",
        f"{tmp_path}/s.conf:7: [rpcinterface:mine]: is code that runs inside supervisord; it is not loaded",
    ]


def test_a_log_whose_folder_is_missing_stops_nothing(tmp_path: Path) -> None:
    config = load(tmp_path, HEAD + "[program:a]\ncommand=x\nstdout_logfile=/no/such/x.log\n[program:b]\ncommand=x 'y\n")
    assert config.tasks[0].stdout_logfile == "auto" and config.tasks[1].command == ["x 'y"]
    assert "program:a.stdout_logfile: the folder /no/such does not exist" in notes(config)[0]
    assert "program:b.command: cannot be split into words" in notes(config)[1]


def test_a_file_that_others_could_change_is_a_note(tmp_path: Path) -> None:
    path = tmp_path / "s.conf"
    path.write_text(HEAD)
    path.chmod(0o666)
    assert "may be written by everybody" in notes(load_ini(str(path), Situation(cwd=str(tmp_path))))[0]


def test_the_command_line_wins_over_the_file_and_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    daemon = load(tmp_path, "\ufeff" + HEAD + "loglevel=debug\nlogfile=a.log\n", said={"loglevel": "warn", "nodaemon": "true"}).daemon
    assert daemon is not None
    assert (daemon.loglevel, daemon.nodaemon, daemon.logfile) == ("warn", True, f"{tmp_path}/a.log")


def test_in_the_background_programs_run_in_the_daemons_folder_with_its_umask(tmp_path: Path) -> None:
    text = HEAD + "directory=/srv\numask=027\n[program:a]\ncommand=x\ndirectory=b\n"
    os.path.isdir("/srv") or pytest.skip("this machine has no /srv")
    assert (load(tmp_path, text).tasks[0].directory, load(tmp_path, text).tasks[0].umask) == ("/srv/b", "027")
    foreground = load(tmp_path, text, said={"nodaemon": "true"}, umask=0o002).tasks[0]
    assert (foreground.directory, foreground.umask) == (f"{tmp_path}/b", "002")


def test_logs_that_go_elsewhere_leave_little_behind_and_files_what_they_say(tmp_path: Path) -> None:
    text = HEAD + (
        "[program:a]\ncommand=x\nstdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\nstderr_logfile=%(here)s/e.log\n"
        "stderr_logfile_maxbytes=1MB\nstderr_logfile_backups=3\n[program:b]\ncommand=x\nstdout_logfile=%(here)s/e.log\nstderr_logfile=NONE\n"
    )
    one, two = load(tmp_path, text).tasks
    assert one.kept("out").keep_bytes == two.kept("err").keep_bytes == PASSING_KEPT
    assert (one.kept("err").segment_bytes, one.kept("err").keep_bytes) == (1 << 20, 4 * ((1 << 20) + PIPE_BYTES))
    assert one.fed_logs and two.fed_logs


def test_one_socket_and_one_local_port_with_a_password_are_doors(tmp_path: Path) -> None:
    text = HEAD + "identifier=here\n[unix_http_server]\nfile=/run/s.sock\nchmod=0770\n"
    text += "[inet_http_server]\nport=127.0.0.1:9001\nusername=u\npassword=p\n"
    spec = load(tmp_path, text).supervisor
    assert (spec.xmlrpc.file, spec.xmlrpc.mode, spec.xmlrpc.identifier) == ("/run/s.sock", "0770", "here")
    assert (spec.xmlrpc.enabled, spec.xmlrpc.host, spec.xmlrpc.port, spec.xmlrpc.user) == (True, "127.0.0.1", 9001, "u")
    assert spec.web.enabled and not load(tmp_path, HEAD).supervisor.web.enabled


@pytest.mark.parametrize(("section", "said"), [("port=*:9001\nusername=u\npassword=p\n", "other machines"), ("port=127.0.0.1:9001\n", "no username")])
def test_a_port_that_anybody_could_use_is_not_listened_on(tmp_path: Path, section: str, said: str) -> None:
    config = load(tmp_path, HEAD + "[inet_http_server]\n" + section)
    assert not config.supervisor.xmlrpc.enabled and said in notes(config)[0]


def test_a_section_of_ours_holds_settings_of_ours(tmp_path: Path) -> None:
    config = load(tmp_path, HEAD + "[efsupervisor]\nvar=%(here)s/state\nhistory=5\n")
    assert (config.supervisor.var, config.supervisor.history) == (f"{tmp_path}/state", 5)
    assert find_ini_var(str(tmp_path / "s.conf")) == f"{tmp_path}/state"
    assert load(tmp_path, HEAD + "[efsupervisor]\nvar=x\n", var="/said").supervisor.var == "/said"
    with pytest.raises(ConfigError, match=r"s\.conf:3: efsupervisor\.histroy"):
        load(tmp_path, HEAD + "[efsupervisor]\nhistroy=5\n")


@pytest.mark.parametrize(
    ("path", "text", "ini"),
    [
        ("x.conf", "", True),
        ("x.ini", "tasks:\n", True),
        ("x.yaml", "[supervisord]\n", False),
        ("x", "; c\n\n[supervisord]\n", True),
        ("x", "[a, b]\n", False),
        ("x", "tasks: {}\n", False),
        ("x", "", False),
    ],
)
def test_a_supervisord_conf_is_known_by_its_ending_or_its_first_line(path: str, text: str, ini: bool) -> None:
    assert looks_like_ini(path, text.encode()) is ini

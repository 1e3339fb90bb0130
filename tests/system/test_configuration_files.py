"""A real daemon with a configuration of several files, variables and a log of JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

from efsupervisor import messages
from efsupervisor.states import State
from tests.support.supervisor import Supervisor
from tests.support.wait import until

MAIN = """\
include: conf.d/*.yaml
supervisor:
  var: ${PLACE}/var
  services: false
  log_format: json
"""
PART = """\
tasks:
  echo:
    command: sh -c 'echo ${GREETING:-hello} "$${EFS_TASK}"; exec sleep 1000'
    environment: {EFS_TEST_MARK: "${EFS_TEST_MARK}"}
"""


def test_a_daemon_reads_included_files_and_variables_and_logs_transitions_as_json(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, text=MAIN, environment={"PLACE": str(tmp_path)})
    (tmp_path / "etc" / "conf.d").mkdir()
    (tmp_path / "etc" / "conf.d" / "echo.yaml").write_text(PART, encoding="utf-8")
    with supervisor:
        row = supervisor.await_state("echo", State.RUNNING)
        until(lambda: supervisor.output("echo") == b"hello echo\n", 10, lambda: "its words\n" + supervisor.story())
        supervisor.trm("echo")
        log = tmp_path / "var" / "log" / "efsupervisord.log"
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        transitions = [(line["task"], line["from"], line["to"], line["pid"] == row.pid) for line in lines if "from" in line]
        assert transitions[:2] == [("echo", "STOPPED", "STARTING", True), ("echo", "STARTING", "RUNNING", True)]
        assert transitions[-1] == ("echo", "STOPPING", "STOPPED", False)
        assert all({"time", "level", "pid", "sentence"} <= line.keys() for line in lines)
        assert os.getpid() not in {line["pid"] for line in lines}


def test_the_format_of_the_log_changes_while_core_and_workers_run(tmp_path: Path) -> None:
    tasks = {"sleep": {"command": ["sleep", "1000"], "startsecs": 0}}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("sleep", State.RUNNING)
        reply = supervisor.ask(messages.SetSettingRequest(id="1", key="log_format", value="json"))
        assert isinstance(reply, messages.DoneReply) and reply.outcomes[0].ok, reply
        supervisor.trm("sleep")
        lines = (tmp_path / "var" / "log" / "efsupervisord.log").read_text(encoding="utf-8").splitlines()
        plain = [line for line in lines if not line.startswith("{")]
        objects = [json.loads(line) for line in lines if line.startswith("{")]
        assert any("task sleep: STARTING -> RUNNING" in line for line in plain)
        assert ("sleep", "STOPPING", "STOPPED") in [(line.get("task"), line.get("from"), line.get("to")) for line in objects]
        assert lines.index(plain[-1]) < lines.index(next(line for line in lines if line.startswith("{")))

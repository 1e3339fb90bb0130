"""An unmodified supervisord.conf runs: groups, processes, logs, the main log's phrases, and the habits of containers."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.supervisor import MARK, PATH, ROOT
from tests.support.wait import until

DEADLINE_S = 30.0
PHRASE = re.compile(rb"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (CRIT|ERRO|WARN|INFO|DEBG) ")


class Run:
    """One `efsupervisord -c supervisord.conf`.  output: what its stdout and stderr got."""

    def __init__(self, folder: Path, text: str, *arguments: str, before: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.conf = folder / "supervisord.conf"
        self.conf.write_text(text, encoding="utf-8")
        self.var = folder / "var"
        self.mark = uuid.uuid4().hex
        self._said = folder / "said"
        command = [*before, sys.executable, "-W", "error", "-m", "efsupervisor.core.main", "-c", str(self.conf), "--var", str(self.var), *arguments]
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                command, cwd=folder, env=self.environment | (environment or {}), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": PATH, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "HOME": str(self.folder), MARK: self.mark}

    @property
    def output(self) -> bytes:
        return self._said.read_bytes()

    def await_text(self, text: str) -> bytes:
        """Wait until the output has this text."""
        return until(lambda: self.output if text.encode() in self.output else None, DEADLINE_S, lambda: f"{text!r} is said\n{self.output.decode()}")

    def efctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run efctl for this supervisor."""
        command = [sys.executable, "-m", "efsupervisor.cli.main", "--var", str(self.var), *arguments]
        return subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def end(self) -> int:
        """Stop it in order; its exit status.  Nothing of it is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(DEADLINE_S)
        until(lambda: not self._left(), DEADLINE_S, lambda: f"nothing is left of the run: {self._left()}\n{self.output.decode()}")
        return status

    def _left(self) -> list[processes.Process]:
        return processes.marked(MARK.encode(), self.mark.encode())

    def kill(self) -> None:
        """After a failure: everything goes."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(DEADLINE_S)
        for each in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[list[Run]]:
    runs: list[Run] = []
    yield runs
    for each in runs:
        if each.process.poll() is None:
            each.kill()


CONTAINER = """
[supervisord]
nodaemon=true
user=root
logfile=/dev/null
logfile_maxbytes=0
pidfile=%(here)s/supervisord.pid

[program:php-fpm]
command=/bin/sh -c "echo fpm is up; exec sleep 1000"
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
stderr_logfile=/dev/stderr
stderr_logfile_maxbytes=0
autorestart=true

[program:nginx]
command=/bin/sh -c "echo nginx is up; echo nginx warns >&2; trap 'exit 0' QUIT; while :; do sleep 0.1; done"
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
redirect_stderr=true
stopsignal=QUIT

[program:cron]
command=cat
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
"""


def test_the_habits_of_containers(tmp_path: Path, run: list[Run]) -> None:
    if os.geteuid() != 0:
        pytest.skip("user=root needs root")
    this = Run(tmp_path, CONTAINER)
    run.append(this)
    for text in ("fpm is up\n", "nginx is up\n", "nginx warns\n", "INFO supervisord started with pid "):
        this.await_text(text)
    for name in ("php-fpm", "nginx", "cron"):
        said = this.await_text(f"success: {name} entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)")
        assert re.search(rb"INFO spawned: '%b' with pid \d+\n" % name.encode(), said)
    assert (tmp_path / "supervisord.pid").read_text() == f"{this.process.pid}\n"
    assert this.end() == 0
    said = this.output
    assert b"WARN received SIGTERM indicating exit request" in said
    assert b"WARN stopped: php-fpm (terminated by SIGTERM)" in said and b"INFO stopped: nginx (exit status 0)" in said
    assert not (tmp_path / "supervisord.pid").exists()
    lines = said.decode().splitlines()
    assert [line for line in lines if not PHRASE.match(line.encode() + b" ") and line not in ("fpm is up", "nginx is up", "nginx warns")] == []


def test_groups_processes_expansions_and_the_environment(tmp_path: Path, run: list[Run]) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "worker.conf").write_text(
        "[program:worker]\n"
        "command=/bin/sh -c 'echo $SUPERVISOR_GROUP_NAME:$SUPERVISOR_PROCESS_NAME $SUPERVISOR_ENABLED $FROM_OUTSIDE $OWN; sleep 1000'\n"
        "process_name=%(program_name)s_%(process_num)02d\nnumprocs=3\nnumprocs_start=1\nenvironment=OWN='%(process_num)d,%(here)s'\n"
        "stdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\n"
    )
    text = (
        "[supervisord]\nnodaemon=true\nlogfile=%(here)s/main.log\n[include]\nfiles=conf.d/*.conf\n"
        "[group:back]\nprograms=worker,one\n[program:one]\ncommand=sleep 1000\n[program:no_start]\ncommand=sleep 1000\nautostart=false\n"
    )
    this = Run(tmp_path, text, environment={"FROM_OUTSIDE": "seen"})
    run.append(this)
    for number in (1, 2, 3):
        this.await_text(f"back:worker_0{number} 1 seen {number},{tmp_path}/conf.d\n")
    this.await_text("success: one entered RUNNING")
    table = this.efctl("status").stdout
    assert re.search(r"worker_02 +RUNNING", table) and re.search(r"no_start +STOPPED", table)
    assert this.efctl("trm", "back", "--wait").returncode == 0
    assert "RUNNING" not in this.efctl("status").stdout
    assert this.end() == 0
    assert b"stopped: worker_02 (terminated by SIGTERM)" in (tmp_path / "main.log").read_bytes()


def test_phrases_of_programs_that_fail(tmp_path: Path, run: list[Run]) -> None:
    text = (
        "[supervisord]\nnodaemon=true\nsilent=true\nlogfile=%(here)s/main.log\n"
        "[program:quick]\ncommand=/bin/sh -c 'exit 3'\nstartretries=1\n"
        "[program:once]\ncommand=/bin/sh -c 'exit 0'\nstartsecs=0\n"
        "[program:bad]\ncommand=/bin/sh -c 'exit 4'\nstartsecs=0\nautorestart=false\n"
        "[program:missing]\ncommand=/no/such/program\nstartretries=0\n"
    )
    this = Run(tmp_path, text)
    run.append(this)
    log = tmp_path / "main.log"
    wanted = [
        "WARN exited: quick (exit status 3; not expected)",
        "INFO gave up: quick entered FATAL state, too many start retries too quickly",
        "INFO success: once entered RUNNING state, process has stayed up for > than 0 seconds (startsecs)",
        "INFO exited: once (exit status 0; expected)",
        "WARN exited: bad (exit status 4; not expected)",
        "INFO spawnerr: '/no/such/program' cannot be executed: No such file or directory",
        "INFO gave up: missing entered FATAL state, too many start retries too quickly",
    ]
    until(
        lambda: log.exists() and all(each in log.read_text() for each in wanted),
        DEADLINE_S,
        lambda: f"{[each for each in wanted if each not in log.read_text()]} in\n{log.read_text()}",
    )
    assert this.end() == 0
    assert this.output == b""


def test_a_log_file_is_a_link_that_follows_rotations(tmp_path: Path, run: list[Run]) -> None:
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    (logs / "x.log").write_text("what supervisord left\n")
    counter = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; sleep 1000"
    text = (
        f'[supervisord]\nnodaemon=true\nlogfile=/dev/null\n[program:x]\ncommand=/bin/sh -c "{counter}"\n'
        "stdout_logfile=%(here)s/logs/x.log\nstdout_logfile_maxbytes=10KB\nstdout_logfile_backups=2\n"
    )
    this = Run(tmp_path, text)
    run.append(this)
    # where the last piece of output fills a segment, the newest one is still empty
    newest = [logs / "x.log.1", logs / "x.log"]
    until(lambda: b"line 2999\n" in b"".join(map(_read, newest)), DEADLINE_S, "the links lead to the newest line")
    assert (logs / "x.log.before").read_text() == "what supervisord left\n"
    kept = b"".join(_read(logs / name) for name in ("x.log.2", "x.log.1", "x.log")).splitlines()
    assert kept == [f"line {number}".encode() for number in range(3000 - len(kept), 3000)] and len(kept) > 1500
    assert not (logs / "x.log.3").is_symlink()
    assert this.end() == 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_a_log_that_two_programs_name_gets_whole_lines_of_both(tmp_path: Path, run: list[Run]) -> None:
    counter = "i=0; while [ $i -lt 500 ]; do echo {0} $i; i=$((i+1)); done; sleep 1000"
    one = f'[program:{{0}}]\ncommand=/bin/sh -c "{counter}"\nstdout_logfile=%(here)s/both.log\n'
    this = Run(tmp_path, "[supervisord]\nnodaemon=true\nlogfile=/dev/null\n" + one.format("a") + one.format("b"))
    run.append(this)
    log = tmp_path / "both.log"
    until(lambda: _read(log).count(b"\n") == 1000, DEADLINE_S, lambda: f"all lines are there: {_read(log).count(b'x')}")
    lines = log.read_text().splitlines()
    for name in ("a", "b"):
        assert [line for line in lines if line.startswith(name)] == [f"{name} {number}" for number in range(500)]
    assert this.end() == 0


@pytest.mark.alone
def test_a_reader_of_stdout_that_stalls_holds_up_nobody(tmp_path: Path) -> None:
    counter = "i=0; while [ $i -lt 20000 ]; do echo line number $i; i=$((i+1)); done; echo done > %(here)s/done; sleep 1000"
    text = (
        "[supervisord]\nnodaemon=true\nsilent=true\nlogfile=%(here)s/main.log\n"
        f'[program:loud]\ncommand=/bin/sh -c "{counter}"\n'
        "stdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\n"
    )
    conf = tmp_path / "supervisord.conf"
    conf.write_text(text)
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "efsupervisor.core.main", "-nc", str(conf), "--var", str(tmp_path / "var")]
    environment = {"PATH": PATH, "PYTHONPATH": str(ROOT), MARK: mark}
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            until(lambda: (tmp_path / "done").exists(), DEADLINE_S, "the program is not held up by a full pipe")
            lines = [process.stdout.readline() for _ in range(20_000)]
            assert lines == [f"line number {number}\n".encode() for number in range(20_000)]
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert process.wait(DEADLINE_S) == 0
            assert time.monotonic() - began < 10
        finally:
            process.kill()
            for each in processes.marked(MARK.encode(), mark.encode()):
                os.kill(each.pid, signal.SIGKILL)


def test_as_pid_1_with_a_read_only_root(tmp_path: Path) -> None:
    """The whole habit: PID 1 of a namespace, nothing can be written but a tmpfs at /run, state goes where it can."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("namespaces need root and unshare")
    conf = tmp_path / "supervisord.conf"
    conf.write_text(CONTAINER.replace("pidfile=%(here)s/supervisord.pid", "pidfile=/run/supervisord.pid"))
    daemon = f"exec {sys.executable} -m efsupervisor.core.main -c {conf}"
    script = (
        "set -e; mount --make-rprivate /; mount -t tmpfs -o mode=755 tmpfs /run; "
        "mount --bind / /mnt; mount -o remount,bind,ro /mnt; mount --rbind /run /mnt/run; mount --rbind /dev /mnt/dev; "
        "mount -t proc proc /mnt/proc; "
        f"exec chroot /mnt /bin/sh -c '(sleep 4; touch /x 2>/dev/null && echo root is writable; ls -d /run/efsupervisor/*; cat /run/supervisord.pid; "
        f"kill -TERM 1) & {daemon}'"
    )
    mark = uuid.uuid4().hex
    environment = {"PATH": PATH, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", MARK: mark}
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()[:200]}")
    assert "supervisord started with pid 1\n" in said, said
    assert "root is writable" not in said
    assert re.search(r"(?m)^/run/efsupervisor/supervisord-[0-9a-f]{8}$", said), said
    assert re.search(r"(?m)^1$", said), said
    for text in ("fpm is up\n", "nginx is up\n", "success: nginx entered RUNNING", "received SIGTERM", "stopped: cron (terminated by SIGTERM)"):
        assert text in said, said
    assert done.returncode == 0
    assert processes.marked(MARK.encode(), mark.encode()) == []


def test_options_of_the_command_line_win_over_the_file(tmp_path: Path, run: list[Run]) -> None:
    text = "[supervisord]\nlogfile=%(here)s/file.log\nloglevel=error\n[program:x]\ncommand=sleep 1000\n"
    this = Run(tmp_path, text, "-n", "-s", "-l", str(tmp_path / "said.log"), "-e", "info", "-j", str(tmp_path / "said.pid"))
    run.append(this)
    until(lambda: b"success: x" in _read(tmp_path / "said.log"), DEADLINE_S, "the log is where the command line says")
    assert (tmp_path / "said.pid").exists() and not (tmp_path / "file.log").exists()
    assert this.end() == 0
    assert this.output == b""


def test_in_the_background_until_it_is_asked_to_end(tmp_path: Path) -> None:
    conf = tmp_path / "supervisord.conf"
    conf.write_text("[supervisord]\nlogfile=main.log\npidfile=s.pid\n[program:x]\ncommand=sleep 1000\nstdout_logfile=x.log\n")
    mark = uuid.uuid4().hex
    environment = {"PATH": PATH, "PYTHONPATH": str(ROOT), MARK: mark}
    command = [sys.executable, "-m", "efsupervisor.core.main", "-c", str(conf), "--var", str(tmp_path / "var")]
    try:
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        until(lambda: b"success: x" in _read(tmp_path / "main.log"), DEADLINE_S, "the program runs")
        assert (tmp_path / "x.log").is_symlink()
        os.kill(int((tmp_path / "s.pid").read_text()), signal.SIGTERM)
        until(lambda: not (tmp_path / "s.pid").exists() and not processes.marked(MARK.encode(), mark.encode()), DEADLINE_S, "it ended")
    finally:
        for each in processes.marked(MARK.encode(), mark.encode()):
            os.kill(each.pid, signal.SIGKILL)


def test_an_error_names_file_line_and_option(tmp_path: Path) -> None:
    conf = tmp_path / "supervisord.conf"
    conf.write_text("[supervisord]\n[program:x]\ncommand=sleep 1\nautostart=perhaps\nenvironment=A\n")
    command = [sys.executable, "-m", "efsupervisor.core.main", "-nc", str(conf), "--var", str(tmp_path / "var")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 78
    assert f'{conf}:4: program:x.autostart: "perhaps" is neither true nor false' in done.stderr
    assert f"{conf}:5: program:x.environment:" in done.stderr
    assert not (tmp_path / "var").exists()


def test_efctl_finds_it_checks_it_and_translates_it(tmp_path: Path, run: list[Run]) -> None:
    text = "[supervisord]\nnodaemon=true\nsilent=true\nlogfile=/dev/null\nautorestrat=1\n[efsupervisor]\nvar=var\n[program:x]\ncommand=sleep 1000\n"
    this = Run(tmp_path, text)
    run.append(this)

    def efctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "efsupervisor.cli.main", *arguments]
        return subprocess.run(command, env=this.environment, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    until(lambda: "RUNNING" in efctl("status").stdout, DEADLINE_S, "efctl finds supervisord.conf in the working folder")
    assert "RUNNING" in efctl("-c", str(this.conf), "status").stdout
    assert efctl("conf", "check", str(this.conf)).stdout == f"{this.conf}: fine, with 1 task and 0 flows\n"
    translated = efctl("conf", "import", str(this.conf)).stdout
    assert f"#   {this.conf}:5: supervisord.autorestrat: is no option of supervisord" in translated
    (tmp_path / "efsupervisor.yaml").write_text(translated)
    (tmp_path / "efsupervisor.yaml").chmod(0o600)
    assert efctl("conf", "check", "efsupervisor.yaml").returncode == 0
    assert this.end() == 0


def test_a_changed_file_is_taken_over_and_touches_only_what_changed(tmp_path: Path, run: list[Run]) -> None:
    text = "[supervisord]\nnodaemon=true\nlogfile=/dev/null\n[program:a]\ncommand=sleep 1000\n[program:b]\ncommand=sleep 1000\n"
    this = Run(tmp_path, text)
    run.append(this)
    this.await_text("success: a entered RUNNING")
    said = this.await_text("success: b entered RUNNING")
    this.conf.write_text(text.replace("[program:b]\ncommand=sleep 1000", "[program:b]\ncommand=sleep 2000") + "[program:c]\ncommand=sleep 1000\n")
    assert this.efctl("reread").stdout == "~ task b: command (restarts)\n+ task c (starts)\n"
    assert this.efctl("update", "--yes").returncode == 0
    this.await_text("success: c entered RUNNING")
    until(lambda: this.output.count(b"spawned: 'b'") == 2, DEADLINE_S, "the changed program is started anew")
    assert this.output.count(b"spawned: 'a'") == said.count(b"spawned: 'a'") == 1
    assert this.end() == 0


LISTENING = """
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
identifier=hall

[unix_http_server]
file=%(here)s/s.sock
username=u
password=p

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://%(here)s/s.sock
username=u
password=p

[program:frail]
command=sh -c "exit 2"
autostart=false
startsecs=0
autorestart=false

[eventlistener:ears]
command={listener} %(here)s/heard
process_name=%(program_name)s_%(process_num)d
numprocs=2
events=PROCESS_STATE_EXITED
"""


@pytest.mark.alone
def test_a_pool_of_listeners_hears_and_supervisorctl_reads_the_same_file(tmp_path: Path, run: list[Run]) -> None:
    pytest.importorskip("supervisor")
    listener = " ".join([sys.executable, "-S", "-E", "-s", str(ROOT / "tests" / "support" / "programs" / "listener.py")])
    this = Run(tmp_path, LISTENING.replace("{listener}", listener))
    run.append(this)
    this.await_text("success: ears_1 entered RUNNING state")

    def ctl(*words: str) -> str:
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", str(this.conf), *words]
        done = subprocess.run(command, env=this.environment, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        return done.stdout + done.stderr

    until(lambda: "ears:ears_0" in ctl("status"), DEADLINE_S, "supervisorctl sees the pool")
    assert ctl("start", "frail") in ("frail: started\n", "frail: ERROR (abnormal termination)\n")
    heard = tmp_path / "heard"
    until(lambda: heard.exists() and "eventname:PROCESS_STATE_EXITED" in heard.read_text(), DEADLINE_S, "the end of the program is heard")
    begun = time.monotonic()
    assert "server:hall " in heard.read_text() and "processname:frail groupname:frail" in heard.read_text()
    assert this.end() == 0
    assert time.monotonic() - begun < 8, "a listener gets the stop signal, though it is not the group's"

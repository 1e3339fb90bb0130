"""What a person does first: `make`, and the example of `make run` in the foreground, ended with Ctrl-C."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.supervisor import PATH, ROOT
from tests.support.wait import until

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def make(*arguments: str) -> str:
    """What make says."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    done = subprocess.run(["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def test_make_alone_lists_every_target() -> None:
    said = make()
    assert said == make("help")
    targets = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert targets is not None
    assert re.findall(r"^  make ([a-z-]+) +\S", said, re.MULTILINE) == targets[1].split()


def test_make_run_starts_the_example_in_the_foreground() -> None:
    assert re.search(r"efsupervisord -n -c etc/efsupervisor.yaml --follow alerts$", make("-n", "run"), re.MULTILINE)


def everybody_below(folder: Path) -> list[processes.Process]:
    """Processes that work in a folder or were started with a file of it."""
    found = []
    for process in processes.everybody():
        try:
            place = os.readlink(f"/proc/{process.pid}/cwd")
        except OSError:
            continue
        words = processes.command(process.pid)
        if place.startswith(str(folder)) or any(str(folder) in word for word in words):
            found.append(process)
    return found


def test_the_example_shows_results_says_what_to_type_next_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "etc", tmp_path / "etc")
    for path in [tmp_path / "etc", *(tmp_path / "etc").rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o022)
    command = [sys.executable, "-m", "efsupervisor.core.main", "-n", "-c", str(tmp_path / "etc" / "efsupervisor.yaml"), "--follow", "alerts"]
    environment = {"PATH": PATH, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=tmp_path, start_new_session=True) as daemon:
        try:
            said = b""
            assert daemon.stdout is not None
            reader = daemon.stdout.fileno()
            os.set_blocking(reader, False)
            watch = select.poll()
            watch.register(reader, select.POLLIN)

            def shown() -> bool:
                nonlocal said
                while watch.poll(0) and (data := os.read(reader, 65536)):
                    said += data
                return len(re.findall(rb"cpu .* load +[\d.]+", said)) >= 2

            until(shown, 20, lambda: said.decode())
            assert b"efctl" in said, said.decode()
            os.killpg(daemon.pid, signal.SIGINT)
            until(lambda: shown() and daemon.poll() is not None, 20, lambda: said.decode())
            assert daemon.returncode == 0, said.decode()
            until(lambda: not everybody_below(tmp_path), 5, lambda: str(everybody_below(tmp_path)))
        finally:
            daemon.kill()
            while left := everybody_below(tmp_path):
                for process in left:
                    processes.send(process.pid, signal.SIGKILL)

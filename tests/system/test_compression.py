"""Closed segments are compressed beside programs that write and read; whoever is killed meanwhile, every line arrives once and the log is whole."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.states import State
from tests.support.supervisor import Supervisor
from tests.support.wait import until

LINES = 60_000
WRITES = 'i=0; while [ $i -lt 60 ]; do seq $((i*1000)) $((i*1000+999)) | sed "s/$/ some text of a line/"; i=$((i+1)); sleep 0.03; done; sleep 100000'


@pytest.fixture
def tasks(tmp_path: Path) -> dict[str, Any]:
    return {
        "talks": {
            "command": ["sh", "-c", WRITES],
            "startsecs": 0,
            "stdout_logfile": str(tmp_path / "talks.log"),
            "output": {"segment_bytes": "64KiB", "compress": "gzip"},
        },
        "counts": {"command": "cat", "startsecs": 0, "autostart": False, "input": {"protocol": "stream"}},
    }


def test_lines_reach_a_late_consumer_from_compressed_segments_though_the_worker_is_killed(tmp_path: Path, tasks: dict[str, Any]) -> None:
    flow = {"lines": {"from": "talks", "to": "counts", "start": "begin", "max_lag": "1GiB"}}
    with Supervisor(tmp_path, tasks, flow) as made:
        folder = made.journal("talks")
        for _ in range(3):
            until(lambda: list(folder.glob("*.log.gz*")), 30, made.story)
            made.kill_worker("talks")
            time.sleep(0.3)
        until(lambda: len(list(folder.glob("*.log"))) == 1 and len(list(folder.glob("*.log.gz"))) > 15, 60, made.story)
        expected = b"".join(b"%d some text of a line\n" % number for number in range(LINES))
        until(lambda: made.output("talks") == expected, 30, made.story)
        made.act("counts")
        until(lambda: made.output("counts") == expected, 60, made.story)
        found = json.loads(made.efctl("log", "talks", "--grep", "^(7|31|59999) ", "--json").stdout)
        assert [row["text"].split()[0] for row in found] == ["7", "31", "59999"]
        until(lambda: (tmp_path / "talks.log.1.gz").exists(), 15, made.story)
        assert expected.find(gzip.decompress((tmp_path / "talks.log.1.gz").read_bytes())) > 0
        assert not list(folder.glob("*.tmp"))
        made.trm("talks")
        assert made.row("talks").state is State.STOPPED

"""`python -m benchmarks`: run the measurements, show one table."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import (
    capture,
    crashloop,
    events,
    fanout,
    figures,
    idle,
    latency,
    listing,
    machine,
    memory,
    restart,
    starting,
    state,
    stopping,
    stream,
    web,
    xmlrpc,
)
from benchmarks.bench import Bench, Measure
from benchmarks.peers import PEERS, available
from benchmarks.processes import become_subreaper, nothing_left

MEASUREMENTS: dict[str, Measure] = {
    "restart": restart.measure,
    "start": starting.measure,
    "stop": stopping.measure,
    "listing": listing.measure,
    "memory": memory.measure,
    "idle": idle.measure,
    "crashloop": crashloop.measure,
    "latency": latency.measure,
    "capture": capture.measure,
    "stream": stream.measure,
    "events": events.measure,
    "fanout": fanout.measure,
    "web": web.measure,
    "xmlrpc": xmlrpc.measure,
    "state": state.measure,
}


def main() -> int:
    """0: everything that was asked for was measured; 1: something could not be, the table says what."""
    asked = _arguments()
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    become_subreaper()
    folder = Path(tempfile.mkdtemp(prefix="efsupervisor-bench-", dir=asked.folder))
    try:
        with nothing_left():
            return _run(asked, folder)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(asked: argparse.Namespace, folder: Path) -> int:
    peers, refused = available(list(PEERS) if asked.peers else asked.peer)
    bench = Bench(folder, quick=asked.quick, peers=peers)
    bench.skipped |= refused
    if not asked.peers and not asked.peer:
        bench.skipped["other supervisors"] = "not asked for (--peers, or --peer NAME)"
    about = f"{machine.described(folder)}; programs in {bench.tool.language}"
    found: list[figures.Figure] = []
    failed = False
    for name, measure in MEASUREMENTS.items():
        if asked.only and name not in asked.only:
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            found += measure(bench)
        except (OSError, RuntimeError) as error:
            failed = True
            bench.skipped[name] = " ".join([str(error), *getattr(error, "__notes__", [])])
    if asked.json:
        print(figures.as_json(about, found, bench.skipped))
    elif asked.rst:
        print(figures.as_rst(about, found, bench.skipped, time.strftime("%Y-%m-%d")))
    else:
        print(f"{about}\n\n{figures.table(found)}")
        for what, why in bench.skipped.items():
            print(f"not measured: {what}: {why}")
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join(MEASUREMENTS)
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, metavar="NAME", help=f"only this one, may be repeated: {names}")
    parser.add_argument("--quick", action="store_true", help="less of everything: a first look in about a minute")
    parser.add_argument(
        "--peers", action="store_true", help="measure other supervisors too; those of the package index are installed into the user's cache folder"
    )
    known = ", ".join(PEERS)
    parser.add_argument("--peer", action="append", default=[], choices=PEERS, metavar="NAME", help=f"this one alone, may be repeated: {known}")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--rst", action="store_true", help="print the table as reStructuredText, as docs/benchmarks.rst has it")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made; the journals' file system is part of some figures")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())

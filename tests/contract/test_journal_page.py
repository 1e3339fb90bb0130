"""docs/journal.rst: what it shows is run as it stands."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from efsupervisor import journal
from efsupervisor.journal import Writer, packed
from efsupervisor.journal.folder import Folder
from efsupervisor.system import REAL

PAGE = (Path(__file__).parents[2] / "docs" / "journal.rst").read_text(encoding="utf-8")


def example(name: str) -> str:
    """The block of code below a mark."""
    after = PAGE.split(f".. example: {name}\n\n::\n\n")[1].splitlines(keepends=True)
    return textwrap.dedent("".join(itertools.takewhile(lambda line: not line.strip() or line.startswith("    "), after)))


def test_the_library_s_example_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(example("library"))
    root = str(Path(journal.__file__).parents[2])
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "orders" / f"{0:020d}.log").read_bytes() == b"order 1\norder 2\norder 3\n"


@pytest.mark.skipif(not Path("/usr/bin/perl").exists(), reason="no perl here")
def test_another_language_reads_all_segments_compressed_or_not(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=100)
    for number in range(50):
        writer.append(b"line %d\n" % number)
    with Folder(REAL, str(tmp_path / "j")) as opened:
        for base in packed.unpacked(opened)[:2]:
            packed.pack(opened, base)
    writer.close()
    (tmp_path / "read.pl").write_text(example("perl"))
    done = subprocess.run(["/usr/bin/perl", str(tmp_path / "read.pl"), str(tmp_path / "j")], capture_output=True, check=True)
    assert done.stdout == b"".join(b"line %d\n" % number for number in range(50))


def test_the_page_names_what_the_library_exports_and_the_library_stands_alone() -> None:
    assert [name for name in journal.__all__ if f"``{name}``" not in PAGE] == []
    program = "import sys; import efsupervisor.journal; print(*sorted(name for name in sys.modules if name.startswith('efsupervisor.')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    strangers = {name.split(".")[1] for name in loaded} - {"journal", "errors", "states", "system"}
    assert strangers == set()

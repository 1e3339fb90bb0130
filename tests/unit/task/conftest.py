"""Where the FIFOs of these tests are: a folder whose file system keeps a FIFO's time as the register needs it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.system import REAL
from efsupervisor.task.delivery import fifo_keeps_register


@pytest.fixture
def register_folder(tmp_path: Path) -> Iterator[Path]:
    """tmp_path where it serves, else a folder on a tmpfs, else a skip."""
    if fifo_keeps_register(str(tmp_path), REAL):
        yield tmp_path
        return
    place = Path(tempfile.mkdtemp(dir="/dev/shm")) if Path("/dev/shm").is_dir() else None
    if place is None or not fifo_keeps_register(str(place), REAL):
        pytest.skip("no file system here keeps the time of a FIFO")
    try:
        yield place
    finally:
        shutil.rmtree(place)

"""A folder for a fake Core, with a path longer than a socket address; and a look at what a test left open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A `var` folder whose path is longer than a socket address holds."""
    deep = tmp_path / ("d" * 90) / "var"
    deep.mkdir(parents=True)
    return deep


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    """No descriptor is open after a test that was not open before."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    left = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in set(os.listdir("/proc/self/fd")) - before if os.path.lexists(f"/proc/self/fd/{fd}")}
    assert not left

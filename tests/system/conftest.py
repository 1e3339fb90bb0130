"""What the system tests share: root's mounts, and the reasons for a skip."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Mount = Callable[..., Path]


@pytest.fixture
def as_root() -> None:
    """Skip unless the tests run as root, who alone may mount and change users."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount file systems and start programs as another user")


@pytest.fixture
def mount(as_root: None, tmp_path: Path) -> Iterator[Mount]:
    """Mounts a file system on a new folder below tmp_path; unmounted at the end."""
    mounted: list[Path] = []

    def do(kind: str, name: str, options: str) -> Path:
        target = tmp_path / name
        target.mkdir(parents=True)
        done = subprocess.run(["mount", "-t", kind, "-o", options, kind, str(target)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this machine does not let root mount {kind}: {done.stderr.strip()}")
        mounted.append(target)
        return target

    yield do
    for target in reversed(mounted):
        subprocess.run(["umount", "-l", str(target)], check=True)

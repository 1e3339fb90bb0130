"""A folder for a fake Core, with a path short or long."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A `var` folder whose path is longer than a socket address holds."""
    deep = tmp_path / ("d" * 90) / "var"
    deep.mkdir(parents=True)
    return deep

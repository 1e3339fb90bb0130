"""docs/wishes.rst has a row for each wish, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "wishes.rst").read_text(encoding="utf-8")
ROW = re.compile(r"^   \* - (\d+)\n     - (.+)\n     - (.+)\n     - (.+)$", re.MULTILINE)
TEST = re.compile(r"``(tests/[\w/]+\.py)::(test_\w+)``")
TABLES = [ROW.findall(part) for part in PAGE.split(".. list-table::")[1:]]


def test_every_wish_has_its_row() -> None:
    assert [[int(row[0]) for row in table] for table in TABLES] == [list(range(1, 40)), list(range(1, 26))]


def test_a_row_has_a_test_or_is_later_or_refused_and_only_one_of_these() -> None:
    proofs = [row[3] for table in TABLES for row in table]
    assert [proof for proof in proofs if not (TEST.fullmatch(proof) or re.fullmatch(r"(later|refused): (?!.*tests/).+", proof))] == []


def test_every_test_that_is_named_exists() -> None:
    named = TEST.findall(PAGE)
    assert named and [f"{path}::{name}" for path, name in named if not _is_there(path, name)] == []


def _is_there(path: str, name: str) -> bool:
    file = ROOT / path
    return file.exists() and re.search(rf"^\s*(async )?def {name}\(", file.read_text(encoding="utf-8"), re.MULTILINE) is not None

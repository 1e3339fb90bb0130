"""docs/faults.rst has a row for each fault and each promise, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.rst").read_text(encoding="utf-8")
FAULT = re.compile(r"^   \* - ([AB]\d+)\n     - (.+)\n     - (.+)\n     - (.+)$", re.MULTILINE)
PROMISE = re.compile(r"^   \* - (P\d+)\n     - (.+)\n     - (.+)$", re.MULTILINE)
TEST = re.compile(r"``(tests/[\w/]+\.py)::(test_\w+)``")
TESTS = re.compile(rf"{TEST.pattern}(, {TEST.pattern})*")


def test_every_fault_and_every_promise_has_its_row() -> None:
    assert [row[0] for row in FAULT.findall(PAGE)] == [f"A{number}" for number in range(1, 21)] + [f"B{number}" for number in range(1, 22)]
    assert [row[0] for row in PROMISE.findall(PAGE)] == [f"P{number}" for number in range(1, 11)]


def test_a_row_names_tests_or_says_what_becomes_of_it() -> None:
    proofs = [row[-1] for row in (*FAULT.findall(PAGE), *PROMISE.findall(PAGE))]
    assert [proof for proof in proofs if not (TESTS.fullmatch(proof) or re.fullmatch(r"(later|measured): (?!.*tests/).+", proof))] == []


def test_every_test_that_is_named_exists() -> None:
    named = TEST.findall(PAGE)
    assert named
    assert [f"{path}::{name}" for path, name in named if not _is_there(path, name)] == []


def _is_there(path: str, name: str) -> bool:
    file = ROOT / path
    return file.exists() and re.search(rf"^\s*(async )?def {name}\(", file.read_text(encoding="utf-8"), re.MULTILINE) is not None

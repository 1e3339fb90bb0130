"""docs/supervisord.rst has a row for each option that supervisord has, and names tests that exist."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from docs import supervisord_page
from docs.supervisord_page import DIFFERENCES, SAME_AS, with_options
from efsupervisor.conf.ini.options import PROGRAM, SECTIONS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "supervisord.rst"


def test_the_page_is_as_the_code_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_options(text) == text, "run python -m docs.generate"


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"tests/[\w/]+\.py", PAGE.read_text(encoding="utf-8")))
    assert named and [each for each in named if not (ROOT / each).exists()] == []


def test_every_difference_is_about_an_option() -> None:
    known = {option for options in SECTIONS.values() for option in options}
    assert {*DIFFERENCES, *SAME_AS, *SAME_AS.values()} <= known


def test_every_option_that_supervisord_reads_is_known() -> None:
    options = pytest.importorskip("supervisor.options")
    source = inspect.getsource(options.ServerOptions)
    read = set(re.findall(r"get\(\s*section,\s*'(\w+)'", source)) | set(re.findall(r"[ (]get\('(\w+)'", source))
    known = {option for options_ in SECTIONS.values() for option in options_}
    assert read - known == set() and len(read & set(PROGRAM)) > 15
    assert supervisord_page.row("nothing_of_the_kind") == ("the same", supervisord_page.DIFFERENTIAL)

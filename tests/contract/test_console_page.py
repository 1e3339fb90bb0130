"""docs/console.rst tells the language as it is."""

from __future__ import annotations

import re
import textwrap

from efsupervisor.interface.console import parse
from tests.contract.console_page import PAGE, with_table


def test_the_table_of_phrases_is_that_of_the_declarations() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "stale: run `python -m tests.contract.console_page`"


def test_the_examples_are_understood() -> None:
    block = PAGE.read_text(encoding="utf-8").partition(".. code-block:: text\n")[2].partition("\nAnswers\n")[0]
    lines = [re.split(r" {4,}", line)[0] for line in textwrap.dedent(block).splitlines() if line.strip()]
    assert len(lines) == 9
    for line in lines:
        parse(line)

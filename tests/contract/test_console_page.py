"""docs/console.rst tells the language as it is."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from efsupervisor.interface import VERBS
from efsupervisor.interface.console import parse, usage
from efsupervisor.interface.verb import Verb

PAGE = (Path(__file__).parents[2] / "docs" / "console.rst").read_text(encoding="utf-8")
SAID = [verb for verb in VERBS.values() if verb.console]


@pytest.mark.parametrize("verb", SAID, ids=[verb.console for verb in SAID])
def test_each_phrase_stands_there_as_it_is_declared(verb: type[Verb]) -> None:
    assert f"``{usage(verb).removeprefix('say: ')}``" in PAGE, "run the declaration's usage into docs/console.rst"


def test_no_phrase_stands_there_that_is_none() -> None:
    table = PAGE.partition("What can be said\n")[2].partition("\nTyped calls\n")[0]
    phrases = re.findall(r"^``([a-z]+(?: [a-z]+)?)[^`]*``$", table, re.MULTILINE)
    assert sorted(phrases) == sorted(verb.console for verb in SAID)


def test_the_examples_are_understood() -> None:
    block = PAGE.partition(".. code-block:: text\n")[2].partition("\nAnswers\n")[0]
    lines = [re.split(r" {4,}", line)[0] for line in textwrap.dedent(block).splitlines() if line.strip()]
    assert len(lines) == 9
    for line in lines:
        parse(line)

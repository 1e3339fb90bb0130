"""Manual pages: text comes through as it is, and no text becomes a command of troff."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.help import roff


def test_what_troff_would_obey_is_shown() -> None:
    assert roff.escaped(".br\n'x\n\\fB a-b") == "\\&.br\n\\&'x\n\\efB a\\-b"


def test_a_page_is_made_of_sections_paragraphs_and_terms() -> None:
    text = roff.page("efctl", 1, "control", "efsupervisor 1") + roff.section("Options", roff.terms([("--json", "one ``JSON``\ndocument")]))
    assert text.splitlines()[1:] == [
        '.TH "EFCTL" 1 "" "efsupervisor 1"',
        ".SH NAME",
        "efctl \\- control",
        '.SH "OPTIONS"',
        ".TP",
        "\\fB\\-\\-json\\fR",
        "one JSON document",
    ]
    assert roff.paragraphs("one\ntwo\n\n\nthree\n") == ".PP\none two\n.PP\nthree\n"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
@settings(max_examples=25, deadline=None)
@given(st.text(st.sampled_from("ab.'\\-`^~\" \n"), max_size=60))
def test_any_literal_text_comes_through_troff(text: str) -> None:
    page = roff.page("x", 1, "y", "z") + roff.section("S", roff.literal("BEGIN\n" + text + "\nEND"))
    done = subprocess.run(["groff", "-man", "-Tascii", "-P-c", "-P-b", "-P-u"], input=page, capture_output=True, text=True, check=True)
    shown = done.stdout[done.stdout.index("BEGIN") : done.stdout.index("END")]
    assert "".join(shown.removeprefix("BEGIN").split()) == "".join(text.split())
    assert done.stderr == ""

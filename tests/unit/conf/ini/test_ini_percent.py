"""`%(name)s` in values."""

from __future__ import annotations

import pytest

from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.ini.percent import expanded

KNOWN = {"here": "/etc", "process_num": 3, "ENV_HOME": "/root"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("%(here)s/x", "/etc/x"),
        ("%(process_num)02d-%(process_num)d", "03-3"),
        ("100%%", "100%"),
        ("%%(here)s", "%(here)s"),
        ("%(ENV_HOME)s", "/root"),
    ],
)
def test_names_are_replaced(text: str, result: str) -> None:
    assert expanded(text, KNOWN) == result


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%(her)s", "did you mean here?"),
        ("%(ENV_NOTHING)s", "not known here"),
        ("date +%Y", 'has "%Y"'),
        ("100%", 'has "%"'),
        ("%s", 'has "%s"'),
        ("%(here)d", "badly formatted"),
        ("%(process_num)0999999999d", "which nobody needs"),
        ("%(process_num)*d", "which nobody needs"),
        ("%(here", "names nothing"),
    ],
)
def test_what_cannot_be_replaced_is_said(text: str, said: str) -> None:
    with pytest.raises(Unfit) as caught:
        expanded(text, KNOWN)
    assert said in str(caught.value)

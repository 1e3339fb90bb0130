"""`%(name)s` in values of a supervisord.conf: Python's own formatting, with the names that are known at that place.

A literal percent sign is `%%`.  Two things are refused that Python lets pass: `%s` without a name (it would put every variable into the value), and
widths of hundreds of digits.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.names import nearest, shown

_FORMAT = re.compile(r"%(?:%|\((?P<name>[^)]*)\)(?P<form>[^a-zA-Z%]*[a-zA-Z]?)|(?P<bare>.?))", re.DOTALL)
_WIDE = re.compile(r"[0-9]{4}|\*")


def expanded(text: str, known: Mapping[str, object]) -> str:
    """The text with every name replaced.  Unfit for a name that is not known and for what is no format."""
    if "%" not in text:
        return text
    for match in _FORMAT.finditer(text):
        if match["bare"] is not None:
            raise Unfit(f'has "%{shown(match["bare"], 10)}", which names nothing; a percent sign itself is written %%')
        if _WIDE.search(match["form"] or ""):
            raise Unfit(f'has the width "{shown(match["form"], 20)}", which nobody needs')
    try:
        return text % known
    except KeyError as error:
        name = str(error.args[0])
        near = nearest(name, known)
        hint = f"; did you mean {near}?" if near else "; a variable of the environment is written %(ENV_NAME)s"
        raise Unfit(f"names %({shown(name)})s, which is not known here{hint}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise Unfit(f'"{shown(text, 60)}" is badly formatted: {error}') from error

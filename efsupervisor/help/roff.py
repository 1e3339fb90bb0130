"""Manual pages in the man(7) macros: plain text in, roff out.  Pure.

Text is escaped so that troff shows it as it is: a backslash, a dot or an apostrophe that begins a line, and a hyphen that somebody may copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def escaped(text: str) -> str:
    """Text as troff shows it; groff_char(7)."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti").replace('"', "\\(dq")
    return re.sub(r"^(?=[.'])", r"\\&", safe, flags=re.MULTILINE)


def page(name: str, section: int, title: str, source: str) -> str:
    """The head of a page: its name, section and one-line title; source: the program with its version."""
    head = f'.\\" Made by docs/generate.py; do not edit.\n.TH "{name.upper()}" {section} "" "{source}"\n'
    return f"{head}.SH NAME\n{escaped(name)} \\- {escaped(title)}\n"


def section(heading: str, *parts: str) -> str:
    """A section of parts that are roff already; its heading in capitals, as man(7) has it."""
    return f'.SH "{escaped(heading.upper())}"\n' + "".join(parts)


def subsection(heading: str, *parts: str) -> str:
    """A section within a section."""
    return f'.SS "{escaped(heading)}"\n' + "".join(parts)


def paragraphs(text: str) -> str:
    """Running text; empty lines part it."""
    return "".join(f".PP\n{escaped(marked(part))}\n" for part in re.split(r"\n\s*\n", text.strip()) if part.strip())


def marked(text: str) -> str:
    """Running text on one line, without the marks of literals and with one blank after a sentence."""
    return " ".join(text.replace("``", "").split())


def literal(text: str) -> str:
    """Text whose lines stay as they are."""
    return f".PP\n.nf\n{escaped(text.rstrip())}\n.fi\n"


def terms(rows: Iterable[tuple[str, str]]) -> str:
    """Terms, each with its explanation."""
    return "".join(f".TP\n\\fB{escaped(term)}\\fR\n{escaped(marked(text))}\n" for term, text in rows)

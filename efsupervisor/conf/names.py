"""What a task or a flow may be called, and which known word somebody probably meant.

A name is letters and digits of any script, with `.`, `_`, `-` inside, 64 characters at most.  It is kept in NFC and compared after NFKC and case
folding (`efsupervisor.system.folded`), so that two names a person cannot tell apart on a screen that differs only in width or case are one name.
Marks belong to letters (Devanagari vowels are marks); what a screen does not show at all does not, or two names would look the same and not be.

A name never reaches a path (`short_id` does), so these rules serve people and the console grammar, in which `,` separates names and `all` stands
for every task.  Pure; reads nothing.
"""

from __future__ import annotations

import difflib
import itertools
import unicodedata
from collections.abc import Iterable

from efsupervisor.system import folded

MAX_NAME = 64
EVERYTHING = "all"
RESERVED = {EVERYTHING: "stands for every task", "daemon": "is the supervisor itself where a log is asked for"}
"""Words that commands take where they take a name (DESIGN section 5), and what they mean there."""

_INSIDE = frozenset("._-")
_UNSEEN = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)],
)
"""Letters and marks that are Default_Ignorable_Code_Point: a screen shows nothing for them.  Source: Unicode, DerivedCoreProperties.txt."""

_COMPARED = 500
"""Known words that are looked at for a suggestion; comparing is quadratic in a word's length and there may be 25,000 names."""
_COMPARED_LENGTH = 100


def kept(name: str) -> str:
    """The form in which a name is kept and shown: NFC."""
    return unicodedata.normalize("NFC", name)


def fault(name: str) -> str:
    """Why this cannot be a name, as the end of a sentence that begins with where it stands; empty when it can."""
    if not name:
        return "a name may not be empty"
    if len(name) > MAX_NAME:
        return f"a name has at most {MAX_NAME} characters, this one has {len(name):,}"
    for character in name:
        if not (_is_word(character) or character in _INSIDE):
            return f"a name may not contain {described(character)}; letters and digits of any script are fine, and . _ - inside"
    if not _begins(name[0]) or name[-1] in _INSIDE:
        return "a name begins and ends with a letter or a digit"
    meaning = RESERVED.get(folded(name), "")
    return f'"{name}" {meaning} and cannot be a name' if meaning else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` is probably a slip of; empty when none is near.  Bounded work, whatever the lengths and numbers."""
    if len(word) > _COMPARED_LENGTH:
        return ""
    similar = (each for each in known if abs(len(each) - len(word)) <= 2 + len(word) // 4)
    by_fold = {folded(each): each for each in itertools.islice(similar, _COMPARED)}
    found = difflib.get_close_matches(folded(word), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else ""


def described(character: str) -> str:
    """One character so that a person sees it, whatever it does to a screen."""
    number = f"U+{ord(character):04X}"
    if character == " ":
        return "a space"
    return f'"{character}"' if character.isprintable() else f"{number} ({unicodedata.name(character, 'a control character').lower()})"


def shown(text: str, limit: int = MAX_NAME) -> str:
    """Text of others inside a message of ours: cut at `limit`, without line breaks, controls or invisible characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut)


def _begins(character: str) -> bool:
    return _is_word(character) and not unicodedata.category(character).startswith("M")


def _is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] in "LM" or category == "Nd") and category != "Me" and ord(character) not in _UNSEEN

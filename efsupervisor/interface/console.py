"""The EventFlow console language: one line in, the same typed verb out that a JSON call would give.

    line      = phrase word*                     phrase: the `console` words of a verb, in any case
    word      = key "=" text | text              key: a field, one of its aliases, or a key of `settings`
    text      = bare characters, 'quoted' or "quoted" parts, \\x for x
    list      = text ("," text)*                 for every field that is a list; `--`: all that follows goes by position

    shw task import,export      act all      set task web command="python3 web.py" stopwaitsecs=3s      set flow f from=a,b to=c mode=share

Words without a key go to the verb's positional fields in order.  The last of them takes all that are left: as members when it is a list, joined by
blanks when it is a text that follows another field (`set stdin import some event`).  Booleans and durations are as in the configuration file.

Parsing takes time linear in the line, which has at most MAX_LINE characters.  A line that is wrong is an EfError USAGE that says how it is written
right.  Nothing here asks or does anything; efsupervisor.interface.words makes the lines that answer.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec

from efsupervisor.errors import Code, EfError
from efsupervisor.interface import VERBS
from efsupervisor.interface.calls import readable, shown, suggestion
from efsupervisor.interface.verb import Verb

MAX_LINE = 100_000
MAX_WORDS = 10_000

_BLANKS = re.compile(r"\s*")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]{0,127})=")
_PIECE = re.compile(
    r"""(?P<bare>[^\s'"\\]+)|'(?P<single>[^']*+)'|"(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)"|\\(?P<escaped>.)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

PHRASES: dict[tuple[str, ...], type[Verb]] = {tuple(verb.console.split()): verb for verb in VERBS.values() if verb.console}
"""The words that mean a verb -> the verb."""
FIRST = tuple(dict.fromkeys(phrase[0] for phrase in PHRASES))
"""What a line may begin with."""


class Word(NamedTuple):
    """One word of a line.  key: what stands before an unquoted `=`, empty for none."""

    text: str
    key: str = ""


def parse(line: str) -> Verb:
    """The verb that a line means.  EfError USAGE or TOO_LARGE."""
    if len(line) > MAX_LINE:
        raise EfError(f"a line has at most {MAX_LINE:,} characters, this one has {len(line):,}", Code.TOO_LARGE)
    words = list(split(line))
    verb, rest = _phrase(words)
    try:
        return msgspec.convert(_fields(verb, rest), verb, strict=False)
    except msgspec.ValidationError as error:
        raise EfError(f"{_readable(verb, error)}; {usage(verb)}", Code.USAGE) from error


def usage(verb: type[Verb]) -> str:
    """How a verb is said: `say: act NAMES... [wait=...]`."""
    named = [field for field in verb.__struct_fields__ if field not in verb.positional]
    required = _required(verb)
    others = {field: word for word, field in verb.aliases.items()}
    placed = [field.upper() + ("..." if _is_list(verb, field) else "") for field in verb.positional]
    words = [word if field in required else f"[{word}]" for field, word in zip(verb.positional, placed, strict=True)]
    words += ["[key=value...]" if field == "settings" else f"[{others.get(field, field)}=...]" for field in named]
    return "say: " + " ".join([verb.console or verb.name, *words])


# Words ---------------------------------------------------------------------------------------------------------------------------------------------


def split(line: str) -> Iterator[Word]:
    """The words of a line.  EfError for a quote that is not closed and for too many."""
    at, count, by_position = _after_blanks(line, 0), 0, False
    while at < len(line):
        key = None if by_position else _KEY.match(line, at)
        text, end = _word(line, key.end() if key else at)
        if text == "--" and not key and not by_position:
            by_position = True
        else:
            count += 1
            yield Word(text, key[1] if key else "")
        if count > MAX_WORDS:
            raise EfError(f"a line has at most {MAX_WORDS:,} words", Code.TOO_LARGE)
        at = _after_blanks(line, end)


def _after_blanks(line: str, at: int) -> int:
    match = _BLANKS.match(line, at)
    return match.end() if match else at


def _word(line: str, at: int) -> tuple[str, int]:
    pieces: list[str] = []
    while at < len(line) and not line[at].isspace():
        match = _PIECE.match(line, at)
        if match is None:
            what = "ends with a backslash" if line[at] == "\\" else f"has a quote ({line[at]}) that is never closed"
            raise EfError(f"the line {what}", Code.USAGE)
        piece = match[match.lastgroup or 0]
        pieces.append(_ESCAPED.sub(r"\1", piece) if match.lastgroup == "double" else piece)
        at = match.end()
    return "".join(pieces), at


def _phrase(words: list[Word]) -> tuple[type[Verb], list[Word]]:
    """The verb that the first words mean, and the others."""
    if not words:
        raise EfError(f"an empty line says nothing; it begins with one of {', '.join(FIRST)}", Code.USAGE)
    said = [word.text.lower() if not word.key else "" for word in words[:2]]
    for length in (2, 1):
        verb = PHRASES.get(tuple(said[:length]))
        if verb is not None:
            return verb, words[length:]
    nouns = [phrase[1] for phrase in PHRASES if len(phrase) == 2 and phrase[0] == said[0]]
    if not nouns:
        raise EfError(f"{shown(words[0].text)} is no command{suggestion(said[0], FIRST)}; a line begins with one of {', '.join(FIRST)}", Code.USAGE)
    if len(words) == 1:
        raise EfError(f"say what to {said[0]}: {said[0]} {'|'.join(nouns)}", Code.USAGE)
    noun = shown(words[1].text or words[1].key)
    raise EfError(f"{noun} is nothing to {said[0]}{suggestion(said[1], nouns)}; known are {', '.join(nouns)}", Code.USAGE)


# Fields --------------------------------------------------------------------------------------------------------------------------------------------


def _fields(verb: type[Verb], words: list[Word]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    placed: list[str] = []
    for word in words:
        if word.key:
            _take_named(verb, word, fields, placed)
        else:
            placed.append(word.text)
    _take_placed(verb, placed, fields)
    return fields


def _take_named(verb: type[Verb], word: Word, fields: dict[str, Any], placed: list[str]) -> None:
    """One `key=value`."""
    field = verb.aliases.get(word.key, word.key)
    if field in verb.__struct_fields__ and field != "settings":
        if field in fields:
            raise EfError(f"{word.key} is said twice", Code.USAGE)
        fields[field] = _value(verb, field, word.text)
    elif "settings" in verb.__struct_fields__:
        settings = fields.setdefault("settings", {})
        if word.key in settings:
            raise EfError(f"{word.key} is said twice", Code.USAGE)
        settings[word.key] = word.text
    elif verb.positional == ("key", "value") and not placed:
        placed += [word.key, word.text]  # set conf web.port=8080
    else:
        known = [*verb.__struct_fields__, *verb.aliases]
        raise EfError(f"{verb.console} knows no {shown(word.key)}{suggestion(word.key, known)}; {usage(verb)}", Code.USAGE)


def _take_placed(verb: type[Verb], placed: list[str], fields: dict[str, Any]) -> None:
    """The words that go by position, to the positional fields that were not named."""
    free = [field for field in verb.positional if field not in fields]
    for number, field in enumerate(free):
        last = number == len(free) - 1
        if not placed:
            return
        if not last or not _takes_rest(verb, field):
            fields[field] = _value(verb, field, placed.pop(0))
        elif field in verb.verbatim:
            fields[field], placed = placed, []
        elif _is_list(verb, field):
            fields[field], placed = [each for word in placed for each in members(word)], []
        else:
            fields[field], placed = _value(verb, field, " ".join(placed)), []
    if placed:
        raise EfError(f"{shown(placed[0])} is one word too many; {usage(verb)}", Code.USAGE)


def _takes_rest(verb: type[Verb], field: str) -> bool:
    return _is_list(verb, field) or (len(verb.positional) > 1 and _types(verb)[field] in (str, str | None))


def members(word: str) -> list[str]:
    """The members of a comma list; blanks around them and empty ones do not count."""
    return [each.strip() for each in word.split(",") if each.strip()]


def _value(verb: type[Verb], field: str, text: str) -> object:
    """A field's value as JSON would have it."""
    kind = _types(verb)[field]
    if field in verb.verbatim:
        return [text]
    if _is_list(verb, field):
        return members(text)
    if kind is bool or (kind is float and field.endswith("_s")):
        return _converted(field, text, kind)
    return text


def _converted(field: str, text: str, kind: type) -> object:
    from efsupervisor.conf import convert  # late on purpose: for who writes such a value

    try:
        return convert.boolean(text) if kind is bool else convert.duration(text)
    except convert.Unfit as reason:
        raise EfError(f"{field}: {reason}", Code.USAGE) from reason


@cache
def _types(verb: type[Verb]) -> dict[str, Any]:
    hints = typing.get_type_hints(verb)
    return {field: hints[field] for field in verb.__struct_fields__}


def _is_list(verb: type[Verb], field: str) -> bool:
    return typing.get_origin(_types(verb)[field]) is list


def _required(verb: type[Verb]) -> tuple[str, ...]:
    return tuple(each.name for each in msgspec.structs.fields(verb) if each.required)


def _readable(verb: type[Verb], error: Exception) -> str:
    missing = re.fullmatch(r"Object missing required field `(\w+)`", str(error))
    if not missing:
        return readable(error)
    others = {field: word for word, field in verb.aliases.items()}
    return f"{others.get(missing[1], missing[1])} is missing"

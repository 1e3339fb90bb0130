"""Commands of efctl made from the declarations of verbs (efsupervisor.interface): what may be typed is what the fields say.

    positional fields   words, in their order; a list takes the words that are left (one word when another field follows), each may be a comma list
    a dict              `key=value` words among those, before the words of a program; `from=a` for a field that has an alias in the configuration file
    a bool              --field / --no-field
    everything else     --field VALUE, a list as often as wanted; `_s` is not said: --timeout 10
    text with data      `-` stands for standard input, and bytes that are no UTF-8 are taken as they are

What the fields forbid is found by msgspec when the verb is made, here, before anybody is asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import click
import msgspec
from msgspec import inspect

from efsupervisor.cli.completing import Completer
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.calls import readable
from efsupervisor.interface.verb import Verb

_PAIR = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.ASCII | re.DOTALL)


class Slot(NamedTuple):
    """One field.  sort: `list`, `dict`, `bool`, `int`, `float`, `choice`, `bytes` or `text`."""

    field: str
    sort: str
    description: str
    required: bool
    default: Any
    choices: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None

    @property
    def option(self) -> str:
        """Its option without the dashes."""
        return self.field.removesuffix("_s").replace("_", "-")


def slots_of(verb: type[Verb]) -> dict[str, Slot]:
    """What may be said for a verb, by field."""
    info = inspect.type_info(verb)
    assert isinstance(info, inspect.StructType)
    return {field.name: _slot(field) for field in info.fields}


def _slot(field: inspect.Field) -> Slot:
    kind, description = _plain(field.type)
    default = field.default_factory() if callable(field.default_factory) else field.default
    least = getattr(kind, "ge", None)
    most = getattr(kind, "le", None)
    return Slot(field.name, _sort(kind), description, field.required, None if field.required else default, _choices(kind), least, most)


def _plain(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """A type without what is said about it and without `or nothing`; and what is said."""
    description = ""
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            description = description or (kind.extra_json_schema or {}).get("description", "")
            kind = kind.type
        else:
            kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    return kind, description


_SORTS: dict[type, str] = {
    inspect.ListType: "list",
    inspect.DictType: "dict",
    inspect.BoolType: "bool",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.LiteralType: "choice",
    inspect.EnumType: "choice",
    inspect.BytesType: "bytes",
    inspect.StrType: "text",
}


def _sort(kind: inspect.Type) -> str:
    return _SORTS[type(kind)]


def _choices(kind: inspect.Type) -> tuple[str, ...]:
    if isinstance(kind, inspect.LiteralType):
        return tuple(map(str, kind.values))
    return tuple(str(each.value) for each in kind.cls) if isinstance(kind, inspect.EnumType) else ()


# From words to fields -----------------------------------------------------------------------------------------------------------------------------


def placed(verb: type[Verb], words: Sequence[str], slots: Mapping[str, Slot]) -> dict[str, Any]:
    """The fields that words by position mean.  UsageError for a word too many; what is missing is found when the verb is made."""
    pairs = next((slot.field for slot in slots.values() if slot.sort == "dict"), "")
    order = list(verb.positional)
    fields: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        pair = _PAIR.fullmatch(word) if pairs else None
        if pair and not any(fields.get(field) for field in verb.verbatim):
            _set(fields, verb, pairs, pair[1], pair[2])
            continue
        while order and order[0] in fields and slots[order[0]].sort != "list":
            order.pop(0)
        if not order:
            raise click.UsageError(f"{word!r} is one word too many")
        slot = slots[order[0]]
        if slot.sort != "list":
            fields[order.pop(0)] = _number(word, slot) if slot.sort == "int" else word
        elif slot.field in verb.verbatim:
            fields[order.pop(0)] = _program(word, rest)
            rest = []
        else:
            fields.setdefault(slot.field, []).extend(names_in(word))
            if len(order) > 1:
                order.pop(0)
    return fields


def _program(word: str, rest: list[str]) -> list[str]:
    """The words of a program as they are.  An option here is meant for efctl, and would be run."""
    if word == "--":
        return list(rest)
    if word.startswith("-"):
        raise click.UsageError(f"{word!r} would be the program: options of efctl come before the name, and a program that begins with - after a --")
    return [word, *rest]


def _number(word: str, slot: Slot) -> int:
    if not word.isascii() or not word.isdecimal():
        raise click.UsageError(f"{word!r} is no number ({slot.description})")
    return int(word[:20])


def _set(fields: dict[str, Any], verb: type[Verb], pairs: str, key: str, value: str) -> None:
    field = verb.aliases.get(key, key)
    if field in verb.aliases.values():
        fields[field] = names_in(value)
    else:
        fields.setdefault(pairs, {})[key] = value


def names_in(word: str) -> list[str]:
    """The names of a word that may be a comma list."""
    return [name for name in (part.strip() for part in word.split(",")) if name]


def made(verb: type[Verb], fields: dict[str, Any], slots: Mapping[str, Slot], stdin: Callable[[], BinaryIO]) -> Verb:
    """The verb with these fields.  EfError USAGE names the field that is wrong."""
    if "text" in slots and "data" in slots and isinstance(fields.get("text"), str):
        fields = _as_bytes(fields, stdin)
    for slot in slots.values():
        if slot.required and not fields.get(slot.field):
            raise EfError(f"{_said(verb, slot)} is missing ({slot.description})", Code.USAGE)
    try:
        return msgspec.convert(fields, verb)
    except msgspec.ValidationError as error:
        raise EfError(readable(error), Code.USAGE) from error


def _as_bytes(fields: dict[str, Any], stdin: Callable[[], BinaryIO]) -> dict[str, Any]:
    text = fields["text"]
    data = stdin().read().removesuffix(b"\n") if text == "-" else os.fsencode(text)
    rest = {name: value for name, value in fields.items() if name != "text"}
    try:
        return rest | {"text": data.decode()}
    except UnicodeDecodeError:
        return rest | {"data": data}


def _said(verb: type[Verb], slot: Slot) -> str:
    return slot.option.upper() if slot.field in verb.positional else f"--{slot.option}"


# From fields to click -----------------------------------------------------------------------------------------------------------------------------


def parameters(verb: type[Verb], slots: Mapping[str, Slot], complete: Completer) -> list[click.Parameter]:
    """Arguments and options of a verb's command."""
    return [*_arguments(verb, slots, complete), *_options(verb, slots, complete)]


def _arguments(verb: type[Verb], slots: Mapping[str, Slot], complete: Completer) -> Iterator[click.Parameter]:
    if not verb.positional:
        return
    metavars = []
    settings = any(slot.sort == "dict" for slot in slots.values())
    for place, field in enumerate(verb.positional):
        slot = slots[field]
        last = place == len(verb.positional) - 1
        word = slot.option.upper() + ("..." if slot.sort == "list" and last else "")
        if field in verb.verbatim:
            metavars.append("[KEY=VALUE]...")
            word = f"[{slot.option.upper()} [ARGS]...]"
        elif not slot.required:
            word = f"[{word}]"
        metavars.append(word)
    if settings and not verb.verbatim:
        metavars.append("[KEY=VALUE]...")
    yield click.Argument(["words"], nargs=-1, type=click.UNPROCESSED, metavar=" ".join(metavars), shell_complete=complete.words(verb))


def _options(verb: type[Verb], slots: Mapping[str, Slot], complete: Completer) -> Iterator[click.Parameter]:
    for slot in slots.values():
        if slot.field in verb.positional or slot.sort in ("dict", "bytes"):
            continue
        if slot.sort == "bool":
            yield click.Option([f"--{slot.option}/--no-{slot.option}", slot.field], default=slot.default, help=_help(slot))
            continue
        yield click.Option(
            [f"--{slot.option}", slot.field],
            type=_type(slot),
            multiple=slot.sort == "list",
            default=None,
            metavar=_metavar(slot),
            help=_help(slot),
            shell_complete=complete.names if slot.field in ("act", "trm", "task") else None,
        )


_METAVARS = {"int": "NUMBER", "float": "SECONDS", "list": "NAMES", "text": "TEXT"}


def _metavar(slot: Slot) -> str | None:
    return _METAVARS.get(slot.sort)


def _type(slot: Slot) -> click.ParamType[Any]:
    if slot.sort == "choice":
        return click.Choice(slot.choices)
    if slot.sort == "int":
        return click.IntRange(min=slot.least, max=slot.most)
    return click.FLOAT if slot.sort == "float" else click.STRING


def _help(slot: Slot) -> str:
    text = slot.description[:1].upper() + slot.description[1:]
    if slot.default in (None, "", [], 0, 0.0) or slot.sort == "list":
        return text + "."
    said = {True: "on", False: "off"}.get(slot.default, slot.default) if slot.sort == "bool" else slot.default
    return f"{text} (default: {said})."


def fields_of(verb: type[Verb], values: Mapping[str, Any], slots: Mapping[str, Slot]) -> dict[str, Any]:
    """The fields that a parsed command line means."""
    fields = placed(verb, values.get("words", ()), slots)
    for slot in slots.values():
        value = values.get(slot.field)
        if slot.sort == "list" and value:
            value = list(value) if slot.field in verb.verbatim else [name for word in value for name in names_in(word)]
        if value not in (None, (), []):
            fields[slot.field] = value
    return fields

"""Plain pages made from the declarations alone: what each verb does, how it is said, and its fields.  Pure.

English only; efsupervisor.help adds texts and languages.
"""

from __future__ import annotations

import inspect

import msgspec

from efsupervisor.errors import Code, EfError
from efsupervisor.interface import VERBS
from efsupervisor.interface.calls import shown, suggestion
from efsupervisor.interface.console import usage
from efsupervisor.interface.verb import Verb


def page(topic: str, language: str = "en") -> str:
    """The page of a verb, by its name, its words in the console or in efctl; the overview for an empty topic.  EfError NO_SUCH_TASK for no topic."""
    del language
    wanted = " ".join(topic.lower().split())
    if not wanted:
        return overview()
    named = {word: verb for verb in VERBS.values() for word in (verb.console, verb.command, verb.name) if word}
    verb = named.get(wanted)
    if verb is not None:
        return about(verb)
    below = [word for word in named if word.startswith(wanted + " ")]
    if not below:
        raise EfError(f"there is no help about {shown(topic)}{suggestion(wanted, named)}", Code.NO_SUCH_TASK)
    return "".join(f"{word:18} {first_line(named[word])}\n" for word in below)


def overview() -> str:
    """Each verb in one line."""
    return "".join(f"{verb.console or verb.name:18} {first_line(verb)}\n" for verb in VERBS.values())


def about(verb: type[Verb]) -> str:
    """One verb: how it is said, what it does, its fields."""
    lines = [usage(verb).removeprefix("say: "), "", inspect.cleandoc(verb.__doc__ or ""), "", f"Role: {verb.role}.  Name: {verb.name}.", ""]
    lines += [f"  {name:12} {text}" for name, text in descriptions(verb).items()]
    return "\n".join(lines).rstrip() + "\n"


def first_line(verb: type[Verb]) -> str:
    """What a verb does, in one sentence."""
    return inspect.cleandoc(verb.__doc__ or "").partition("\n")[0]


def descriptions(verb: type[Verb]) -> dict[str, str]:
    """Each field's description."""
    schema = msgspec.json.schema(verb)["$defs"][verb.__name__]["properties"]
    return {name: str(_description(what)) for name, what in schema.items()}


def _description(schema: dict[str, object]) -> object:
    if "description" in schema:
        return schema["description"]
    choices = schema.get("anyOf")
    return next((each["description"] for each in choices if "description" in each), "") if isinstance(choices, list) else ""

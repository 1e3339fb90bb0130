"""From what somebody said to a verb that may be run: the one place where a call's fields are checked and its role is judged.  Pure."""

from __future__ import annotations

import msgspec

from efsupervisor.errors import Code, EfError
from efsupervisor.interface import VERBS
from efsupervisor.interface.house import Caller
from efsupervisor.interface.verb import Verb
from efsupervisor.states import Role

_decoders: dict[str, msgspec.json.Decoder[Verb]] = {}


def verb_of(name: str, fields: bytes) -> Verb:
    """The verb of a typed call.  fields: a JSON object.  EfError USAGE for a verb that is none, BAD_REQUEST for fields that are not as declared."""
    decoder = _decoders.get(name)
    if decoder is None:
        decoder = _decoders[declared(name).name] = msgspec.json.Decoder(declared(name))
    try:
        return decoder.decode(fields)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EfError(f"{name}: {readable(error)}", Code.BAD_REQUEST) from error


def declared(name: str) -> type[Verb]:
    """The declaration of a verb; EfError USAGE naming the nearest when there is none."""
    verb = VERBS.get(name)
    if verb is None:
        raise EfError(f"there is no command {shown(name)}{suggestion(name, VERBS)}", Code.USAGE)
    return verb


def permit(verb: Verb, caller: Caller) -> None:
    """EfError REFUSED when the caller's role does not include the verb's."""
    if not caller.role.includes(verb.role):
        raise EfError(f"{verb.name} needs the role {verb.role}; {caller.who} has {caller.role}", Code.REFUSED)


def lesser(one: Role, other: Role) -> Role:
    """The role that allows less."""
    return one if other.includes(one) else other


def readable(error: Exception) -> str:
    """What msgspec found wrong, in words for who said it: `names: at least 1 is needed`."""
    text, _, place = str(error).partition(" - at `$")
    field = place.strip("`.").lstrip(".")
    return f"{field}: {text[0].lower()}{text[1:]}" if field else text[:1].lower() + text[1:]


def suggestion(word: str, known: object) -> str:
    """`; did you mean "x"?`, or nothing."""
    from efsupervisor.conf.names import nearest  # late on purpose: difflib is for somebody's slip

    near = nearest(word, list(known))  # type: ignore[call-overload]
    return f'; did you mean "{near}"?' if near else ""


def shown(text: str) -> str:
    """Text of others inside a sentence of ours."""
    from efsupervisor.conf.names import shown as cut  # late on purpose, with the other

    return f'"{cut(text, 40)}"'

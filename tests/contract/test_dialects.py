"""A command means the same in every dialect: the console language, typed JSON, efctl's words and the HTTP API give one typed verb."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
import msgspec
import pytest

from efsupervisor.cli.completing import Completer
from efsupervisor.cli.generate import fields_of, made, parameters, slots_of
from efsupervisor.errors import Code, EfError
from efsupervisor.interface import VERBS, console
from efsupervisor.interface.calls import verb_of
from efsupervisor.messages import decode, encode
from efsupervisor.messages.call import Call, ConsoleCall, ToMiddle
from tests.contract.dialects import EXAMPLES, UNSAID, Example
from tests.support.web import Web


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


EACH = pytest.mark.parametrize("example", EXAMPLES, ids=[f"{example.verb.name}-{number}" for number, example in enumerate(EXAMPLES)])


def test_every_verb_is_said_in_the_table() -> None:
    assert UNSAID == []


@EACH
def test_typed_json_gives_the_verb(example: Example) -> None:
    call = Call(id="1", verb=example.verb.name, fields=msgspec.Raw(json.dumps(example.fields).encode()))
    arrived = decode(encode(call), ToMiddle)
    assert isinstance(arrived, Call)
    assert verb_of(arrived.verb, bytes(arrived.fields)) == example.verb


@EACH
def test_a_line_of_the_console_gives_the_same_verb(example: Example) -> None:
    if example.console is None:
        assert not example.verb.console
    else:
        assert console.parse(example.console) == example.verb


@EACH
def test_the_words_of_efctl_give_the_same_verb(example: Example) -> None:
    verb = type(example.verb)
    if example.efctl is None:
        assert not verb.command
        return
    words = shlex.split(example.efctl)[len(verb.command.split()) :]
    slots = slots_of(verb)
    command = click.Command(verb.name, params=parameters(verb, slots, Completer()))
    with command.make_context(verb.name, words) as context:
        fields = fields_of(verb, context.params, slots)
        assert made(verb, fields, slots, lambda: click.get_binary_stream("stdin")) == example.verb


@EACH
def test_the_http_api_passes_the_same_verb_on(example: Example, web: Web) -> None:
    web.post({"verb": example.verb.name, "fields": example.fields})
    call = web.line.asked[-1][0]
    assert isinstance(call, Call)
    assert verb_of(call.verb, bytes(call.fields)) == example.verb
    if example.console is not None:
        web.post({"line": example.console})
        said = web.line.asked[-1][0]
        assert isinstance(said, ConsoleCall)
        assert console.parse(said.line) == example.verb


def test_no_two_verbs_are_said_with_the_same_words() -> None:
    for said in ("console", "command", "name"):
        words = [getattr(verb, said) for verb in VERBS.values() if getattr(verb, said)]
        assert len(words) == len(set(words))


def test_a_phrase_is_never_the_beginning_of_another() -> None:
    phrases = [verb.console for verb in VERBS.values() if verb.console]
    assert [(one, other) for one in phrases for other in phrases if other.startswith(one + " ")] == []


def test_every_positional_field_alias_and_verbatim_list_exists() -> None:
    for verb in VERBS.values():
        named = {*verb.positional, *verb.aliases.values(), *verb.verbatim}
        assert named <= set(verb.__struct_fields__), verb.name


def test_a_field_that_no_verb_has_is_refused_in_every_dialect() -> None:
    with pytest.raises(EfError) as raised:
        verb_of("act", b'{"names": ["a"], "wiat": true}')
    assert raised.value.code is Code.BAD_REQUEST
    with pytest.raises(EfError) as raised:
        console.parse("act a wiat=no")
    assert raised.value.code is Code.USAGE
    assert "wait" in raised.value.message

"""What goes over the wire stays as it is: golden frames of every kind, and a refusal for everything that is no message."""

from __future__ import annotations

import json
import typing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from efsupervisor import messages
from efsupervisor.errors import Code, ProtocolError
from tests.contract.samples import FORMER, GOLDEN, SAMPLES, VOCABULARIES, frames, golden

KINDS = [(vocabulary, sample) for vocabulary, samples in SAMPLES.items() for sample in samples]
NAMED = pytest.mark.parametrize(("vocabulary", "sample"), KINDS, ids=[f"{vocabulary}.{type(sample).__name__}" for vocabulary, sample in KINDS])
EACH_VOCABULARY = pytest.mark.parametrize("vocabulary", list(VOCABULARIES))


def refused(frame: bytes, vocabulary: str) -> ProtocolError:
    with pytest.raises(ProtocolError) as raised:
        messages.decode(frame, VOCABULARIES[vocabulary])
    return raised.value


def body(document: object) -> bytes:
    return bytes([messages.PROTOCOL]) + json.dumps(document).encode()


# What is a message --------------------------------------------------------------------------------------------------------------------------------


@EACH_VOCABULARY
def test_every_kind_has_a_sample_and_every_sample_uses_every_field(vocabulary: str) -> None:
    kinds = typing.get_args(VOCABULARIES[vocabulary])
    assert [type(sample) for sample in SAMPLES[vocabulary]] == list(kinds)
    for sample in SAMPLES[vocabulary]:
        fields = set(json.loads(messages.encode(sample)[1:]))  # type: ignore[arg-type]
        assert fields == {"kind", *type(sample).__struct_fields__}  # type: ignore[attr-defined]


def test_the_golden_file_holds_the_samples_and_nothing_else() -> None:
    assert golden(GOLDEN) == frames()


@NAMED
def test_a_message_is_encoded_to_its_golden_frame_and_back(vocabulary: str, sample: object) -> None:
    frame = golden()[vocabulary][type(sample).__name__].encode()
    assert messages.encode(sample) == frame  # type: ignore[arg-type]
    assert messages.decode(frame, VOCABULARIES[vocabulary]) == sample


@EACH_VOCABULARY
def test_frames_of_former_versions_still_decode(vocabulary: str) -> None:
    for name, frame in golden(FORMER).get(vocabulary, {}).items():
        assert type(messages.decode(frame.encode(), VOCABULARIES[vocabulary])).__name__ == name.partition("@")[0]


@NAMED
def test_a_field_that_a_newer_program_added_is_passed_over(vocabulary: str, sample: object) -> None:
    document = json.loads(messages.encode(sample)[1:])  # type: ignore[arg-type]
    assert messages.decode(body(document | {"added_later": {"deep": [1]}}), VOCABULARIES[vocabulary]) == sample


@NAMED
def test_a_message_of_one_vocabulary_is_none_of_another(vocabulary: str, sample: object) -> None:
    for other in VOCABULARIES:
        if type(sample) not in typing.get_args(VOCABULARIES[other]):
            refused(messages.encode(sample), other)  # type: ignore[arg-type]


def test_a_full_reply_of_bytes_fits_into_a_frame() -> None:
    limit = messages.ReadRequest(id="1", task="t").limit
    reply = messages.ReadReply(id="x" * 200, offset=1 << 62, data=b"\xff" * limit, next=1 << 62, end=1 << 62)
    assert len(messages.encode(reply)) <= messages.MAX_FRAME


# What is none -------------------------------------------------------------------------------------------------------------------------------------


@EACH_VOCABULARY
def test_an_empty_frame_is_refused(vocabulary: str) -> None:
    assert refused(b"", vocabulary).code is Code.BAD_REQUEST


@NAMED
def test_another_version_is_refused_as_that_whatever_follows(vocabulary: str, sample: object) -> None:
    rest = messages.encode(sample)[1:]  # type: ignore[arg-type]
    for version in set(range(256)) - {messages.PROTOCOL}:
        assert refused(bytes([version]) + rest, vocabulary).code is Code.VERSION


@EACH_VOCABULARY
@pytest.mark.parametrize(
    "document",
    [{}, {"kind": "Nonsense"}, {"kind": ""}, {"kind": None}, {"kind": 1}, {"id": "1"}, [], None, 7, "text", [{"kind": "Ping", "number": 1}]],
)
def test_what_names_no_known_kind_is_refused(vocabulary: str, document: object) -> None:
    assert refused(body(document), vocabulary).code is Code.BAD_REQUEST


def wrong_for(value: object) -> list[object]:
    """Values of types that a field with this value cannot have."""
    wrong: list[object] = [{"a": [1]}, [[1]]]
    if not isinstance(value, str):
        wrong.append("text of no meaning!")
    if isinstance(value, str | list | dict):
        wrong.append(1)
    if not isinstance(value, bool):
        wrong.append(True)
    if isinstance(value, int) and not isinstance(value, bool):
        wrong.append(0.5)
    return wrong


@NAMED
def test_a_field_of_the_wrong_type_is_refused_in_every_place(vocabulary: str, sample: object) -> None:
    document = json.loads(messages.encode(sample)[1:])  # type: ignore[arg-type]
    floats = {"since_wall", "uptime_s", "since", "deadline_s", "interval_s", "took_s"}
    for field in document.keys() - {"kind"}:
        for value in wrong_for(document[field]):
            if (field in floats and value == 0.5) or value == document[field]:
                continue
            if (type(sample) is messages.Configure and isinstance(value, dict)) or field == "fields":
                continue  # every setting has a default, so any object will do; fields are decoded by the verb
            refused(body(document | {field: value}), vocabulary)


@NAMED
def test_a_missing_required_field_is_refused(vocabulary: str, sample: object) -> None:
    document = json.loads(messages.encode(sample)[1:])  # type: ignore[arg-type]
    fields = type(sample).__struct_fields__  # type: ignore[attr-defined]
    required = fields[: len(fields) - len(type(sample).__struct_defaults__)]  # type: ignore[attr-defined]
    for field in required:
        refused(body({name: value for name, value in document.items() if name != field}), vocabulary)


@NAMED
def test_a_frame_that_was_cut_anywhere_or_has_something_behind_it_is_refused(vocabulary: str, sample: object) -> None:
    frame = messages.encode(sample)  # type: ignore[arg-type]
    for length in range(1, len(frame)):
        refused(frame[:length], vocabulary)
    refused(frame + b"{}", vocabulary)


@EACH_VOCABULARY
@pytest.mark.parametrize("size", [messages.MAX_FRAME + 1, 1 << 20])
def test_a_frame_over_the_limit_is_refused_before_it_is_looked_at(vocabulary: str, size: int) -> None:
    assert refused(bytes([messages.PROTOCOL]) + b" " * (size - 1), vocabulary).code is Code.TOO_LARGE


@EACH_VOCABULARY
@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        '{"a":' * 20_000,
        '{"kind":"Ping","number":' + "[" * 60_000,
        '{"kind":"Rewire","x":' + '{"x":' * 20_000,
        "9" * 100_000,
        '"' + "\\u0000" * 20_000,
    ],
)
def test_deep_nesting_and_endless_numbers_are_refused_without_harm(vocabulary: str, text: str) -> None:
    refused(bytes([messages.PROTOCOL]) + text.encode(), vocabulary)


@pytest.mark.parametrize("name", [b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"a\nb"])
def test_text_that_is_no_text_is_refused(name: bytes) -> None:
    refused(b'\x01{"kind":"StatusRequest","id":"' + name + b'"}', "Request")


@EACH_VOCABULARY
@given(st.binary(max_size=300))
@example(b"")
@example(b"\x01")
@example(b"\x01{}")
def test_any_bytes_are_a_message_or_a_protocol_error_and_nothing_else(vocabulary: str, frame: bytes) -> None:
    for candidate in (frame, bytes([messages.PROTOCOL]) + frame):
        try:
            message = messages.decode(candidate, VOCABULARIES[vocabulary])
        except ProtocolError:
            continue
        assert isinstance(message, typing.get_args(VOCABULARIES[vocabulary]))


@NAMED
@given(st.data())
def test_a_frame_with_some_bytes_changed_is_a_message_or_a_protocol_error(vocabulary: str, sample: object, data: st.DataObject) -> None:
    frame = bytearray(messages.encode(sample))  # type: ignore[arg-type]
    for place in data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=1, max_size=4)):
        frame[place] = data.draw(st.integers(0, 255))
    try:
        message = messages.decode(bytes(frame), VOCABULARIES[vocabulary])
    except ProtocolError:
        return
    assert isinstance(message, typing.get_args(VOCABULARIES[vocabulary]))

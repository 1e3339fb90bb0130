"""Values as XML-RPC and back: everything comes through, and nothing that XML cannot carry gets out."""

from __future__ import annotations

import xmlrpc.client
from typing import Any

import pytest

from efsupervisor.core.web.xmlrpc import marshal
from efsupervisor.core.web.xmlrpc.faults import Fault, RpcFault
from efsupervisor.core.web.xmlrpc.marshal import Unreadable

VALUES: list[Any] = [True, False, 0, -7, 2**31 - 1, 1.5, "", "text <&> ]]>", "한글 é", "a\rb\nc\td", [], [1, "x", [True]], {"a": 1, "b": {"c": []}}]


@pytest.mark.parametrize("given", VALUES)
def test_pythons_own_client_reads_what_we_write(given: Any) -> None:
    assert xmlrpc.client.loads(marshal.response(given).decode())[0][0] == given


@pytest.mark.parametrize("given", VALUES)
def test_we_read_what_pythons_own_client_writes(given: Any) -> None:
    body = xmlrpc.client.dumps((given, "second"), "supervisor.x").encode()
    assert marshal.call(body) == ("supervisor.x", (given, "second")) or "\r" in str(given)


def test_every_character_that_xml_cannot_carry_is_replaced() -> None:
    text = "".join(map(chr, (*range(0x20), 0x1B, 0x7F, 0xD800, 0xFFFE, 0xFFFF)))
    (read,), _ = xmlrpc.client.loads(marshal.response(text).decode())
    assert read.count("\ufffd") == 29 + 1 + 1 + 2
    assert "\t" in read and "\n" in read and "\r" in read


def test_a_number_is_held_within_32_bits() -> None:
    assert xmlrpc.client.loads(marshal.response(2**40).decode())[0][0] == 2**31 - 1


def test_a_fault_is_read_as_a_fault() -> None:
    with pytest.raises(xmlrpc.client.Fault) as raised:
        xmlrpc.client.loads(marshal.fault_response(RpcFault(Fault.BAD_NAME, "a<b")).decode())
    assert (raised.value.faultCode, raised.value.faultString) == (10, "BAD_NAME: a<b")


def test_a_call_may_lack_its_params_and_have_values_without_type() -> None:
    assert marshal.call(b"<methodCall><methodName>a.b</methodName></methodCall>") == ("a.b", ())
    body = b"<methodCall><methodName>a.b</methodName><params><param><value>x</value></param></params></methodCall>"
    assert marshal.call(body) == ("a.b", ("x",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no xml",
        b"<methodCall/>",
        b"<!DOCTYPE x><methodCall><methodName>a</methodName></methodCall>",
        b'<!DOCTYPE x [<!ENTITY e "eeee">]><methodCall><methodName>&e;</methodName></methodCall>',
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><methodCall><methodName>&e;</methodName></methodCall>',
        b"<methodCall><methodName>a</methodName><params><param><value><int>x</int></value></param></params></methodCall>",
        b"<methodCall><methodName>a</methodName><params><param><value><int>" + b"9" * 5000 + b"</int></value></param></params></methodCall>",
        b"<a>" * 100,
        b"<methodCall><methodName>a</methodName>" + b"<i/>" * 100_001 + b"</methodCall>",
        b"x" * (marshal.MAX_BODY + 1),
        b'<?xml version="1.0" encoding="nonsense"?><methodCall><methodName>a</methodName></methodCall>',
        b"<methodCall><methodName>a</methodName></methodCall>\xff",
    ],
)
def test_what_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        marshal.call(body)

"""Values to XML-RPC and back.  Pure.

Out: text may hold whatever a task wrote.  XML 1.0 carries no control characters but tab, newline and carriage return, no surrogates, and not U+FFFE
and U+FFFF (section 2.2); each is replaced by U+FFFD, so that one ESC byte of a task makes no answer unreadable.  A carriage return is written as a
character reference, or a parser would make a newline of it (section 2.11).

In: no DTD, so no entities of anybody's making; at most MAX_BODY bytes, MAX_DEPTH elements in each other and MAX_ELEMENTS in all.  Whatever is
not a call raises Unreadable.  Elements that are known to nobody are passed over, as supervisord does."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.parsers import expat

from efsupervisor.core.web.xmlrpc.faults import RpcFault

MAX_BODY = 1 << 20
MAX_DEPTH = 64
MAX_ELEMENTS = 100_000
MAX_INT = 2**31 - 1
MIN_INT = -(2**31)

HEAD = "<?xml version='1.0'?>\n<methodResponse>\n"
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Ready(str):
    """A <value> that is XML already."""

    __slots__ = ()


class Unreadable(Exception):
    """A body that is no call."""


# Out ------------------------------------------------------------------------------------------------------------------------------------------------


def escaped(text: str) -> str:
    """Text as it may stand between tags."""
    if not text.isprintable():
        text = _UNFIT.sub("\ufffd", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\r", "&#13;") if "\r" in text else text


def capped(number: float) -> int:
    """A number as an XML-RPC integer, which has 32 bits."""
    return max(MIN_INT, min(MAX_INT, int(number)))


def value(given: Any) -> str:
    """One <value>."""
    match given:
        case Ready():
            return str(given)
        case bool():
            return f"<value><boolean>{int(given)}</boolean></value>\n"
        case int():
            return f"<value><int>{capped(given)}</int></value>\n"
        case float():
            return f"<value><double>{given!r}</double></value>\n"
        case str():
            return f"<value><string>{escaped(given)}</string></value>\n"
        case bytes():
            return f"<value><base64>\n{base64.b64encode(given).decode()}\n</base64></value>\n"
        case Mapping():
            return struct(given)
        case Iterable():
            return array(map(value, given))
    raise TypeError(f"XML-RPC has no {type(given).__name__}")


def struct(given: Mapping[str, Any]) -> str:
    """A <value> with a struct."""
    members = "".join([f"<member>\n<name>{escaped(name)}</name>\n{value(each)}</member>\n" for name, each in given.items()])
    return f"<value><struct>\n{members}</struct></value>\n"


def array(values: Iterable[str]) -> str:
    """A <value> with an array of values that are XML already."""
    return f"<value><array><data>\n{''.join(values)}</data></array></value>\n"


def response(given: Any) -> bytes:
    """The answer of a method."""
    return f"{HEAD}<params>\n<param>\n{value(given)}</param>\n</params>\n</methodResponse>\n".encode()




def fault_struct(fault: RpcFault) -> dict[str, Any]:
    """A fault as a struct, as a multicall has it."""
    return {"faultCode": int(fault.fault), "faultString": fault.text}


def fault_response(fault: RpcFault) -> bytes:
    """A fault in place of a value."""
    return f"{HEAD}<fault>\n{struct(fault_struct(fault))}</fault>\n</methodResponse>\n".encode()


# In -------------------------------------------------------------------------------------------------------------------------------------------------


def call(body: bytes) -> tuple[str, tuple[Any, ...]]:
    """The method and its parameters.  Unreadable says why there is none; `<params>` may be missing."""
    if len(body) > MAX_BODY:
        raise Unreadable(f"a call has at most {MAX_BODY} bytes")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, binascii.Error, LookupError) as error:
        raise Unreadable(f"not XML-RPC: {error}") from error
    if not reader.method:
        raise Unreadable("no method name")
    return reader.method, tuple(reader.params)


def _refuse(*_words: Any) -> None:
    raise Unreadable("a call has no DTD and no entities")


class _Reader:
    """Elements as they come.  Each open element has its text and the values of what was inside it."""

    def __init__(self) -> None:
        self.method = ""
        self.params: list[Any] = []
        self._open: list[tuple[list[str], list[Any]]] = [([], [])]
        self._count = 0

    def begin(self, tag: str, _attributes: object) -> None:
        self._count += 1
        if len(self._open) > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise Unreadable("a call has too many elements, or too many in each other")
        self._open.append(([], []))

    def text(self, data: str) -> None:
        self._open[-1][0].append(data)

    def end(self, tag: str) -> None:
        pieces, inside = self._open.pop()
        text, outer = "".join(pieces), self._open[-1][1]
        match tag:
            case "methodName":
                self.method = text.strip()
            case "params":
                self.params = inside
            case "value":
                outer.append(inside[0] if inside else text)
            case "param" | "data":
                outer.append(inside[0] if tag == "param" and inside else inside if tag == "data" else "")
            case "array":
                outer.append(inside[0] if inside else [])
            case "member":
                outer.append((str(inside[0]), inside[1]) if len(inside) > 1 else (str(inside[0]) if inside else "", ""))
            case "struct":
                outer.append(dict(inside))
            case "name":
                outer.append(text)
            case _:
                _simple(tag, text, outer)


def _simple(tag: str, text: str, outer: list[Any]) -> None:
    match tag:
        case "int" | "i4" | "i8":
            if len(text) > 20:
                raise ValueError("a number of more than 20 digits")
            outer.append(int(text))
        case "boolean":
            outer.append(text.strip() == "1")
        case "string":
            outer.append(text)
        case "double":
            outer.append(float(text))
        case "nil":
            outer.append(None)
        case "base64":
            outer.append(base64.b64decode(text).decode("utf-8", "replace"))
        case "dateTime.iso8601":
            outer.append(datetime.datetime.strptime(text.strip(), "%Y%m%dT%H:%M:%S").isoformat())

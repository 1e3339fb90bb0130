"""What every answer looks like: JSON, the same headers always, and what is refused as {"code", "message"}.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from werkzeug.wrappers import Response

from efsupervisor.errors import Code, EfError

JSON = "application/json"

HEADERS: dict[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer, also on those that are sent before there is a request."""

_encoder = msgspec.json.Encoder()


class Refusal(EfError):
    """An answer of HTTP's own kind: a status that no code of ours has, and headers that go with it."""

    def __init__(self, status: int, message: str, code: Code, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code)
        self.status = status
        self.headers = dict(headers or {})


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: a stable code, and a sentence for a person."""

    code: str
    message: str


def unauthorized(message: str) -> Refusal:
    """401, with what would have been needed."""
    return Refusal(401, message, Code.REFUSED, {"WWW-Authenticate": 'Bearer realm="efsupervisor"'})


def status_of(error: EfError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, Refusal) else error.verdict.http_status


def headers_of(error: EfError) -> dict[str, str]:
    """The headers that go with an error, besides HEADERS."""
    if isinstance(error, Refusal):
        return error.headers
    return {"Retry-After": "1"} if status_of(error) == 503 else {}


def fault_body(error: EfError) -> bytes:
    """The body of an error."""
    return encoded(Fault(code=error.code, message=error.message))


def encoded(content: object) -> bytes:
    """JSON with a newline at its end, for people with curl."""
    return _encoder.encode(content) + b"\n"


def json_response(content: object, status: int = 200) -> Response:
    """An answer."""
    return dressed(Response(content if isinstance(content, bytes) else encoded(content), status, mimetype=JSON))


def error_response(error: EfError) -> Response:
    """An error as an answer."""
    response = json_response(fault_body(error), status_of(error))
    response.headers.update(headers_of(error))
    return response


def dressed(response: Response) -> Response:
    """With the headers that every answer has."""
    response.headers.update(HEADERS)
    return response

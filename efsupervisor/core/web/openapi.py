"""The document that describes the HTTP API (OpenAPI 3.1), made from the verbs and from the answers themselves.  Pure.

A verb that is declared is in it, with its fields, their meanings and its role; nothing is listed here by hand but the routes.

    python -m efsupervisor.core.web.openapi > docs/openapi.json
"""

from __future__ import annotations

import inspect
import json
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from efsupervisor import __version__
from efsupervisor.core.web.replies import Fault
from efsupervisor.errors import TABLE, Code
from efsupervisor.interface import VERBS
from efsupervisor.interface.verb import Verb
from efsupervisor.messages.call import About, Answer, Tasks
from efsupervisor.messages.core import TaskDetail, TaskStatus

BASE = "/api/v1"
REFERENCE = "#/components/schemas/{name}"
MAX_LINE = 64 << 10

Json = dict[str, Any]


class Manner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a command is meant."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{0,64}$", description="your own id: a command that comes again with it is not run again")] = ""
    deadline_s: Annotated[float, Meta(ge=0, le=300, description="how long you wait, in seconds; 0 for the usual")] = 0.0
    language: Annotated[Literal["en", "ko"], Meta(description="of texts for people")] = "en"


class Command(Manner, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is posted: a verb with its fields, or a line of the console language."""

    verb: Annotated[str, Meta(max_length=64)] = ""
    line: Annotated[str, Meta(max_length=MAX_LINE)] = ""
    fields: msgspec.Raw = msgspec.Raw(b"{}")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the supervisor is.  degraded: it works, but something ails it; down: it does not answer.  ready: all its helpers run."""

    status: Literal["ok", "degraded", "down"]
    ready: bool


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers, what ails it, and how many tasks are in which state."""

    about: About
    states: dict[str, int]
    tasks: int


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """One task: how it is, and how it is configured (values of its environment are shown to admins only)."""

    status: TaskStatus
    detail: TaskDetail


def document(version: str = __version__) -> Json:
    """The whole document, ready for JSON."""
    verbs = list(VERBS.values())
    kinds = [Manner, Health, Overview, TaskPage, Tasks, Fault, Answer, *verbs]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    for described in components.values():  # docstrings, which Python 3.13 has without their indentation
        if "description" in described:
            described["description"] = inspect.cleandoc(described["description"])
    schema = dict(zip([getattr(kind, "__name__", "Answer") for kind in kinds[:7]], schemas, strict=False))
    manner = components.pop("Manner")["properties"]
    components["Posted"] = _posted(manner, dict(zip([verb.name for verb in verbs], schemas[7:], strict=True)))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "efsupervisor",
            "version": version,
            "summary": "Programs as tasks, chained into flows: look at them, start and stop them, change them",
            "license": {"name": "BSD-2-Clause", "identifier": "BSD-2-Clause"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {
            f"{BASE}/health": {"get": _get("health", "How the supervisor is; needs no token", schema["Health"], public=True)},
            f"{BASE}/status": {"get": _get("status", "Who answers, and how many tasks are in which state", schema["Overview"])},
            f"{BASE}/tasks": {"get": _get("tasks", "State of tasks", schema["Tasks"], [_NAMES])},
            f"{BASE}/tasks/{{name}}": {"get": _get("task", "One task", schema["TaskPage"], [_NAME])},
            f"{BASE}/openapi.json": {"get": _get("openapi", "This document", {"type": "object"})},
            f"{BASE}/commands": {"post": _post(schema["Answer"])},
        },
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def text() -> str:
    """The document as docs/openapi.json has it."""
    return json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


_RFC_9110 = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Names that Python has since 3.13; the document is the same for all."""
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 256}}
_NAMES = {
    "name": "names",
    "in": "query",
    "description": "tasks, groups, patterns with `*`, with commas between them; all when it is missing",
    "schema": {"type": "string"},
}


def _get(name: str, summary: str, schema: Json, parameters: list[Json] | None = None, *, public: bool = False) -> Json:
    operation: Json = {"operationId": name, "summary": summary, "responses": _responses(schema, public)}
    if parameters:
        operation["parameters"] = parameters
    if public:
        operation["security"] = []
        operation["responses"]["503"] = _content("it is down", schema)
    return operation


def _post(schema: Json) -> Json:
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": REFERENCE.format(name="Posted")}}}}
    return {
        "operationId": "command",
        "summary": "Do something",
        "description": "The answer has the status of the first thing in it that went wrong, and 200 when nothing did.",
        "requestBody": body,
        "responses": _responses(schema, False),
    }


def _responses(schema: Json, public: bool) -> Json:
    """The good answer, and every status that an error may have."""
    fault = {"$ref": REFERENCE.format(name="Fault")}
    responses = {"200": _content("the answer", schema)}
    if public:
        return responses
    statuses = {verdict.http_status for code, verdict in TABLE.items() if code is not Code.OK} | {401, 405, 411, 413, 415, 421, 429}
    return responses | {str(status): _content(_RFC_9110.get(status) or HTTPStatus(status).phrase, fault) for status in sorted(statuses)}


def _content(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _posted(properties: Json, fields: dict[str, Json]) -> Json:
    """Every verb with its own fields, and the console line."""
    shared = {name: properties[name] for name in ("id", "deadline_s", "language")}
    line = {
        "title": "line",
        "description": "a line of the console language",
        "type": "object",
        "properties": {"line": {"type": "string", "minLength": 1, "maxLength": MAX_LINE}, **shared},
        "required": ["line"],
        "additionalProperties": False,
    }
    return {"oneOf": [*(_verb(verb, fields[name], shared) for name, verb in VERBS.items()), line]}


def _verb(verb: type[Verb], fields: Json, shared: Json) -> Json:
    needed = any(each.required for each in msgspec.structs.fields(verb))
    return {
        "title": verb.name,
        "description": inspect.getdoc(verb) or "",
        "type": "object",
        "properties": {"verb": {"const": verb.name}, "fields": fields, **shared},
        "required": ["verb", "fields"] if needed else ["verb"],
        "additionalProperties": False,
        "x-role": str(verb.role),
        "x-changes": verb.changes,
    }


if __name__ == "__main__":
    print(text(), end="")

"""What the HTTP API promises: every route is behind a token, every code has its status, and the document is that of the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from efsupervisor.core.web import openapi
from efsupervisor.core.web.app import PUBLIC, ROUTES
from efsupervisor.errors import TABLE, Code, EfError
from efsupervisor.interface import VERBS
from efsupervisor.states import Role
from tests.support.web import Web

DOCUMENT: dict[str, Any] = openapi.document()
FILE = Path(__file__).parents[2] / "docs" / "openapi.json"
RULES = [(rule.rule, method) for rule in ROUTES.iter_rules() for method in sorted(rule.methods or ())]


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


@pytest.mark.parametrize(("path", "method"), RULES)
def test_every_route_wants_a_token(web: Web, path: str, method: str) -> None:
    path = path.replace("<name>", "sleep")
    if path in PUBLIC:
        assert web.ask(method, path, None).status_code == 200
        return
    assert web.ask(method, path, None).status_code == 401
    assert web.ask(method, path, None, {"Authorization": "Bearer wrong"}).status_code == 401
    assert web.line.asked == []


def test_health_alone_is_public() -> None:
    assert {path for path, _ in RULES} & PUBLIC == PUBLIC == {"/api/v1/health"}


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_wants_its_role(web: Web, name: str) -> None:
    fields = {each: ["x"] if each == "names" else "x" for each in _required(name)}
    for role in Role:
        answer = web.post({"verb": name, "fields": fields}, role)
        assert (answer.status_code == 403) is not role.includes(VERBS[name].role), (role, answer.text)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_its_status(web: Web, code: Code) -> None:
    web.line.failing["task.status"] = EfError("what went wrong", code)
    answer = web.get("/api/v1/tasks")
    assert answer.status_code == TABLE[code].http_status
    assert answer.json == {"code": str(code), "message": "what went wrong"}


# The document ---------------------------------------------------------------------------------------------------------------------------------------


def test_the_document_on_disk_is_that_of_the_code() -> None:
    assert FILE.read_text(encoding="utf-8") == openapi.text(), "docs/openapi.json is stale: make docs"


def test_every_route_is_in_the_document_and_no_other() -> None:
    described = {(path.replace("{name}", "<name>"), method.upper()) for path, item in DOCUMENT["paths"].items() for method in item}
    assert described == {(path, method) for path, method in RULES if method not in ("HEAD", "OPTIONS")}


def test_every_verb_is_in_the_document_with_its_role_and_fields() -> None:
    posted = {each["title"]: each for each in DOCUMENT["components"]["schemas"]["Posted"]["oneOf"]}
    assert set(posted) == {*VERBS, "line"}
    for name, verb in VERBS.items():
        assert posted[name]["x-role"] == verb.role
        assert posted[name]["description"]
        schema = _resolved(posted[name]["properties"]["fields"])
        assert set(schema["properties"]) == set(verb.__struct_fields__)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    references = list(_references(DOCUMENT))
    assert len(references) > 100
    for reference in references:
        _resolved({"$ref": reference})


def test_health_is_the_one_operation_without_security() -> None:
    open_to_all = [path for path, item in DOCUMENT["paths"].items() for each in item.values() if each.get("security") == []]
    assert set(open_to_all) == PUBLIC


def _required(name: str) -> list[str]:
    posted = next(each for each in DOCUMENT["components"]["schemas"]["Posted"]["oneOf"] if each["title"] == name)
    required: list[str] = _resolved(posted["properties"]["fields"]).get("required", [])
    return required


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from _references(each)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


"""From a request to a call and back, through WSGI, with a middle interface that answers from memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor.conf.schema import WebSpec
from efsupervisor.core.web.app import HEALTH_AGE_S, LONGEST_S, PATIENT_S, USUAL_S
from efsupervisor.core.web.replies import HEADERS
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import About, Call, ConsoleCall, Done, Lines
from efsupervisor.messages.core import Outcome, ServiceRow
from efsupervisor.states import Role, State
from efsupervisor.system import Real
from tests.support.web import FAILED, SECRET, Web


class Clocked(Real):
    """The machine with a clock that is set by hand."""

    at = 1000.0

    def monotonic(self) -> float:  # type: ignore[override]
        return self.at


@pytest.fixture
def system() -> Clocked:
    return Clocked()


@pytest.fixture
def web(tmp_path: Path, system: Clocked) -> Web:
    return Web(tmp_path, system=system)


def asked(web: Web) -> Call:
    """The one call that was made."""
    (call, _),  = web.line.asked
    assert isinstance(call, Call)
    return call


# Looking --------------------------------------------------------------------------------------------------------------------------------------------


def test_health_needs_no_token_and_tells_nothing_but_how_we_are(web: Web) -> None:
    answer = web.get("/api/v1/health", None)
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "ready": True})


@pytest.mark.parametrize(
    "about",
    [
        About(version="1", pid=1, since=0.0, ailments=["the disk is full"]),
        About(version="1", pid=1, since=0.0, ready=False),
        About(version="1", pid=1, since=0.0, services=[ServiceRow(name="result", state=State.RUNNING, health="no way to the server")]),
    ],
)
def test_what_ails_us_is_degraded_and_still_alive(web: Web, about: About) -> None:
    web.line.answers["daemon.version"] = about
    answer = web.get("/api/v1/health", None)
    assert answer.status_code == 200
    assert answer.json is not None and answer.json["status"] == "degraded"


def test_without_a_middle_interface_we_are_down(web: Web) -> None:
    web.line.failing["daemon.version"] = FAILED
    answer = web.get("/api/v1/health", None)
    assert (answer.status_code, answer.json) == (503, {"status": "down", "ready": False})


def test_a_thousand_questions_about_health_ask_the_supervisor_once_a_second(web: Web, system: Clocked) -> None:
    for _ in range(1000):
        web.get("/api/v1/health", None)
    assert len(web.line.asked) == 1
    system.at += HEALTH_AGE_S
    web.get("/api/v1/health", None)
    assert len(web.line.asked) == 2


def test_status_counts_tasks_by_state(web: Web) -> None:
    answer = web.get("/api/v1/status", Role.VIEW).json
    assert answer is not None
    assert answer["states"] == {"RUNNING": 2}
    assert answer["tasks"] == 2
    assert answer["about"]["pid"] == 4711


def test_tasks_are_listed_and_names_choose(web: Web) -> None:
    every = web.get("/api/v1/tasks", Role.VIEW).json
    some = web.get("/api/v1/tasks?names=sleep,none&names=other", Role.VIEW).json
    assert every is not None and some is not None
    assert [row["name"] for row in every["rows"]] == ["sleep", "일꾼"]
    assert [row["name"] for row in some["rows"]] == ["sleep"]


def test_a_task_is_found_by_a_name_of_any_script(web: Web) -> None:
    answer = web.get("/api/v1/tasks/일꾼", Role.VIEW).json
    assert answer is not None
    assert answer["status"]["name"] == answer["detail"]["spec"]["name"] == "일꾼"


@pytest.mark.parametrize("name", ["none", "*", "all", "..", "%2e%2e", "a%2fb", "%ff", "x" * 300])
def test_a_task_that_is_none_is_404(web: Web, name: str) -> None:
    answer = web.get(f"/api/v1/tasks/{name}", Role.VIEW)
    assert answer.status_code == 404
    assert answer.json is not None and set(answer.json) == {"code", "message"}


def test_values_of_the_environment_are_for_admins(web: Web) -> None:
    assert SECRET in web.get("/api/v1/tasks/sleep", Role.ADMIN).text
    for role in (Role.VIEW, Role.OPERATE):
        answer = web.get("/api/v1/tasks/sleep", role)
        assert SECRET not in answer.text and "TOKEN" in answer.text
        assert SECRET not in web.post({"verb": "task.show"}, role).text


def test_the_document_describes_us(web: Web) -> None:
    answer = web.get("/api/v1/openapi.json", Role.VIEW).json
    assert answer is not None and answer["openapi"].startswith("3.1")


def test_head_is_get_without_a_body(web: Web) -> None:
    answer = web.ask("HEAD", "/api/v1/status", Role.VIEW)
    assert (answer.status_code, answer.data) == (200, b"")


# Commanding -----------------------------------------------------------------------------------------------------------------------------------------


def test_a_verb_travels_with_its_fields_role_and_asker(web: Web) -> None:
    assert web.post({"verb": "act", "fields": {"names": ["sleep"], "wait": False}, "id": "mine-1"}, Role.OPERATE).status_code == 200
    call = asked(web)
    assert (call.verb, msgspec.json.decode(call.fields)) == ("act", {"names": ["sleep"], "wait": False})
    assert (call.role, call.id, call.on_behalf) == (Role.OPERATE, "web-mine-1", "web operate 127.0.0.1")


def test_a_line_travels_as_it_is(web: Web) -> None:
    answer = web.post({"line": "shw task all", "language": "ko"}, Role.VIEW)
    assert answer.json == {"kind": "Lines", "lines": ["OK : done"], "code": "ok"}
    (call, _), = web.line.asked
    assert isinstance(call, ConsoleCall)
    assert (call.line, call.role, call.language) == ("shw task all", Role.VIEW, "ko")


def test_commands_without_an_id_have_each_their_own(web: Web) -> None:
    for _ in range(50):
        web.post({"verb": "act", "fields": {"names": ["sleep"]}})
    assert len({call.id for call, _ in web.line.asked}) == 50


@pytest.mark.parametrize(
    ("command", "wait_s"),
    [
        ({"verb": "task.status"}, USUAL_S),
        ({"verb": "act", "fields": {"names": ["a"]}}, PATIENT_S),
        ({"verb": "act", "fields": {"names": ["a"]}, "deadline_s": 2}, 2.0),
        ({"verb": "act", "fields": {"names": ["a"]}, "deadline_s": 300}, LONGEST_S),
    ],
)
def test_whoever_says_how_long_is_believed(web: Web, command: object, wait_s: float) -> None:
    web.post(command)
    ((call, deadline_s),) = web.line.asked
    assert call.deadline_s == deadline_s == wait_s


def test_the_time_spent_waiting_for_a_thread_counts(web: Web, system: Clocked) -> None:
    web.get("/api/v1/tasks", environ_base={"efsupervisor.arrived": system.at - 2.0})
    ((_, deadline_s),) = web.line.asked
    assert deadline_s == USUAL_S - 2.0
    answer = web.get("/api/v1/tasks", environ_base={"efsupervisor.arrived": system.at - 6.0})
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert len(web.line.asked) == 1


def test_those_who_wait_long_leave_threads_to_the_others(tmp_path: Path) -> None:
    web = Web(tmp_path, web=WebSpec(threads=4))
    go, inside = threading.Event(), threading.Semaphore(0)
    quick = web.line.ask

    def slow(call: Any, deadline_s: float) -> Any:
        if getattr(call, "verb", "") == "act":
            inside.release()
            go.wait(20)
        return quick(call, deadline_s)

    web.line.ask = slow  # type: ignore[method-assign]
    threads = [threading.Thread(target=web.post, args=({"verb": "act", "fields": {"names": ["a"]}},)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert inside.acquire(timeout=20) and inside.acquire(timeout=20)
    refused = web.post({"verb": "act", "fields": {"names": ["a"]}})
    looked = web.get("/api/v1/tasks")
    go.set()
    for thread in threads:
        thread.join(20)
    assert (refused.status_code, looked.status_code) == (503, 200)
    assert web.post({"verb": "act", "fields": {"names": ["a"]}}).status_code == 200


def test_an_answer_has_the_status_of_the_first_thing_that_went_wrong(web: Web) -> None:
    rows = [Outcome(task="a", ok=True), Outcome(task="b", ok=False, code=Code.NO_SUCH_TASK), Outcome(task="c", ok=False, code=Code.SYSTEM)]
    web.line.answers["act"] = Done(rows=rows)
    answer = web.post({"verb": "act", "fields": {"names": ["a", "b", "c"]}})
    assert answer.status_code == 404
    assert answer.json is not None and [row["ok"] for row in answer.json["rows"]] == [True, False, False]
    web.line.answers["line"] = Lines(lines=["NOK : no"], code="refused")
    assert web.post({"line": "trm a"}, Role.VIEW).status_code == 403


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (b"", 411),
        (b"[]", 400),
        (b"null", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"verb": NaN}', 400),
        (b"[" * 100_000, 400),
        ({}, 400),
        ({"verb": "act", "line": "act a"}, 400),
        ({"verb": "act", "fields": {"names": ["a"]}, "more": 1}, 400),
        ({"verb": "act", "fields": {"names": ["a"], "more": 1}}, 400),
        ({"verb": "act", "fields": []}, 400),
        ({"verb": "act", "fields": {"names": "a"}}, 400),
        ({"verb": "act"}, 400),
        ({"verb": "__class__"}, 400),
        ({"verb": "supervisor.options.execve"}, 400),
        ({"verb": "task.status", "id": "a b"}, 400),
        ({"verb": "task.status", "id": "x" * 65}, 400),
        ({"verb": "task.status", "deadline_s": -1}, 400),
        ({"verb": "task.status", "deadline_s": 301}, 400),
        (b'{"verb": "task.status", "deadline_s": 1e999}', 400),
        ({"line": "x" * 200_000}, 413),
    ],
)
def test_what_is_no_command_never_leaves_the_listener(web: Web, command: object, status: int) -> None:
    answer = web.post(command)
    assert answer.status_code == status
    assert answer.json is not None and set(answer.json) == {"code", "message"}
    assert web.line.asked == []


def test_a_slip_is_answered_with_the_nearest_verb(web: Web) -> None:
    assert '"restart"' in (web.post({"verb": "restrat"}).json or {})["message"]


# Doors ----------------------------------------------------------------------------------------------------------------------------------------------


def test_who_asks_is_known_before_anything_is_looked_up(web: Web) -> None:
    for path in ("/api/v1/tasks", "/api/v1/none", "/", "/RPC2", "/api/v1/health/", "/api/v1//health"):
        for method in ("GET", "POST", "DELETE"):
            assert web.ask(method, path, None).status_code == 401, (method, path)


def test_health_is_public_to_look_at_only(web: Web) -> None:
    assert web.ask("POST", "/api/v1/health", None).status_code == 401
    assert web.ask("POST", "/api/v1/health").status_code == 405


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil"])
def test_a_request_for_somebody_else_is_misdirected_before_its_token_is_looked_at(web: Web, host: str) -> None:
    assert web.get("/api/v1/tasks", headers={"Host": host}).status_code == 421
    assert web.get("/api/v1/health", None, headers={"Host": host}).status_code == 421


def test_forwarded_headers_are_not_believed(web: Web) -> None:
    forwarded = {"Host": "evil.example", "X-Forwarded-Host": "127.0.0.1", "X-ProxyHost": "127.0.0.1", "Forwarded": "host=127.0.0.1"}
    assert web.get("/api/v1/tasks", headers=forwarded).status_code == 421


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_foreign_page_changes_nothing(web: Web, headers: dict[str, str]) -> None:
    answer = web.post({"verb": "trm", "fields": {"names": ["sleep"]}}, headers=headers)
    assert answer.status_code == 403
    assert web.line.asked == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonp"])
def test_a_form_of_a_browser_changes_nothing(web: Web, kind: str) -> None:
    assert web.post({"verb": "trm", "fields": {"names": ["sleep"]}}, headers={"Content-Type": kind}).status_code == 415
    assert web.line.asked == []


def test_no_get_changes_anything(web: Web) -> None:
    for query in ("?verb=trm&fields={}", "?line=trm+sleep", "?action=stop"):
        assert web.get(f"/api/v1/commands{query}").status_code == 405
    assert web.line.asked == []


@pytest.mark.parametrize(
    ("verb", "fields", "role"),
    [("act", {"names": ["a"]}, Role.VIEW), ("task.add", {"task": "a", "program": ["x"]}, Role.OPERATE), ("daemon.shutdown", {}, Role.OPERATE)],
)
def test_a_role_that_is_too_small_is_refused_before_anybody_is_asked(web: Web, verb: str, fields: object, role: Role) -> None:
    answer = web.post({"verb": verb, "fields": fields}, role)
    assert answer.status_code == 403
    assert web.line.asked == []


def test_a_method_that_is_not_for_a_path_is_told_which_are(web: Web) -> None:
    answer = web.ask("DELETE", "/api/v1/tasks")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_every_answer_has_the_headers_that_keep_browsers_in_their_place(web: Web) -> None:
    good = [web.get("/api/v1/health", None), web.get("/api/v1/tasks")]
    answers = [*good, web.get("/api/v1/none"), web.get("/api/v1/tasks", None), web.post(b"{"), web.ask("PUT", "/api/v1/tasks")]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "Server" not in answer.headers and "Location" not in answer.headers
        assert answer.mimetype == "application/json"


def test_an_error_of_ours_is_logged_and_shows_no_traceback(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    web.line.failing["task.status"] = ZeroDivisionError("secret detail")  # type: ignore[assignment]
    answer = web.get("/api/v1/tasks")
    assert answer.status_code == 500
    assert "secret" not in answer.text and "Traceback" not in answer.text
    assert "secret detail" in caplog.text


def test_an_answer_of_another_kind_is_an_error_of_ours(web: Web) -> None:
    web.line.answers["task.status"] = Lines(lines=[])
    assert web.get("/api/v1/status").status_code == 500


def test_a_failing_middle_interface_is_said_in_its_words(web: Web) -> None:
    web.line.failing["task.status"] = EfError("try again", Code.NOT_RUNNING)
    answer = web.get("/api/v1/tasks")
    assert (answer.status_code, answer.json) == (503, {"code": "not-running", "message": "try again"})
    assert answer.headers["Retry-After"] == "1"

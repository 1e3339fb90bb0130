"""The application: from a request to a Call, from an answer to JSON.

What happens to a request, in this order; nothing is looked at before what stands above it has let it through:

    its Host is one of ours                  else 421
    who asks has a token                     else 401 (429 for who guesses); only PUBLIC paths need none
    a route fits path and method             else 404, 405
    a change comes from no foreign page      else 403, and is JSON, else 415
    its body is what the route takes         else 400, 411, 413
    the role allows the verb                 else 403 (and the middle interface judges it again)

No GET changes anything, no answer sends anybody elsewhere (there are no redirects), and no name in a URL ever becomes a path.  Values of the
environment of tasks are shown to admins only.  A thread may wait for an answer; who may wait long is counted, so that quick questions always find a
thread.

This module must never speak to the Core, to a task or to a file.
"""

from __future__ import annotations

import functools
import logging
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from efsupervisor.conf.schema import WebSpec
from efsupervisor.core.web import doors
from efsupervisor.core.web.auth import Doorman
from efsupervisor.core.web.link import Line
from efsupervisor.core.web.openapi import BASE, Command, Health, Overview, TaskPage, document
from efsupervisor.core.web.replies import JSON, Refusal, encoded, error_response, json_response
from efsupervisor.errors import TABLE, Code, EfError
from efsupervisor.interface.calls import declared, readable, verb_of
from efsupervisor.messages.call import About, Answer, Call, ConsoleCall, Done, Lines, Specs, Tasks
from efsupervisor.messages.frame import MAX_FRAME
from efsupervisor.states import Role, State
from efsupervisor.system import System, folded

PUBLIC = frozenset({f"{BASE}/health"})
"""Paths that are answered without a token; they tell nothing but how we are, and change nothing."""

USUAL_S = 5.0
PATIENT_S = 60.0
LONGEST_S = 300.0
MAX_NAME = 256
HEALTH_S = 1.5
HEALTH_AGE_S = 1.0
"""How old an answer about health may be: who asks without a token must not make us ask for it."""

HIDDEN = "***"
FORM = '{"verb": "act", "fields": {"names": ["web"]}} or {"line": "shw task all"}'
_SAFE = frozenset({"GET", "HEAD"})

ROUTES = Map(
    [
        Rule(f"{BASE}/health", endpoint="health", methods=["GET"]),
        Rule(f"{BASE}/status", endpoint="status", methods=["GET"]),
        Rule(f"{BASE}/tasks", endpoint="tasks", methods=["GET"]),
        Rule(f"{BASE}/tasks/<name>", endpoint="task", methods=["GET"]),
        Rule(f"{BASE}/openapi.json", endpoint="openapi", methods=["GET"]),
        Rule(f"{BASE}/commands", endpoint="commands", methods=["POST"]),
    ],
    strict_slashes=False,
    merge_slashes=False,
    redirect_defaults=False,
)

_log = logging.getLogger("app")
_command = msgspec.json.Decoder(Command)
Environ = dict[str, Any]
T = TypeVar("T")


class Asker:
    """Who asks."""

    __slots__ = ("address", "role")

    def __init__(self, role: Role, address: str) -> None:
        self.role = role
        self.address = address

    @property
    def who(self) -> str:
        """For the log and for who is asked."""
        return f"web {self.role} {self.address}"


class Application:
    """The WSGI application.  line: to the middle interface.  version: of the program, for the document."""

    def __init__(self, line: Line, doorman: Doorman, web: WebSpec, system: System, *, version: str = "") -> None:
        self._line = line
        self._doorman = doorman
        self._system = system
        self._hosts = doors.known_hosts(web)
        self._max_body = web.max_body
        self._patient = threading.BoundedSemaphore(max(1, web.threads // 2))
        self._health = HealthMemory(system, self._look_at_health)
        self._version = version
        self._handlers: dict[str, Callable[..., Response]] = {
            "health": self._get_health,
            "status": self._get_status,
            "tasks": self._get_tasks,
            "task": self._get_task,
            "openapi": self._get_openapi,
            "commands": self._post_command,
        }

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """WSGI."""
        return self.respond(environ)(environ, start_response)

    def respond(self, environ: Environ) -> Response:
        """The answer, whatever happens."""
        request = Request(environ)
        request.max_content_length = self._max_body
        try:
            return self._answer(request)
        except EfError as error:
            return error_response(error)
        except Exception:  # the edge: nobody outside sees a traceback, and the next request is served
            _log.exception("%s %s failed", request.method, request.path[:200])
            return error_response(EfError("this failed; the log of the supervisor says more", Code.INTERNAL))

    # The doors ------------------------------------------------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Response:
        self._check_host(request)
        asker = self._admit(request)
        endpoint, values = self._route(request)
        if request.method not in _SAFE:
            check_change(request)
        return self._handlers[endpoint](request, asker, **values)

    def _check_host(self, request: Request) -> None:
        header = request.environ.get("HTTP_HOST", "")
        if not doors.is_known(header, self._hosts, request.environ.get("efsupervisor.local", "")):
            raise Refusal(421, "this supervisor does not answer to that Host; add the name to `web.hosts`", Code.REFUSED)

    def _admit(self, request: Request) -> Asker:
        address = request.environ.get("REMOTE_ADDR", "")
        if request.path in PUBLIC and request.method in _SAFE:
            return Asker(Role.VIEW, address)
        return Asker(self._doorman.admit(request.headers.get("Authorization", ""), address), address)

    def _route(self, request: Request) -> tuple[str, dict[str, str]]:
        try:
            endpoint, values = ROUTES.bind_to_environ(request.environ).match()
            return endpoint, dict(values)
        except MethodNotAllowed as error:
            allowed = ", ".join(sorted(error.valid_methods or ()))
            raise Refusal(405, f"{request.method} is not for this; {allowed} is", Code.USAGE, {"Allow": allowed}) from error
        except HTTPException as error:
            raise Refusal(404, f"there is nothing here; {BASE}/openapi.json says what there is", Code.USAGE) from error

    # Looking --------------------------------------------------------------------------------------------------------------------------------------

    def _get_health(self, _request: Request, _asker: Asker) -> Response:
        health = self._health.now()
        return json_response(health, 503 if health.status == "down" else 200)

    def _look_at_health(self) -> Health:
        try:
            about = self._line.ask(Call(id=new_id(), verb="daemon.version", deadline_s=HEALTH_S, role=Role.VIEW), HEALTH_S)
        except EfError:
            return Health(status="down", ready=False)
        if not isinstance(about, About):
            return Health(status="down", ready=False)
        well = about.ready and not about.ailments and not any(row.health for row in about.services)
        return Health(status="ok" if well else "degraded", ready=about.ready)

    def _get_status(self, request: Request, asker: Asker) -> Response:
        about = expected(self._ask(request, asker, "daemon.version"), About)
        rows = expected(self._ask(request, asker, "task.status"), Tasks).rows
        counts = dict.fromkeys((str(state) for state in State), 0)
        for row in rows:
            counts[row.state] += 1
        return json_response(Overview(about=about, states={state: count for state, count in counts.items() if count}, tasks=len(rows)))

    def _get_tasks(self, request: Request, asker: Asker) -> Response:
        names = [name for part in request.args.getlist("names") for name in part.split(",") if name]
        return json_response(self._ask(request, asker, "task.status", {"names": names}))

    def _get_task(self, request: Request, asker: Asker, name: str) -> Response:
        if len(name) > MAX_NAME:
            raise no_such_task(name)
        wanted = folded(name)
        rows = expected(self._ask(request, asker, "task.status", {"names": [name]}), Tasks).rows
        details = expected(self._ask(request, asker, "task.show", {"names": [name]}), Specs).rows
        status = next((row for row in rows if folded(row.name) == wanted), None)
        detail = next((row for row in details if folded(row.spec.name) == wanted), None)
        if status is None or detail is None:
            raise no_such_task(name)
        return json_response(TaskPage(status=status, detail=detail))

    def _get_openapi(self, _request: Request, _asker: Asker) -> Response:
        return json_response(document_text(self._version))

    # Commands -------------------------------------------------------------------------------------------------------------------------------------

    def _post_command(self, request: Request, asker: Asker) -> Response:
        command = read_command(request)
        call, endless = call_of(command, asker)
        wait_s = min(command.deadline_s or (PATIENT_S if endless else USUAL_S), LONGEST_S)
        call = msgspec.structs.replace(call, deadline_s=wait_s)
        if wait_s <= USUAL_S:
            return answer_response(self._told(request, asker, call, wait_s))
        if not self._patient.acquire(blocking=False):
            raise Refusal(503, "as many commands as may wait are waiting; try again, or say `wait: false`", Code.REFUSED, {"Retry-After": "1"})
        try:
            return answer_response(self._told(request, asker, call, wait_s))
        finally:
            self._patient.release()

    def _ask(self, request: Request, asker: Asker, verb: str, fields: dict[str, object] | None = None) -> Answer:
        allowed(verb, encoded(fields or {}), asker)
        call = Call(
            id=new_id(), verb=verb, fields=msgspec.Raw(msgspec.json.encode(fields or {})), role=asker.role, on_behalf=asker.who,
            deadline_s=USUAL_S,
        )  # fmt: skip
        return self._told(request, asker, call, USUAL_S)

    def _told(self, request: Request, asker: Asker, call: Call | ConsoleCall, wait_s: float) -> Answer:
        """Ask; the time that the request has already waited for a thread counts."""
        waited_s = self._system.monotonic() - request.environ.get("efsupervisor.arrived", self._system.monotonic())
        left_s = wait_s - waited_s
        if left_s <= 0.0:
            raise Refusal(503, "too much is being asked at once; try again", Code.TIMEOUT, {"Retry-After": "1"})
        return without_secrets(self._line.ask(msgspec.structs.replace(call, deadline_s=left_s), left_s), asker.role)


class HealthMemory:
    """The last answer about health; one thread asks for a new one, the others take the old one meanwhile."""

    def __init__(self, system: System, look: Callable[[], Health]) -> None:
        self._system = system
        self._look = look
        self._lock = threading.Lock()
        self._last: Health | None = None
        self._looked_at = float("-inf")

    def now(self) -> Health:
        """How we are, at most HEALTH_AGE_S old unless somebody is asking just now."""
        last = self._last
        if last is not None and self._system.monotonic() - self._looked_at < HEALTH_AGE_S:
            return last
        if not self._lock.acquire(blocking=last is None):
            return last or Health(status="down", ready=False)
        try:
            if self._last is None or self._system.monotonic() - self._looked_at >= HEALTH_AGE_S:
                self._last = self._look()
                self._looked_at = self._system.monotonic()
            return self._last
        finally:
            self._lock.release()


@functools.cache
def document_text(version: str) -> bytes:
    """The description of the API, made when somebody first asks for it."""
    return encoded(document(version))


# Pure pieces ----------------------------------------------------------------------------------------------------------------------------------------


def check_change(request: Request) -> None:
    """Refusal 403 for a foreign page, 415 for what is no JSON, 411 for a body without a length."""
    headers = request.headers
    host = request.environ.get("HTTP_HOST", "")
    if not doors.is_own_page(request.environ["wsgi.url_scheme"], host, headers.get("Origin"), headers.get("Sec-Fetch-Site")):
        raise Refusal(403, "a page of another origin may not change anything here", Code.REFUSED)
    if request.mimetype != JSON:
        raise Refusal(415, f"a command is JSON: send `Content-Type: {JSON}`", Code.BAD_REQUEST)
    if request.content_length is None:
        raise Refusal(411, "say how long the body is, in a Content-Length header", Code.BAD_REQUEST)


def read_command(request: Request) -> Command:
    """The body of a command.  EfError BAD_REQUEST, TOO_LARGE."""
    if (request.content_length or 0) > (request.max_content_length or 0):
        raise EfError(f"a body has at most {request.max_content_length} bytes", Code.TOO_LARGE)
    body = request.get_data(cache=False)
    if len(body) > MAX_FRAME - (4 << 10):
        raise EfError(f"a command has at most {MAX_FRAME - (4 << 10)} bytes", Code.TOO_LARGE)
    try:
        command = _command.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EfError(f"not a command: {readable(error)}; it is {FORM}", Code.BAD_REQUEST) from error
    if bool(command.verb) == bool(command.line):
        raise EfError(f"a command has a verb or a line; it is {FORM}", Code.BAD_REQUEST)
    return command


def call_of(command: Command, asker: Asker) -> tuple[Call | ConsoleCall, bool]:
    """What to ask, and whether it may take long.  EfError when the verb, its fields or the role do not allow it."""
    given = f"web-{command.id}" if command.id else new_id()
    who = asker.who
    if command.line:
        return ConsoleCall(id=given, line=command.line, role=asker.role, on_behalf=who, language=command.language), True
    allowed(command.verb, bytes(command.fields), asker)
    call = Call(id=given, verb=command.verb, fields=command.fields, role=asker.role, on_behalf=who, language=command.language)
    return call, declared(command.verb).endless


def allowed(verb: str, fields: bytes, asker: Asker) -> None:
    """EfError when there is no such verb, when the role may not, or when the fields are not as declared; in this order."""
    if not asker.role.includes(declared(verb).role):
        raise EfError(f"{verb} needs the role {declared(verb).role}; your token has {asker.role}", Code.REFUSED)
    verb_of(verb, fields)


def answer_response(answer: Answer) -> Response:
    """An answer; one that tells of a failure has the status of the first one."""
    return json_response(answer, status_of_answer(answer))


def status_of_answer(answer: Answer) -> int:
    """200, or the status of the first thing in it that went wrong."""
    if isinstance(answer, Done):
        return next((TABLE[row.code if row.code is not Code.OK else Code.TASK_FAILED].http_status for row in answer.rows if not row.ok), 200)
    if isinstance(answer, Lines):
        return TABLE[Code(answer.code)].http_status if answer.code in set(Code) else 400
    return 200


def without_secrets(answer: Answer, role: Role) -> Answer:
    """The answer as this role may see it: only admins see values of environments."""
    if role is Role.ADMIN or not isinstance(answer, Specs):
        return answer
    replace = msgspec.structs.replace
    rows = [replace(row, spec=replace(row.spec, environment=dict.fromkeys(row.spec.environment, HIDDEN))) for row in answer.rows]
    return replace(answer, rows=rows)


def no_such_task(name: str) -> EfError:
    """In words."""
    return EfError(f"there is no task {name[:64]!r}", Code.NO_SUCH_TASK)


def expected(answer: Answer, kind: type[T]) -> T:
    """The answer, when it is of this kind."""
    if not isinstance(answer, kind):
        raise EfError(f"the middle interface answered with {type(answer).__name__}", Code.INTERNAL)
    return answer


def new_id() -> str:
    """An id that no other call has."""
    return f"web-{uuid.uuid4().hex}"

"""The web application without processes: a line that answers from memory, and a client that speaks to it through WSGI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from werkzeug.test import Client
from werkzeug.test import TestResponse as Answered

from efsupervisor.conf.schema import TaskSpec, WebSpec
from efsupervisor.core.web.app import Application
from efsupervisor.core.web.auth import Doorman, TokenFile
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import About, Answer, Call, ConsoleCall, Done, Lines, Specs, Tasks
from efsupervisor.messages.core import ServiceRow, TaskDetail, TaskStatus
from efsupervisor.states import Goal, Role, State
from efsupervisor.system import REAL, Real

HOST = "127.0.0.1:8642"
TOKENS = {Role.ADMIN: "a" * 43, Role.OPERATE: "o" * 43, Role.VIEW: "v" * 43}
SECRET = "s3cret"


def row(name: str, state: State = State.RUNNING) -> TaskStatus:
    """One task's status."""
    fields: dict[str, Any] = {"name": name, "state": state, "goal": Goal.ACT}
    needed = {each.name for each in msgspec.structs.fields(TaskStatus) if each.required}
    return msgspec.convert({**dict.fromkeys(needed, 0), **fields}, TaskStatus, strict=False)


def detail(name: str) -> TaskDetail:
    """One task's specification, with something secret in it."""
    return TaskDetail(spec=TaskSpec(name=name, command=["sleep", "9"], environment={"TOKEN": SECRET}))


class FakeLine:
    """A middle interface that is asked and answers at once; what is in `failing` is raised, what is in `answers` returned instead."""

    def __init__(self) -> None:
        self.asked: list[tuple[Call | ConsoleCall, float]] = []
        self.failing: dict[str, EfError] = {}
        self.answers: dict[str, Answer] = {}
        self.tasks = ["sleep", "일꾼"]

    def ask(self, call: Call | ConsoleCall, deadline_s: float) -> Answer:
        """As Link.ask."""
        self.asked.append((call, deadline_s))
        if isinstance(call, ConsoleCall):
            return self.answers.get("line", Lines(lines=["OK : done"]))
        if call.verb in self.failing:
            raise self.failing[call.verb]
        if call.verb in self.answers:
            return self.answers[call.verb]
        names = msgspec.json.decode(call.fields).get("names") or self.tasks
        match call.verb:
            case "daemon.version":
                return About(version="1", pid=4711, since=0.0, services=[ServiceRow(name="web", state=State.RUNNING)])
            case "task.status":
                return Tasks(rows=[row(name) for name in names if name in self.tasks])
            case "task.show":
                return Specs(rows=[detail(name) for name in names if name in self.tasks])
            case _:
                return Done(rows=[])


class Web:
    """An application and a client of it.  `line` is its middle interface."""

    def __init__(self, folder: Path, *, system: Real = REAL, web: WebSpec = WebSpec()) -> None:  # noqa: B008  frozen
        path = folder / "web.token"
        path.write_text("".join(f"{role} {token}\n" for role, token in TOKENS.items()))
        path.chmod(0o600)
        self.line = FakeLine()
        self.application = Application(self.line, Doorman(TokenFile(str(path), system), system), web, system, version="1")
        self._client = Client(self.application)

    def ask(self, method: str, path: str, role: Role | None = Role.ADMIN, headers: dict[str, str] | None = None, **others: Any) -> Answered:
        """One request; role: whose token it carries."""
        given = {"Host": HOST} | ({"Authorization": f"Bearer {TOKENS[role]}"} if role else {}) | (headers or {})
        environ = {"REMOTE_ADDR": "127.0.0.1", **others.pop("environ_base", {})}
        return self._client.open(path, method=method, headers=given, environ_base=environ, **others)

    def get(self, path: str, role: Role | None = Role.ADMIN, **others: Any) -> Answered:
        """Look."""
        return self.ask("GET", path, role, **others)

    def post(self, command: object, role: Role | None = Role.ADMIN, headers: dict[str, str] | None = None, **others: Any) -> Answered:
        """Command."""
        data = command if isinstance(command, bytes) else msgspec.json.encode(command)
        return self.ask("POST", "/api/v1/commands", role, {"Content-Type": "application/json", **(headers or {})}, data=data, **others)


FAILED = EfError("it is not there", Code.NOT_RUNNING)

"""Every method of supervisord's XML-RPC, in one flat table of declared functions.

A name is looked up in the table and nowhere else: dots lead nowhere, so no name of a client's can reach an object of ours (CVE-2017-11610).  What a
method takes is declared with it, and checked before it runs.  A method that changes something says verbs of efsupervisor.interface.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.web.xmlrpc import logs, programs
from efsupervisor.core.web.xmlrpc.faults import Fault, RpcFault
from efsupervisor.core.web.xmlrpc.house import RpcHouse, kept
from efsupervisor.core.web.xmlrpc.marshal import Ready
from efsupervisor.core.web.xmlrpc.picture import RUNNING, SIGNALLABLE, Member, Picture, config_info, info, status_row
from efsupervisor.core.web.xmlrpc.starting import started
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.task import signal_number
from efsupervisor.messages.call import Difference, Done
from efsupervisor.states import State
from efsupervisor.task.paths import TaskPaths

API_VERSION = "3.0"
SUPERVISOR_VERSION = "4.3.0"
"""Whose interface this is; clients look at it."""

STATE = {"statecode": 1, "statename": "RUNNING"}
Function = Callable[..., Awaitable[Any]]


class Method(NamedTuple):
    """One method.  params: (type, name) in order; required: how many of them must be said.  returns: type and name.  guarded: not while the
    supervisor ends."""

    run: Function
    help: str
    params: tuple[tuple[str, str], ...]
    required: int
    returns: str
    guarded: bool

    @property
    def signature(self) -> list[str]:
        """As system.methodSignature has it."""
        return [self.returns, *(kind for kind, _name in self.params)]

    @property
    def text(self) -> str:
        """As system.methodHelp has it."""
        lines = [f"@param {kind} {name}" for kind, name in self.params]
        return "\n".join([self.help, "", *lines, f"@return {self.returns} result"])


METHODS: dict[str, Method] = {}


def method(
    *names: str, params: str = "", returns: str = "boolean", guarded: bool = True, space: str = "supervisor"
) -> Callable[[Function], Function]:
    """Declare a method under these names of a namespace.  params: `type name`, separated by commas; one with `=` may be left out."""

    def declare(function: Function) -> Function:
        found = [tuple(each.replace("=", " ").split()) for each in params.split(",") if each.strip()]
        required = sum("=" not in each for each in params.split(",") if each.strip())
        declared = Method(function, (function.__doc__ or "").strip(), tuple((each[0], each[1]) for each in found), required, returns, guarded)
        METHODS.update({f"{space}.{name}": declared for name in names})
        return function

    return declare


# The supervisor -------------------------------------------------------------------------------------------------------------------------------------


@method("getAPIVersion", "getVersion", returns="string")
async def api_version(_house: RpcHouse) -> str:
    """The version of this interface."""
    return API_VERSION


@method("getSupervisorVersion", returns="string")
async def supervisor_version(_house: RpcHouse) -> str:
    """The version of supervisord whose interface this is."""
    return SUPERVISOR_VERSION


@method("getIdentification", returns="string")
async def identification(house: RpcHouse) -> str:
    """What the supervisor calls itself."""
    return house.spec.identifier


@method("getState", returns="struct")
async def state(_house: RpcHouse) -> dict[str, Any]:
    """The state of the supervisor, as statecode and statename; only ever RUNNING, for else there is a fault."""
    return STATE


@method("getPID", returns="int")
async def pid(house: RpcHouse) -> int:
    """The pid of the supervisor."""
    return (await house.about()).pid


@method("readLog", "readMainLog", params="int offset,int length", returns="string")
async def read_log(house: RpcHouse, offset: int, length: int) -> str:
    """Bytes of the supervisor's own log."""
    return logs.read(logs.plain(house.log), offset, length)


@method("clearLog")
async def clear_log(house: RpcHouse) -> bool:
    """Empty the supervisor's own log."""
    try:
        os.truncate(house.log, 0)
    except FileNotFoundError as error:
        raise RpcFault(Fault.NO_FILE) from error
    except OSError as error:
        raise RpcFault(Fault.FAILED, error) from error
    return True


@method("shutdown")
async def shutdown(house: RpcHouse) -> bool:
    """Stop everything, then the supervisor."""
    house.ending = True
    house.begin("daemon.shutdown")
    return True


@method("restart")
async def restart(house: RpcHouse) -> bool:
    """Read the configuration again and start everything anew; a configuration that cannot be used changes nothing, and is a fault."""
    await house.call("daemon.reload", None)
    house.changed()
    return True


# The configuration ----------------------------------------------------------------------------------------------------------------------------------


@method("reloadConfig", returns="array")
async def reload_config(house: RpcHouse) -> list[list[list[str]]]:
    """Read the configuration again and say which groups were added, changed and removed; nothing is changed."""
    try:
        found = kept(await house.ask("conf.reread"), Difference)
    except EfError as error:
        raise RpcFault(Fault.CANT_REREAD, error.message) from error
    picture = await house.picture(0.0)
    house.reread = [change for change in found.rows if change.noun == "task"]
    return [group_changes(house.reread, picture)]


def group_changes(changes: list[Any], picture: Picture) -> list[list[str]]:
    """Groups that are added, changed and removed.  A group some of whose members come, go or differ is a changed one."""
    of_task = {each.task: each.group for each in picture.members}
    touched: dict[str, set[str]] = {}
    for change in changes:
        group = of_task.get(change.name) or change.group or change.name
        touched.setdefault(group, set()).add(change.what)
    gone = {change.name for change in changes if change.what == "removed"}
    added, changed, removed = list[str](), list[str](), list[str]()
    for group, kinds in sorted(touched.items()):
        members = picture.groups.get(group, [])
        if not members:
            added.append(group)
        elif kinds == {"removed"} and all(each.task in gone for each in members):
            removed.append(group)
        else:
            changed.append(group)
    return [added, changed, removed]


GONE_LOOKS, GONE_S = 500, 0.02
"""How often, and how far apart in seconds, it is looked whether a group that was removed is gone."""


@method("addProcessGroup", params="string name")
async def add_process_group(house: RpcHouse, name: str) -> bool:
    """Take a group of the configuration file in."""
    picture = await house.picture(0.0)
    if name in picture.groups:
        raise RpcFault(Fault.ALREADY_ADDED, name)
    found = kept(await house.call("conf.update", None, only=[name], yes=True), Difference)
    house.changed()
    if not any(change.noun == "task" for change in found.rows):
        raise RpcFault(Fault.BAD_NAME, name)
    return True


@method("removeProcessGroup", params="string name")
async def remove_process_group(house: RpcHouse, name: str) -> bool:
    """Take a group that is at rest out of what is supervised."""
    picture = await house.picture(0.0)
    if name not in picture.groups:
        raise RpcFault(Fault.BAD_NAME, name)
    if any(each.status.state not in (State.STOPPED, State.EXITED, State.FATAL) for each in picture.groups[name]):
        raise RpcFault(Fault.STILL_RUNNING, name)
    await house.call("conf.remove", None, names=[each.task for each in picture.groups[name]])
    house.changed()
    for _ in range(GONE_LOOKS):  # a worker that has said its last word may still be ending; until then its task is listed
        if name not in (await house.picture(0.0)).groups:
            return True
        await house.pause(GONE_S)
    raise RpcFault(Fault.STILL_RUNNING, name)


@method("getAllConfigInfo", returns="array")
async def all_config_info(house: RpcHouse) -> list[dict[str, Any]]:
    """Every process as it is configured."""
    picture = await house.picture()
    rows = [config_info(each.group, each.name, each.detail.spec) for each in picture.members]
    known = {each.task for each in picture.members}
    for change in house.reread:
        if change.what == "added" and change.name not in known:
            rows.append(config_info(change.group or change.name, change.name, TaskSpec(name=change.name, command=[]), in_use=False))
    return sorted(rows, key=lambda row: row["name"])


# Looking --------------------------------------------------------------------------------------------------------------------------------------------


@method("getProcessInfo", params="string name", returns="struct")
async def process_info(house: RpcHouse, name: str) -> dict[str, Any]:
    """Everything about one process."""
    picture = await house.picture()
    return info(picture.one(name), picture.wall)


@method("getAllProcessInfo", returns="array")
async def all_process_info(house: RpcHouse) -> Ready:
    """Everything about every process."""
    return Ready((await house.picture()).all_info())


# Starting and stopping ------------------------------------------------------------------------------------------------------------------------------


@method("startProcess", params="string name,boolean wait=")
async def start_process(house: RpcHouse, name: str, wait: object = True) -> Any:
    """Start a process; `group:*` starts a whole group."""
    picture = await house.picture(0.0)
    each = picture.find(name)
    if each is None:
        return await start_members(house, picture.group(name.partition(":")[0]), wait)
    programs.check(each.detail.spec)
    if each.status.state in RUNNING:
        raise RpcFault(Fault.ALREADY_STARTED, name)
    if each.status.state is State.UNKNOWN:
        raise RpcFault(Fault.FAILED, f"{name} is in an unknown process state")
    fault = (await started(house, [each], wait=bool(wait)))[each.task]
    if fault is not Fault.SUCCESS:
        raise RpcFault(fault, name)
    return True


@method("startProcessGroup", params="string name,boolean wait=", returns="array")
async def start_process_group(house: RpcHouse, name: str, wait: object = True) -> list[dict[str, Any]]:
    """Start every process of a group."""
    return await start_members(house, (await house.picture(0.0)).group(name), wait)


@method("startAllProcesses", params="boolean wait=", returns="array")
async def start_all_processes(house: RpcHouse, wait: object = True) -> list[dict[str, Any]]:
    """Start every process."""
    return await start_members(house, (await house.picture(0.0)).by_priority(), wait)


async def start_members(house: RpcHouse, members: list[Member], wait: object) -> list[dict[str, Any]]:
    """Start those that do not run, at the same time; a row for each."""
    rows, going = list[dict[str, Any]](), list[Member]()
    for each in members:
        if each.status.state in RUNNING:
            continue
        try:
            programs.check(each.detail.spec)
            going.append(each)
        except RpcFault as refusal:
            rows.append(status_row(each, refusal.fault, refusal.text))
    faults = await started(house, going, wait=bool(wait)) if going else {}
    for each in going:
        fault = faults[each.task]
        rows.append(status_row(each) if fault is Fault.SUCCESS else status_row(each, fault, RpcFault(fault, each.namespec).text))
    return rows


@method("stopProcess", params="string name,boolean wait=")
async def stop_process(house: RpcHouse, name: str, wait: object = True) -> Any:
    """Stop a process; `group:*` stops a whole group."""
    picture = await house.picture(0.0)
    each = picture.find(name)
    if each is None:
        return await stop_members(house, picture.group(name.partition(":")[0]), wait)
    if each.status.state not in RUNNING:
        raise RpcFault(Fault.NOT_RUNNING, name)
    row = (await stop_members(house, [each], wait))[0]
    if row["status"] != Fault.SUCCESS:
        raise RpcFault(Fault.FAILED, row["description"])
    return True


@method("stopProcessGroup", params="string name,boolean wait=", returns="array")
async def stop_process_group(house: RpcHouse, name: str, wait: object = True) -> list[dict[str, Any]]:
    """Stop every process of a group."""
    return await stop_members(house, (await house.picture(0.0)).group(name), wait)


@method("stopAllProcesses", params="boolean wait=", returns="array")
async def stop_all_processes(house: RpcHouse, wait: object = True) -> list[dict[str, Any]]:
    """Stop every process."""
    return await stop_members(house, (await house.picture(0.0)).by_priority(), wait)


async def stop_members(house: RpcHouse, members: list[Member], wait: object) -> list[dict[str, Any]]:
    """Stop those that run, at the same time; a row for each."""
    going = [each for each in members if each.status.state in RUNNING]
    return await each_done(house, going, "trm", None, wait=bool(wait))


@method("signalProcess", params="string name,string signal")
async def signal_process(house: RpcHouse, name: str, signal: str) -> Any:
    """Send a signal, said by name or number, to a process; `group:*` sends it to a whole group."""
    picture = await house.picture(0.0)
    each = picture.find(name)
    if each is None:
        return await signal_members(house, picture.group(name.partition(":")[0]), signal)
    check_signal(signal)
    if each.status.state not in SIGNALLABLE:
        raise RpcFault(Fault.NOT_RUNNING, name)
    row = (await signal_members(house, [each], signal))[0]
    if row["status"] != Fault.SUCCESS:
        raise RpcFault(Fault.FAILED, row["description"])
    return True


@method("signalProcessGroup", params="string name,string signal", returns="array")
async def signal_process_group(house: RpcHouse, name: str, signal: str) -> list[dict[str, Any]]:
    """Send a signal to every process of a group."""
    return await signal_members(house, (await house.picture(0.0)).group(name), signal)


@method("signalAllProcesses", params="string signal", returns="array")
async def signal_all_processes(house: RpcHouse, signal: str) -> list[dict[str, Any]]:
    """Send a signal to every process."""
    return await signal_members(house, (await house.picture(0.0)).by_priority(), signal)


async def signal_members(house: RpcHouse, members: list[Member], signal: str) -> list[dict[str, Any]]:
    """Send a signal to those that can take one; a row for each."""
    going = [each for each in members if each.status.state in SIGNALLABLE]
    try:
        check_signal(signal)
    except RpcFault as fault:
        return [status_row(each, fault.fault, fault.text) for each in going]
    return await each_done(house, going, "task.signal", signal=signal)


def check_signal(signal: str) -> None:
    """RpcFault BAD_SIGNAL."""
    try:
        signal_number(signal)
    except EfError as error:
        raise RpcFault(Fault.BAD_SIGNAL, signal) from error


async def each_done(house: RpcHouse, members: list[Member], verb: str, deadline_s: float | None = 10.0, **fields: object) -> list[dict[str, Any]]:
    """One verb for all of them; a row for each."""
    if not members:
        return []
    answer = kept(await house.call(verb, deadline_s, names=[each.task for each in members], **fields), Done)
    house.changed()
    wrong = {row.task: row for row in answer.rows if not row.ok}
    rows = []
    for each in members:
        row = wrong.get(each.task)
        fault = Fault.NOT_RUNNING if row is not None and row.code is Code.BAD_STATE else Fault.FAILED
        rows.append(status_row(each) if row is None else status_row(each, fault, RpcFault(fault, row.sentence).text))
    return rows


# Logs -----------------------------------------------------------------------------------------------------------------------------------------------


def log_of(house: RpcHouse, each: Member, stream: str) -> logs.Log:
    """One of a process's logs.  RpcFault NO_FILE before it was ever started, and for a stderr that is part of stdout."""
    paths = TaskPaths(each.detail.folder)
    folder = paths.out_journal if stream == "out" else paths.err_journal
    if not each.status.incarnation or (stream == "err" and each.detail.spec.redirect_stderr):
        raise RpcFault(Fault.NO_FILE, folder)
    return logs.journal(folder, house.system)


async def read_process(house: RpcHouse, name: str, offset: int, length: int, stream: str) -> str:
    """Bytes of a process's log."""
    return logs.read(log_of(house, (await house.picture()).one(name), stream), offset, length)


async def tail_process(house: RpcHouse, name: str, offset: int, length: int, stream: str) -> list[object]:
    """The end of a process's log; nothing where there is no log yet."""
    each = (await house.picture()).one(name)
    try:
        return logs.tail(log_of(house, each, stream), offset, length)
    except RpcFault as fault:
        if fault.fault is not Fault.NO_FILE:
            raise
        return ["", 0, False]


@method("readProcessStdoutLog", "readProcessLog", params="string name,int offset,int length", returns="string")
async def read_stdout(house: RpcHouse, name: str, offset: int, length: int) -> str:
    """Bytes of what a process wrote to stdout."""
    return await read_process(house, name, offset, length, "out")


@method("readProcessStderrLog", params="string name,int offset,int length", returns="string")
async def read_stderr(house: RpcHouse, name: str, offset: int, length: int) -> str:
    """Bytes of what a process wrote to stderr."""
    return await read_process(house, name, offset, length, "err")


@method("tailProcessStdoutLog", "tailProcessLog", params="string name,int offset,int length", returns="array")
async def tail_stdout(house: RpcHouse, name: str, offset: int, length: int) -> list[object]:
    """The end of what a process wrote to stdout: text, offset of the end, and whether something before it was left out."""
    return await tail_process(house, name, offset, length, "out")


@method("tailProcessStderrLog", params="string name,int offset,int length", returns="array")
async def tail_stderr(house: RpcHouse, name: str, offset: int, length: int) -> list[object]:
    """The end of what a process wrote to stderr: text, offset of the end, and whether something before it was left out."""
    return await tail_process(house, name, offset, length, "err")


@method("clearProcessLogs", "clearProcessLog", params="string name")
async def clear_process_logs(house: RpcHouse, name: str) -> bool:
    """Begin the logs of a process anew."""
    each = (await house.picture()).one(name)
    row = (await each_done(house, [each], "task.clear"))[0]
    if row["status"] != Fault.SUCCESS:
        raise RpcFault(Fault.FAILED, row["description"].partition(": ")[2])
    return True


@method("clearAllProcessLogs", returns="array")
async def clear_all_process_logs(house: RpcHouse) -> list[dict[str, Any]]:
    """Begin the logs of every process anew."""
    rows = await each_done(house, (await house.picture()).by_priority(), "task.clear")
    return [row if row["status"] == Fault.SUCCESS else {**row, "status": int(Fault.FAILED)} for row in rows]


# Saying something -----------------------------------------------------------------------------------------------------------------------------------


@method("sendProcessStdin", params="string name,string chars")
async def send_process_stdin(house: RpcHouse, name: str, chars: str) -> bool:
    """Write to the stdin of a process, line by line; a last line without an end gets one."""
    each = (await house.picture()).one(name)
    if not each.status.pid or each.status.state is State.STOPPING:
        raise RpcFault(Fault.NOT_RUNNING, name)
    for line in chars.removesuffix("\n").split("\n"):
        try:
            await house.ask("stdin.put", task=each.task, text=line)
        except EfError as error:
            raise RpcFault(Fault.NO_FILE if error.code is Code.NO_INPUT else Fault.FAILED, error.message) from error
    return True


@method("sendRemoteCommEvent", params="string type,string data", guarded=False)
async def send_remote_comm_event(house: RpcHouse, topic: str, data: str) -> bool:
    """Say something to the event listeners that want REMOTE_COMMUNICATION."""
    await house.call("daemon.emit", topic=topic or "-", text=data)
    return True

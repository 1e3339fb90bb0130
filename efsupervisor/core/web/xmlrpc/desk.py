"""One call, or a multicall: looked up, checked, run, and answered as XML.  The namespace `system` is here, for it speaks of the table.

An answer is always given: a value, or a fault.  What a method did not foresee is FAILED for the client and a stack in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from efsupervisor.core.web.xmlrpc import marshal
from efsupervisor.core.web.xmlrpc.faults import Fault, RpcFault, of_error
from efsupervisor.core.web.xmlrpc.house import STATE_S, RpcHouse, drive
from efsupervisor.core.web.xmlrpc.methods import METHODS, Method, method
from efsupervisor.errors import EfError

MULTICALL = "system.multicall"
MAX_CALLS = 1000
"""Calls of one multicall."""

Answer = Callable[[bytes], None]
_log = logging.getLogger("xmlrpc")


class RpcDesk:
    """Answers calls for every connection."""

    def __init__(self, house: RpcHouse) -> None:
        self.house = house

    def serve(self, name: str, params: tuple[Any, ...], answer: Answer) -> None:
        """Answer one call, now or later; `answer` gets the body, once."""

        def done(value: Any) -> None:
            try:
                body = marshal.response(value)
            except (TypeError, UnicodeEncodeError) as error:
                failed(error)
                return
            answer(body)

        def failed(error: BaseException) -> None:
            answer(marshal.fault_response(as_fault(name, error)))

        drive(self.run(name, params), done, failed)

    async def run(self, name: str, params: tuple[Any, ...]) -> Any:
        """The value of one call; RpcFault, EfError."""
        if name == MULTICALL:
            return await self._multicall(*params) if len(params) == 1 else _wrong()
        found = METHODS.get(name)
        if found is None:
            raise RpcFault(Fault.UNKNOWN_METHOD)
        given = checked(found, params)
        if found.guarded:
            if self.house.ending:
                raise RpcFault(Fault.SHUTDOWN_STATE)
            await self.house.picture(STATE_S)
        return await found.run(self.house, *given)

    async def _multicall(self, calls: Any) -> list[Any]:
        """One after the other; each result is a bare value, or a fault as a struct, as supervisord gives them."""
        if not isinstance(calls, list) or len(calls) > MAX_CALLS:
            raise RpcFault(Fault.INCORRECT_PARAMETERS)
        return [await self._one_of_many(each) for each in calls]

    async def _one_of_many(self, call: Any) -> Any:
        name = call.get("methodName") if isinstance(call, dict) else None
        params = call.get("params", []) if isinstance(call, dict) else []
        try:
            if not isinstance(name, str):
                raise RpcFault(Fault.INCORRECT_PARAMETERS, "No methodName")
            if name == MULTICALL:
                raise RpcFault(Fault.INCORRECT_PARAMETERS, "Recursive system.multicall forbidden")
            return await self.run(name, tuple(params) if isinstance(params, list) else _wrong())
        except Exception as error:  # the edge between one call and the others
            return marshal.fault_struct(as_fault(str(name), error))


def as_fault(name: str, error: BaseException) -> RpcFault:
    """What a client is told of whatever went wrong."""
    if isinstance(error, RpcFault):
        return error
    if isinstance(error, EfError):
        return of_error(error)
    _log.error("%s failed", name[:100], exc_info=error)
    return RpcFault(Fault.FAILED, "the log of the supervisor says more")


def _wrong() -> Any:
    raise RpcFault(Fault.INCORRECT_PARAMETERS)


def checked(found: Method, params: tuple[Any, ...]) -> list[Any]:
    """The parameters as the method takes them.  RpcFault INCORRECT_PARAMETERS."""
    if not found.required <= len(params) <= len(found.params):
        raise RpcFault(Fault.INCORRECT_PARAMETERS)
    return [_fitting(kind, given) for (kind, _name), given in zip(found.params, params, strict=False)]


def _fitting(kind: str, given: Any) -> Any:
    """A number may come as text, a signal as a number, and anything is true or false, as in supervisord."""
    match kind:
        case "int":
            try:
                return int(given)
            except (TypeError, ValueError):
                raise RpcFault(Fault.INCORRECT_PARAMETERS) from None
        case "boolean":
            return bool(given)
        case "string":
            return str(given) if isinstance(given, str | int) and not isinstance(given, bool) else _wrong()
        case _:
            return given


# system ---------------------------------------------------------------------------------------------------------------------------------------------


@method("listMethods", returns="array", guarded=False, space="system")
async def list_methods(_house: RpcHouse) -> list[str]:
    """The names of all methods."""
    return sorted(METHODS)


@method("methodHelp", params="string name", returns="string", guarded=False, space="system")
async def method_help(_house: RpcHouse, name: str) -> str:
    """What a method does."""
    return described(name).text


@method("methodSignature", params="string name", returns="array", guarded=False, space="system")
async def method_signature(_house: RpcHouse, name: str) -> list[str]:
    """The type of a method's result, and of each parameter."""
    return described(name).signature


@method("multicall", params="array calls", returns="array", guarded=False, space="system")
async def multicall(_house: RpcHouse, _calls: list[Any]) -> list[Any]:
    """Several calls in one: structs of methodName and params; each result is a value, or a struct of faultCode and faultString."""
    raise RpcFault(Fault.UNKNOWN_METHOD)  # RpcDesk.run is where it is done


def described(name: str) -> Method:
    """A method of the table.  RpcFault SIGNATURE_UNSUPPORTED."""
    found = METHODS.get(name)
    if found is None:
        raise RpcFault(Fault.SIGNATURE_UNSUPPORTED)
    return found

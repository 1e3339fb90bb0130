"""supervisord's faults: a number, a name, and what it is about.  Its clients know the numbers, people the texts.

Source: supervisor 4.3.0, xmlrpc.py (Faults, RPCError)."""

from __future__ import annotations

import enum

from efsupervisor.errors import Code, EfError


class Fault(enum.IntEnum):
    """What a method may answer in place of a value."""

    UNKNOWN_METHOD = 1
    INCORRECT_PARAMETERS = 2
    BAD_ARGUMENTS = 3
    SIGNATURE_UNSUPPORTED = 4
    SHUTDOWN_STATE = 6
    BAD_NAME = 10
    BAD_SIGNAL = 11
    NO_FILE = 20
    NOT_EXECUTABLE = 21
    FAILED = 30
    ABNORMAL_TERMINATION = 40
    SPAWN_ERROR = 50
    ALREADY_STARTED = 60
    NOT_RUNNING = 70
    SUCCESS = 80
    ALREADY_ADDED = 90
    STILL_RUNNING = 91
    CANT_REREAD = 92


class RpcFault(Exception):
    """A fault.  text: `NAME`, or `NAME: extra`."""

    def __init__(self, fault: Fault, extra: object = None) -> None:
        self.fault = fault
        self.text = fault.name if extra is None else f"{fault.name}: {extra}"
        super().__init__(self.text)


_OF_CODE = {
    Code.NO_SUCH_TASK: Fault.BAD_NAME,
    Code.USAGE: Fault.BAD_NAME,
    Code.BAD_NAME: Fault.BAD_NAME,
    Code.CONFIG: Fault.CANT_REREAD,
    Code.BAD_REQUEST: Fault.INCORRECT_PARAMETERS,
}


def of_error(error: EfError) -> RpcFault:
    """One of our errors as a fault; what supervisord has no number for is FAILED, with our sentence."""
    return RpcFault(_OF_CODE.get(error.code, Fault.FAILED), error.message)

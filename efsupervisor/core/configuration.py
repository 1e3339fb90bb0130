"""Reading the configuration without keeping what it takes to read one.

PyYAML and the tree of a file of a thousand tasks are tens of MiB that the Core would carry for ever and copy the page tables of at every fork.  So a
child reads and checks the file, and what comes back over a pipe is the finished Config or the findings, in msgpack.  The child is the same program a
moment later: it sees the same file, user and limits. """

from __future__ import annotations

import os

import msgspec

from efsupervisor.conf.schema import Config
from efsupervisor.errors import Code, ConfigError, EfError
from efsupervisor.task import type_names


class Answer(msgspec.Struct, frozen=True):
    """What the child found: a configuration, or why there is none."""

    config: Config | None = None
    findings: list[str] = []


def read_configuration(path: str) -> Config:
    """The checked configuration.  ConfigError with every finding; EfError when the reading itself failed; OSError when there can be no child."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            _answer(writer, path)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    try:
        answer = msgspec.msgpack.decode(data, type=Answer)
    except msgspec.DecodeError as error:
        raise EfError(f"{path}: the configuration could not be read: its reader died", Code.INTERNAL) from error
    if answer.config is None:
        raise ConfigError(answer.findings)
    return answer.config


def _answer(writer: int, path: str) -> None:
    from efsupervisor.conf.loader import load  # late on purpose: this is the process that ends

    try:
        answer = Answer(config=load(path, types=type_names()))
    except ConfigError as error:
        answer = Answer(findings=error.findings)
    with open(writer, "wb") as file:
        file.write(msgspec.msgpack.encode(answer))

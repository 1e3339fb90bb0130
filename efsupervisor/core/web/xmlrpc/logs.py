"""Logs as clients of supervisord read them: a file that begins at 0, while a journal's offsets count on for ever.

Offset 0 of a client is the oldest byte that is still there.  A piece of text begins and ends between characters, whatever bytes were asked for; what
is no UTF-8 is shown as `\\xNN`, and control characters are the marshaller's to replace.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from efsupervisor.core.web.xmlrpc.faults import Fault, RpcFault
from efsupervisor.errors import EfError
from efsupervisor.journal import Reader
from efsupervisor.system import System

MAX_READ = 8 << 20
"""Bytes of a log in one answer."""

PIECE = 256 << 10


class Log:
    """One log.  read(offset, count): from the client's offset on; size: of the whole."""

    def __init__(self, size: int, read: Callable[[int, int], bytes]) -> None:
        self.size = size
        self.read = read


def journal(folder: str, system: System) -> Log:
    """A journal as a file.  RpcFault FAILED."""
    reader = Reader(folder, system=system)
    try:
        first, end = reader.first(), reader.end()
    except (EfError, OSError) as error:
        raise RpcFault(Fault.FAILED, error) from error
    finally:
        reader.close()

    def read(offset: int, count: int) -> bytes:
        return whole(folder, first + offset, min(count, end - first - offset), system)

    return Log(max(0, end - first), read)


def whole(folder: str, offset: int, count: int, system: System) -> bytes:
    """So many bytes of a journal, from an absolute offset; what is gone is left out.  RpcFault FAILED."""
    reader = Reader(folder, system=system)
    try:
        found, end = bytearray(), offset + max(0, count)
        while offset < end:
            data = reader.read(offset, min(PIECE, end - offset))
            if not data:
                following = reader.skip(offset)
                if following <= offset:
                    break
                offset = following
                continue
            found += data
            offset += len(data)
        return bytes(found)
    except (EfError, OSError) as error:
        raise RpcFault(Fault.FAILED, error) from error
    finally:
        reader.close()


def plain(path: str) -> Log:
    """An ordinary file.  RpcFault NO_FILE, FAILED."""
    try:
        size = os.stat(path).st_size
    except FileNotFoundError as error:
        raise RpcFault(Fault.NO_FILE, path) from error
    except OSError as error:
        raise RpcFault(Fault.FAILED, error) from error

    def read(offset: int, count: int) -> bytes:
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                return file.read(max(0, count))
        except OSError as error:
            raise RpcFault(Fault.FAILED, error) from error

    return Log(size, read)


def read(log: Log, offset: int, length: int) -> str:
    """readLog and its like.  A negative offset: the last bytes.  length 0: to the end.  RpcFault BAD_ARGUMENTS.

    Source: supervisor 4.3.0, options.py, readFile."""
    if length < 0 or (offset < 0 and length):
        raise RpcFault(Fault.BAD_ARGUMENTS)
    if offset < 0:
        offset, length = max(0, log.size + offset), min(-offset, log.size)
    elif length == 0:
        length = max(0, log.size - offset)
    return text(log.read(offset, min(length, MAX_READ)))


def tail(log: Log, offset: int, length: int) -> list[object]:
    """tailProcessLog and its like: text, offset of the end, whether something was left out.

    supervisord (options.py, tailFile) gives the last `length` bytes when more than that follow the offset; so do we."""
    overflow = log.size > offset + length
    start = max(0, log.size - length) if overflow else min(max(0, offset), log.size)
    data = log.read(start, min(max(0, length), MAX_READ, log.size - start))
    return [text(data), log.size, overflow]


def text(data: bytes) -> str:
    """Bytes as text, without the parts of characters at both ends."""
    return data[lead(data) : whole_characters(data)].decode("utf-8", "backslashreplace")


def lead(data: bytes) -> int:
    """How many bytes at the beginning belong to a character that began before."""
    count = 0
    while count < min(3, len(data)) and data[count] & 0xC0 == 0x80:
        count += 1
    return count if count < len(data) else 0


def whole_characters(data: bytes) -> int:
    """How many bytes there are up to the end of the last whole character."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0xC0:
            wanted = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < wanted else len(data)
        if byte < 0x80:
            break
    return len(data)

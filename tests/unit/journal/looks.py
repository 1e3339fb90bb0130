"""What tests ask of a journal's folder from outside, by reading the files themselves."""

from __future__ import annotations

from pathlib import Path

from efsupervisor.journal import Reader
from efsupervisor.system import REAL


def segments(folder: Path | str) -> dict[int, bytes]:
    """Base offset -> content of each segment, ascending."""
    return {int(path.stem): path.read_bytes() for path in sorted(Path(folder).glob("*.log"))}


def content(folder: Path | str) -> bytes:
    """All bytes, with a check that the segments neither overlap nor leave a hole and that all but the last are sealed."""
    found = segments(folder)
    at = next(iter(found), 0)
    for base, data in found.items():
        assert base == at, f"segment {base} begins where {at} was expected"
        at += len(data)
    modes = [path.stat().st_mode & 0o777 for path in sorted(Path(folder).glob("*.log"))]
    assert modes == [0o440] * (len(modes) - 1) + [0o640] * min(1, len(modes))
    return b"".join(found.values())


def drained(reader: Reader, offset: int = 0, limit: int = 1 << 16) -> bytes:
    """Everything a reader gives from `offset`, holes stepped over."""
    parts = []
    while True:
        data = reader.read(offset, limit)
        if not data:
            beyond = reader.skip(offset)
            if beyond == offset:
                return b"".join(parts)
            offset = beyond
        parts.append(data)
        offset += len(data)


def fresh(folder: Path | str) -> Reader:
    """A reader on the real machine."""
    return Reader(str(folder), system=REAL)

"""Files with variables for a program: lines `NAME=value`, as `environment_files` lists them.

Blank lines and lines that begin with `#` or `;` say nothing.  A value may stand in single or double quotes, which are taken off; nothing in it is
expanded.  `export ` before a name is allowed, so that a file which a shell reads serves as well.
"""

from __future__ import annotations

import errno
import os

from efsupervisor.errors import SpawnFailed

MAX_FILE = 1 << 20


def read(paths: list[str]) -> dict[str, str]:
    """The variables of all files, later ones over earlier; SpawnFailed names the file that cannot be read or the line that is none."""
    found: dict[str, str] = {}
    for path in paths:
        found |= _one(path.removeprefix("-"), optional=path.startswith("-"))
    return found


def _one(path: str, *, optional: bool) -> dict[str, str]:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        if optional and error.errno == errno.ENOENT:
            return {}
        raise _refusal(f"{path} cannot be read: {error.strerror}", error.errno or errno.EINVAL) from error
    if len(data) > MAX_FILE or b"\0" in data:
        raise _refusal(f"{path} is no file of variables: it has a NUL or more than {MAX_FILE:,} bytes", errno.EINVAL)
    return parse(data.decode(errors="surrogateescape"), path)


def _without_waiting(path: str, flags: int) -> int:
    """A pipe without a writer is an empty file, and not a worker that stands still."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def parse(text: str, path: str) -> dict[str, str]:
    """The variables of a text.  SpawnFailed says the line that is none; it does not repeat it, since it may hold a secret."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip()
        if not said or said[0] in "#;":
            continue
        name, equals, value = said.removeprefix("export ").partition("=")
        if not equals or not name.strip() or " " in name.strip():
            raise _refusal(f"{path}:{number} is no variable: write NAME=value", errno.EINVAL)
        found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'" else value


def _refusal(sentence: str, number: int) -> SpawnFailed:
    return SpawnFailed("environment", number, f"environment_files: {sentence}", transient=False)

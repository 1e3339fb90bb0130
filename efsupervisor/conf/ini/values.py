"""What the types of a supervisord.conf accept: its datatypes.py, each as a function from the text to the value, or Unfit.

The machine is asked only through Machine (users, groups, folders), so that the rest is pure.  Numbers are those of Python's `int`: blanks around
them, underscores within them and a sign are fine.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import signal
from collections.abc import Callable

from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.names import shown
from efsupervisor.conf.web import EVENT_TYPES

_TRUE, _FALSE = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
_UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
LEVELS = ("critical", "error", "warn", "info", "debug", "trace", "blather")


def integer(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise Unfit(f'"{shown(text, 40)}" is not a whole number') from error


def boolean(text: str) -> bool:
    """yes, true, on, 1 and their opposites, in any case."""
    word = text.lower()
    if word not in _TRUE + _FALSE:
        raise Unfit(f'"{shown(text, 40)}" is neither true nor false')
    return word in _TRUE


def byte_size(text: str) -> int:
    """A number with KB, MB or GB (1,024 each) or without."""
    word = text.lower()
    factor = _UNITS.get(word[-2:])
    try:
        return int(word[:-2]) * factor if factor else int(word)
    except ValueError as error:
        raise Unfit(f'"{shown(text, 40)}" is not a size; write bytes, or a number with KB, MB or GB') from error


def octal(text: str) -> int:
    """A mask in octal digits."""
    try:
        return int(text, 8)
    except ValueError as error:
        raise Unfit(f'"{shown(text, 40)}" is not an octal number') from error


def autorestart(text: str) -> str:
    """`true`, `false` or `unexpected`."""
    word = text.lower()
    return word if word == "unexpected" else "true" if boolean(word) else "false"


def exitcodes(text: str) -> tuple[int, ...]:
    """Exit statuses between commas; perhaps none."""
    codes = tuple(integer(each) for each in text.split(",")) if text else ()
    if any(not 0 <= code <= 255 for code in codes):
        raise Unfit(f'"{shown(text, 40)}" has an exit status outside 0 to 255')
    return codes


def stop_signal(text: str) -> str:
    """A signal by name, with or without SIG, or by number; its name without SIG."""
    word = text.strip().upper()
    try:
        found = signal.Signals(int(word)) if re.fullmatch(r"\d{1,3}", word) else signal.Signals["SIG" + word.removeprefix("SIG")]
    except (KeyError, ValueError) as error:
        raise Unfit(f'"{shown(text, 40)}" is not a signal') from error
    return found.name.removeprefix("SIG")


def words(text: str) -> list[str]:
    """Words between commas."""
    return [word.strip() for word in text.split(",")] if text else []


def name(text: str) -> str:
    """Of a process or group."""
    word = text.strip()
    bad = next((each for each in " :/" if each in word), "")
    if bad:
        raise Unfit(f'"{shown(word, 40)}" is no name: it has "{bad}" in it')
    return word


def level(text: str) -> str:
    """How much the main log says."""
    word = text.lower()
    if word not in LEVELS:
        raise Unfit(f'"{shown(text, 40)}" is no level; known are {", ".join(LEVELS)}')
    return word


def events(text: str) -> tuple[str, ...]:
    """Types of events between commas."""
    found = tuple(sorted({word.upper() for word in words(text)}))
    for word in found:
        if word not in EVENT_TYPES:
            raise Unfit(f'"{shown(word, 40)}" is no type of event')
    return found


def pairs(text: str) -> dict[str, str]:
    """`KEY="value",KEY2=value2`, split as supervisord does: by shlex without POSIX rules."""
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():"
    try:
        tokens = list(lexer)
    except ValueError as error:
        raise Unfit(f'"{shown(text, 60)}" cannot be split: {error}') from error
    found: dict[str, str] = {}
    for at in range(0, len(tokens), 4):
        three = tokens[at : at + 3]
        if len(three) != 3 or three[1] != "=":
            raise Unfit(f'"{shown(text, 60)}" is no list of KEY="value" between commas')
        found[three[0]] = three[2].strip("'\"")
    return found


def inet(text: str) -> tuple[str, int]:
    """`port`, `host:port` or `*:port`; no host is every address."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = "", text
    number = integer(port)
    if not 1 <= number <= 0xFFFF:
        raise Unfit(f"{number} is no port")
    host = host.lower()
    return "" if host == "*" else host, number


class Machine:
    """Users, groups and folders as they are here.  cwd: what relative paths are relative to; home folders are those of the machine."""

    def __init__(self, cwd: str, is_dir: Callable[[str], bool] = os.path.isdir) -> None:
        self.cwd = cwd
        self._is_dir = is_dir

    def uid(self, text: str) -> int:
        """The number of a user who exists."""
        return self._found(text, lambda number: pwd.getpwuid(number).pw_uid, lambda word: pwd.getpwnam(word).pw_uid, "user")

    def gid(self, text: str) -> int:
        """The number of a group that exists."""
        return self._found(text, lambda number: grp.getgrgid(number).gr_gid, lambda word: grp.getgrnam(word).gr_gid, "group")

    def owner(self, text: str) -> tuple[int, int]:
        """`user` or `user:group`; -1 for a group that is not said."""
        user, colon, group = text.partition(":")
        return self.uid(user), self.gid(group) if colon else -1

    def folder(self, text: str) -> str:
        """A folder that exists."""
        path = os.path.expanduser(text)
        if not self._is_dir(self.absolute(path)):
            raise Unfit(f"{shown(path, 200)} is not an existing folder")
        return path

    def file(self, text: str) -> str:
        """A file in a folder that exists."""
        path = os.path.expanduser(text)
        folder = os.path.dirname(path)
        if folder and not self._is_dir(self.absolute(folder)):
            raise Unfit(f"the folder {shown(folder, 200)} does not exist")
        return path

    def absolute(self, path: str) -> str:
        """The path in full."""
        return os.path.normpath(os.path.join(self.cwd, path))

    def _found(self, text: str, by_number: Callable[[int], int], by_name: Callable[[str], int], what: str) -> int:
        try:
            return by_number(int(text)) if re.fullmatch(r"\s*[+-]?\d+\s*", text) else by_name(text)
        except (KeyError, OverflowError, ValueError) as error:
            raise Unfit(f'there is no {what} "{shown(text, 40)}" on this machine') from error

"""Who asks: tokens, the role each gives, and how often a guess is looked at.

The token file has a line `role token` for each token; lines that begin with `#` and empty ones are none.  It belongs to us and nobody else may
read it.  It is read again when it changes, so a token is taken back by taking its line out.  In memory there are digests only; every digest is
compared, in constant time, so the time of a refusal tells nothing.

From one address (a /64 network of IPv6) MAX_TRIES wrong tokens are looked at in WINDOW_S seconds; what comes after them is not, right or wrong, with
one exception: a token that was right from that address before goes on working, so nobody on this machine can shut the operator out.  The control
socket of `efctl` knows nothing of all this.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import os
import stat
import threading
from collections import OrderedDict, deque
from typing import NamedTuple

from efsupervisor.core.web.replies import Refusal, unauthorized
from efsupervisor.errors import Code, EfError
from efsupervisor.states import Role
from efsupervisor.system import System

MAX_TRIES = 10
WINDOW_S = 60.0
MAX_ADDRESSES = 4096
"""Addresses that are remembered; the one that was silent longest is forgotten first."""

MAX_FILE = 64 << 10
MIN_TOKEN = 16
LOOK_S = 0.5
"""How often the file is looked at for a change, at most."""

_log = logging.getLogger("auth")


class Entry(NamedTuple):
    """One token: the SHA-256 of it, and what it allows."""

    digest: bytes
    role: Role


def digest(token: str) -> bytes:
    """What is kept and compared of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def parse(text: str) -> list[Entry]:
    """The entries of a token file.  EfError CONFIG names the line that is none; a token is never part of the sentence."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[0] not in set(Role):
            raise EfError(f"line {number} is not `role token` with the role admin, operate or view", Code.CONFIG)
        if len(words[1]) < MIN_TOKEN:
            raise EfError(f"line {number}: a token has at least {MIN_TOKEN} characters", Code.CONFIG)
        found.append(Entry(digest(words[1]), Role(words[0])))
    return found


def role_of(token: str, entries: list[Entry]) -> Role | None:
    """The role of a token, None for one that is none.  Always compares with all."""
    mine, role = digest(token), None
    for entry in entries:
        if hmac.compare_digest(entry.digest, mine):
            role = entry.role
    return role


def read(path: str, system: System) -> tuple[str, tuple[int, ...]]:
    """The text of a token file and its identity.  EfError CONFIG when it is missing or others could read or write it."""
    try:
        fd = system.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise EfError(f"the token file {path} cannot be read: {error.strerror}", Code.CONFIG) from error
    try:
        state = system.fstat(fd)
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o077:
            raise EfError(f"the token file {path} must be a file of the supervisor's user with mode 0600; say `chmod 600` and `chown`", Code.CONFIG)
        if state.st_size > MAX_FILE:
            raise EfError(f"the token file {path} has more than {MAX_FILE} bytes", Code.CONFIG)
        return system.read(fd, MAX_FILE).decode("utf-8", "replace"), identity(state)
    finally:
        system.close(fd)


def identity(state: os.stat_result) -> tuple[int, ...]:
    """What differs when a file was replaced or changed."""
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_mode, state.st_uid


class TokenFile:
    """The tokens in force, for any thread.  A file that became bad lets nobody in; `fault` says why."""

    def __init__(self, path: str, system: System) -> None:
        self.fault = ""
        self._path = path
        self._system = system
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._identity: tuple[int, ...] = ()
        self._looked_at = float("-inf")

    def entries(self) -> list[Entry]:
        """The tokens, read again when the file is another."""
        with self._lock:
            now = self._system.monotonic()
            if now - self._looked_at >= LOOK_S:
                self._looked_at = now
                self._look()
            return self._entries

    def _look(self) -> None:
        try:
            if identity(self._system.stat(self._path)) == self._identity and not self.fault:
                return
        except OSError:
            self._identity = ()  # gone, or no way to it: reading says which
        try:
            text, self._identity = read(self._path, self._system)
            self._entries = parse(text)
        except EfError as error:
            self._entries = []
            self.fault = error.message
        else:
            self.fault = "" if self._entries else f"the token file {self._path} has no token, so nobody is let in"


# Guessing -------------------------------------------------------------------------------------------------------------------------------------------


def place_of(address: str) -> str:
    """Whom a try is charged to: the address, of IPv6 its /64 network."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(ip, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))


class Place:
    """What is remembered of one address: when its wrong tries were, and digests that were right."""

    __slots__ = ("proven", "wrong")

    def __init__(self) -> None:
        self.wrong: deque[float] = deque(maxlen=MAX_TRIES)
        self.proven: set[bytes] = set()


class Tries:
    """Wrong tries by address.  Pure but for its memory; `now` is monotonic."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, Place] = OrderedDict()

    def wait_s(self, address: str, token: str, now: float) -> float:
        """How long until a token of this address is looked at; 0.0: now."""
        place = self._places.get(place_of(address))
        if place is None or len(place.wrong) < MAX_TRIES or digest(token) in place.proven:
            return 0.0
        return max(0.0, place.wrong[0] + WINDOW_S - now)

    def wrong(self, address: str, now: float) -> int:
        """A token was wrong; how many were in the window, this one included."""
        wrong = self._place(address).wrong
        wrong.append(now)
        return sum(now - each < WINDOW_S for each in wrong)

    def right(self, address: str, token: str) -> None:
        """A token was right."""
        proven = self._place(address).proven
        if len(proven) < 64:
            proven.add(digest(token))

    def __len__(self) -> int:
        return len(self._places)

    def _place(self, address: str) -> Place:
        name = place_of(address)
        place = self._places.setdefault(name, Place())
        self._places.move_to_end(name)
        while len(self._places) > MAX_ADDRESSES:
            stranger = next((each for each, at in self._places.items() if not at.proven), next(iter(self._places)))
            del self._places[stranger]
        return place


class Doorman:
    """Lets in who has a token, from any thread."""

    def __init__(self, tokens: TokenFile, system: System) -> None:
        self._tokens = tokens
        self._system = system
        self._tries = Tries()
        self._lock = threading.Lock()

    def admit(self, authorization: str, address: str) -> Role:
        """The role of who asks.  authorization: the header of that name, empty without one.  Refusal 401 without a token that is right, 429 when
        the address guesses."""
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if not token or scheme.lower() != "bearer":
            raise unauthorized("say who you are: `Authorization: Bearer TOKEN`, with a token of var/lib/web.token")
        with self._lock:
            now = self._system.monotonic()
            wait_s = self._tries.wait_s(address, token, now)
            if wait_s > 0.0:
                raise Refusal(429, "too many wrong tokens came from your address; wait", Code.REFUSED, {"Retry-After": str(int(wait_s) + 1)})
            role = role_of(token, self._tokens.entries())
            if role is not None:
                self._tries.right(address, token)
                return role
            count = self._tries.wrong(address, now)
        ending = f"; no more are looked at for {WINDOW_S:g} s" if count >= MAX_TRIES else ""
        _log.warning("a wrong token from %s, number %d within %g s%s", address, count, WINDOW_S, ending)
        raise unauthorized("this token is not known")

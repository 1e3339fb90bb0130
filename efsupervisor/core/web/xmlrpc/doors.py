"""The sockets of XML-RPC, and who may pass: the Unix socket by its permissions, a socket with a user by basic authentication.

The sockets are opened by the web monitor and handed down to each listener, as the port of the HTTP API is.  A socket that a dead supervisor left is
replaced; one that somebody serves is not.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import shutil
import socket
from typing import NamedTuple

from efsupervisor.conf.schema import XmlRpcSpec
from efsupervisor.errors import Code, EfError

NAME = "supervisor.sock"
BACKLOG = 128
KNOCK_S = 0.2
SHA = "{SHA}"


class Door(NamedTuple):
    """Where to listen.  path: of a Unix socket, else host and port.  user, password: empty for none."""

    path: str = ""
    mode: int = 0o700
    owner: str = ""
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.path else f"http://{self.host}:{self.port}"


def wanted(spec: XmlRpcSpec, run_dir: str) -> list[Door]:
    """The doors that are configured."""
    path = spec.file or f"{run_dir}/{NAME}"
    found = [Door(path=path, mode=int(spec.mode, 8), owner=spec.owner, user=spec.socket_user, password=spec.socket_password)]
    if spec.enabled:
        found.append(Door(host=spec.host, port=spec.port, user=spec.user, password=spec.password))
    return found


def opened(door: Door) -> socket.socket:
    """A listening socket, owned by the caller.  EfError says why there can be none."""
    try:
        return _unix(door) if door.path else _tcp(door)
    except (OSError, LookupError) as error:
        raise EfError(f"XML-RPC cannot listen on {door}: {error}; it is tried again", Code.SYSTEM) from error


def _tcp(door: Door) -> socket.socket:
    host = "127.0.0.1" if door.host == "localhost" else door.host
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, door.port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _unix(door: Door) -> socket.socket:
    """Bound below the folder's descriptor, so that a path may be as long as it likes (unix(7) allows 107 bytes), and with its mode from the first."""
    folder, name = os.path.split(door.path)
    directory = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    near = f"/proc/self/fd/{directory}/{name}"
    try:
        if _is_served(near):
            raise EfError(f"somebody serves {door.path} already; end that supervisor, or say another xmlrpc.file", Code.SYSTEM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        previous = os.umask(0o177)
        try:
            sock.bind(near)
        finally:
            os.umask(previous)
        if door.owner:
            user, _, group = door.owner.partition(":")
            shutil.chown(near, int(user) if user.isdecimal() else user, (int(group) if group.isdecimal() else group) if group else None)
        os.chmod(near, door.mode)
        sock.listen(BACKLOG)
    except (OSError, LookupError, EfError):
        sock.close()
        raise
    finally:
        os.close(directory)
    return sock


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(KNOCK_S)
        try:
            probe.connect(path)
        except TimeoutError:
            return True  # its backlog is full
        except OSError:
            return False
        return True


def admits(door: Door, authorization: str) -> bool:
    """Whether an Authorization header opens this door.  Compares in constant time; nothing said opens a door without a user."""
    if not door.user:
        return True
    scheme, _, coded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        user, colon, password = base64.b64decode(coded.strip(), validate=False).decode("utf-8", "surrogateescape").partition(":")
    except (binascii.Error, ValueError):
        return False
    right = hmac.compare_digest(_bytes(user), _bytes(door.user))
    return (_is_password(password, door.password) and right) and bool(colon)


def _is_password(given: str, known: str) -> bool:
    if known.startswith(SHA):
        return hmac.compare_digest(hashlib.sha1(_bytes(given)).hexdigest(), known[len(SHA) :].lower())
    return hmac.compare_digest(_bytes(given), _bytes(known))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

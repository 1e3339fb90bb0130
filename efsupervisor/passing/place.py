"""A position among many streams as one text that its holder gives back: what was seen of each, and whose turn it is.

12 bytes for each stream, six that stand for its name and six for the offset, after a version and a turn; in base64 it can be said in a URL.  A
stream that the text does not name begins at its end; a text that is none of ours is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from efsupervisor.errors import Code, EfError

MAX_STREAMS = 3000
_VERSION = 1
_HEAD = struct.Struct("<BI")
_ENTRY = 12
MAX_OFFSET = (1 << 48) - 1


def key(name: str) -> bytes:
    """Six bytes that stand for a stream."""
    return hashlib.sha256(name.encode()).digest()[:6]


def packed(offsets: dict[bytes, int], turn: int) -> str:
    """The text of a position."""
    parts = [_HEAD.pack(_VERSION, turn & 0xFFFFFFFF)]
    parts += [name + (offset & MAX_OFFSET).to_bytes(6, "little") for name, offset in offsets.items()]
    return base64.urlsafe_b64encode(b"".join(parts)).decode()


def unpacked(text: str) -> tuple[dict[bytes, int], int]:
    """Offsets and turn of a position; both empty for the empty text.  EfError BAD_REQUEST."""
    if not text:
        return {}, 0
    try:
        data = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    body = len(data) - _HEAD.size
    if body < 0 or body % _ENTRY or body > MAX_STREAMS * _ENTRY or data[0] != _VERSION:
        raise EfError("since: is no position that an answer gave; leave it out to begin now", Code.BAD_REQUEST)
    turn = _HEAD.unpack_from(data)[1]
    entries = (data[at : at + _ENTRY] for at in range(_HEAD.size, len(data), _ENTRY))
    return {entry[:6]: int.from_bytes(entry[6:], "little") for entry in entries}, turn

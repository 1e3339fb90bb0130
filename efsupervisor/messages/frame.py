"""A frame: one byte of protocol version and then one JSON object with a `kind`; never more than MAX_FRAME bytes.

The one encode and the one decode of everything that processes of ours say to each other, whatever carries it.
"""

from __future__ import annotations

import msgspec

from efsupervisor.errors import Code, ProtocolError

PROTOCOL = 1
MAX_FRAME = 128 << 10
"""Bytes of one frame; below the default send buffer of a Unix socket, so that a whole frame always fits into an empty one."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every message is: frozen, with its class name as `kind`."""


_encoder = msgspec.json.Encoder()
_PREFIX = bytes([PROTOCOL])


def encode(message: msgspec.Struct) -> bytes:
    """The frame of a message."""
    return _PREFIX + _encoder.encode(message)


_decoders: dict[object, msgspec.json.Decoder[object]] = {}


def decode(frame: bytes, vocabulary: object) -> object:
    """The message of a frame; `vocabulary` is ToWorker, FromWorker, Request or Reply.  ProtocolError for everything else."""
    if not frame:
        raise ProtocolError("an empty frame is no message")
    if len(frame) > MAX_FRAME:
        raise ProtocolError(f"a frame of {len(frame)} bytes is over the limit of {MAX_FRAME}", Code.TOO_LARGE)
    if frame[0] != PROTOCOL:
        raise ProtocolError(f"protocol version {frame[0]} is not {PROTOCOL}: use the efctl that belongs to this efsupervisord", Code.VERSION)
    decoder = _decoders.get(vocabulary)
    if decoder is None:
        decoder = _decoders[vocabulary] = msgspec.json.Decoder(vocabulary)
    try:
        return decoder.decode(frame[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a message of this protocol: {error}") from error

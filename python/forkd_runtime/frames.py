"""Frames and fields: bytes in, bytes out, no I/O. The format is docs/agent-protocol.md."""

from __future__ import annotations

import struct
from typing import Dict, Iterable, List, Optional, Sequence, Tuple, Union

FRAME_MAX = 1048576  # bytes that follow the length word
TEXTS_MAX = 65536  # repeats of one key that a reader accepts

# Runtime channel
READY, PING, PONG, SPAWN, SPAWNED, ENDED = 0x40, 0x41, 0x42, 0x43, 0x44, 0x45
SESSION, SESSION_OPEN, EVAL, EVALUATED, RT_ERROR = 0x46, 0x47, 0x48, 0x49, 0x4F
RESEED, RESEEDED, BRANCH, BRANCHED, CALM = 0x4A, 0x4B, 0x4C, 0x4D, 0x4E
# Zygote channel
WARM, ENTER, SEED = 0x30, 0x31, 0x32
WARMED, ENTERED, LEFT, PARKED, ERROR = 0xB0, 0xB1, 0xB2, 0xB3, 0xFF

K_ARGV, K_ENV, K_CWD, K_DATA, K_PID, K_EXIT_CODE, K_SIGNAL = 2, 3, 4, 11, 14, 15, 16
K_TIMEOUT_MS, K_BYTES, K_DURATION_US = 7, 13, 18
K_CODE, K_TARGET, K_KIND, K_RESULT, K_STDOUT, K_STDERR = 23, 24, 25, 26, 27, 28
K_ERROR, K_TRACEBACK, K_TRUNCATED, K_MESSAGE, K_REPORT = 29, 30, 31, 32, 35
K_NAME, K_FDS, K_MAX_OUTPUT = 36, 38, 39

_HEADER = struct.Struct(">IBI")
_FIELD = struct.Struct(">BI")
_INTEGER = struct.Struct(">q")

Value = Union[int, bytes, str]


class ProtocolError(Exception):
    """The peer is out of step: the connection cannot be used any more."""


class Frame:
    """One frame; `fds` are the descriptors that rode on it, owned by whoever takes them."""

    __slots__ = ("type", "id", "fields", "fds")

    def __init__(self, kind: int, ident: int, fields: Dict[int, List[bytes]]) -> None:
        self.type = kind
        self.id = ident
        self.fields = fields
        self.fds: List[int] = []

    def data(self, key: int) -> Optional[bytes]:
        """Bytes of the first field with that key."""
        values = self.fields.get(key)
        return values[0] if values else None

    def text(self, key: int) -> Optional[str]:
        value = self.data(key)
        return None if value is None else _text(key, value)

    def texts(self, key: int) -> List[str]:
        values = self.fields.get(key, [])
        if len(values) > TEXTS_MAX:
            raise ProtocolError("field %d is repeated %d times" % (key, len(values)))
        return [_text(key, value) for value in values]

    def integer(self, key: int, default: int, low: int, high: int) -> int:
        value = self.data(key)
        if value is None:
            return default
        if len(value) != _INTEGER.size:
            raise ProtocolError("field %d is not an integer" % key)
        number = int(_INTEGER.unpack(value)[0])
        if not low <= number <= high:
            raise ProtocolError("field %d is outside %d..%d: %d" % (key, low, high, number))
        return number


def _text(key: int, value: bytes) -> str:
    if b"\0" in value:
        raise ProtocolError("field %d holds a NUL" % key)
    # surrogateescape: names of files and values of the environment need not be UTF-8
    return value.decode("utf-8", "surrogateescape")


def encode_text(value: str) -> bytes:
    """UTF-8 without a NUL, whatever a user's string holds."""
    return value.replace("\0", "\ufffd").encode("utf-8", "backslashreplace")


def encode(kind: int, ident: int, fields: Iterable[Tuple[int, Value]] = ()) -> bytes:
    """One frame. An int becomes 8 bytes, a str UTF-8."""
    parts = [b""]
    length = 5
    for key, value in fields:
        if isinstance(value, int):
            value = _INTEGER.pack(value)
        elif isinstance(value, str):
            value = encode_text(value)
        parts.append(_FIELD.pack(key, len(value)))
        parts.append(value)
        length += 5 + len(value)
    if length > FRAME_MAX:
        raise ValueError("a frame of %d bytes is larger than %d" % (length, FRAME_MAX))
    parts[0] = _HEADER.pack(length, kind, ident)
    return b"".join(parts)


def _fields(payload: memoryview) -> Dict[int, List[bytes]]:
    fields: Dict[int, List[bytes]] = {}
    at, end = 0, len(payload)
    while at < end:
        if end - at < 5:
            raise ProtocolError("a field's header runs over the end of its frame")
        key, length = _FIELD.unpack_from(payload, at)
        at += 5
        if length > end - at:
            raise ProtocolError("field %d runs over the end of its frame" % key)
        fields.setdefault(key, []).append(bytes(payload[at : at + length]))
        at += length
    return fields


class Decoder:
    """Turns a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> List[Frame]:
        """Whole frames that `chunk` completes, in order."""
        self._buffer += chunk
        frames: List[Frame] = []
        at = 0
        with memoryview(self._buffer) as view:
            while len(view) - at >= 4:
                length = int.from_bytes(view[at : at + 4], "big")
                if not 5 <= length <= FRAME_MAX:
                    raise ProtocolError("a frame of %d bytes" % length)
                if len(view) - at < 4 + length:
                    break
                _, kind, ident = _HEADER.unpack_from(view, at)
                with view[at + 9 : at + 4 + length] as payload:
                    frames.append(Frame(kind, ident, _fields(payload)))
                at += 4 + length
        if at:
            del self._buffer[:at]
        return frames


def status_fields(status: int) -> Sequence[Tuple[int, Value]]:
    """exit_code or signal of a waitpid(2) status."""
    signal = status & 0x7F
    return ((K_SIGNAL, signal),) if signal else ((K_EXIT_CODE, (status >> 8) & 0xFF),)

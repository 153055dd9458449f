"""Messages between controller, host and workers.

A message is a frame: length (4 bytes, of what follows), kind (1 byte), body. Bodies are
marshalled plain values: both ends are forks of one interpreter, and tuples stay tuples.
"""

from __future__ import annotations

import marshal
import os
import select
import struct
import time
from typing import Any, Iterator, Optional, Tuple, Union

_HEAD = struct.Struct("!IB")
_INDEX = struct.Struct("!I")
MAX_FRAME = 64 << 20
_CHUNK = 1 << 16
_DEPTH = 64
_TOGETHER = 0.02  # seconds that a message waits for others
Message = Tuple[int, bytes]

# controller -> worker
INIT, RUN, FLUSH, END, CANCEL = b"N"[0], b"R"[0], b"L"[0], b"E"[0], b"K"[0]
# worker -> controller
DONE, WARNING, STOP, EXIT, INTERNAL = b"D"[0], b"W"[0], b"S"[0], b"X"[0], b"I"[0]
CRASH, OUTPUT, BEAT, COVERAGE, FINISHED = b"C"[0], b"O"[0], b"H"[0], b"V"[0], b"F"[0]
FILE, MEMORY, DOCTOR, DEBUG = b"P"[0], b"M"[0], b"T"[0], b"G"[0]


def plain(value: Any, depth: int = 0) -> Any:
    """A copy that can be marshalled: what is no plain value becomes its text."""
    if value is None or isinstance(value, (bool, int, float, bytes)):
        kind = type(value)
        return value if kind in (bool, int, float, bytes, type(None)) else _base(value)
    if isinstance(value, str):
        return str.__str__(value) if type(value) is not str else value
    if depth > _DEPTH:
        return "..."
    if isinstance(value, (list, tuple)):
        items = [plain(item, depth + 1) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {plain(k, depth + 1): plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    return _text(value)


def _base(value: Any) -> Any:
    for kind in (bool, int, float, bytes):
        if isinstance(value, kind):
            return kind(value)
    return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # a __str__ of the user's that raises
        return "<%s: %s>" % (type(value).__name__, type(error).__name__)


def dump(value: Any) -> bytes:
    """The body that holds the value."""
    try:
        return marshal.dumps(value, 4)
    except ValueError:
        return marshal.dumps(plain(value), 4)


def load(body: bytes) -> Any:
    """The value of a body."""
    return marshal.loads(body)


def frame(kind: int, body: bytes) -> bytes:
    """A whole message."""
    if len(body) + 1 > MAX_FRAME:
        raise ValueError("a message of %d bytes is more than %d" % (len(body), MAX_FRAME))
    return _HEAD.pack(len(body) + 1, kind) + body


def done(index: int, reports: Any, seconds: float) -> bytes:
    """The body of DONE. Who only passes it on reads the index and not the rest."""
    return _INDEX.pack(index) + dump((reports, seconds))


def done_index(body: bytes) -> int:
    return int(_INDEX.unpack_from(body)[0])


def load_done(body: bytes) -> Any:
    """Index, reports and seconds."""
    return (done_index(body), *load(body[_INDEX.size :]))


class Decoder:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that these bytes complete."""
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _HEAD.size:
                length, kind = _HEAD.unpack_from(self._buffer, at)
                if not 1 <= length <= MAX_FRAME:
                    raise EOFError("the peer sent a frame of %d bytes" % length)
                end = at + 4 + length
                if len(self._buffer) < end:
                    break
                body = bytes(self._buffer[at + _HEAD.size : end])
                at = end
                yield kind, body
        finally:
            del self._buffer[:at]


def write_all(fd: int, data: Union[bytes, bytearray]) -> None:
    """Writes everything; waits where the pipe is full."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])


def read_some(fd: int) -> Optional[bytes]:
    """What can be read now; empty at the end, None when there is nothing yet."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return None


def read_some_into(fd: int, buffer: bytearray) -> bool:
    """Appends what can be read now; False when there is nothing, or nothing more ever."""
    data = read_some(fd)
    if data:
        buffer += data
    return bool(data)


class Outgoing:
    """Messages that wait a moment for others, as each takes a way through several processes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = bytearray()
        self._due = 0.0

    def add(self, data: bytes) -> None:
        if not self._data:
            self._due = time.monotonic() + _TOGETHER
        self._data += data
        if len(self._data) >= _CHUNK:
            self.flush()

    def wait(self, longest: float) -> float:
        """Seconds until the next flush, at most so many."""
        return min(longest, max(0.0, self._due - time.monotonic())) if self._data else longest

    def flush_if_due(self) -> None:
        if self._data and time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        data, self._data = self._data, bytearray()
        write_all(self._fd, data)

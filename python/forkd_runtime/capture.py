"""Captured output of an eval session: the session writes to pipes, the runtime empties them.

The reader is another process, so that user code which writes while it holds the interpreter lock
(C extensions, subprocesses) can never block on a full pipe, and what is kept has a bound. Bytes
travel through shared memory with two halves: while the session reads one, the runtime fills the
other.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
from typing import Dict, List, NamedTuple, Tuple

BOUND = 262144  # bytes kept per stream and eval
_STREAMS = 2
_HALF = _STREAMS * BOUND
_REPLY = struct.Struct("=BIBIB")  # half, then length and truncated of stdout and stderr
_PIPE = 65536  # capacity: what a session wrote before it asked cannot be more


class Captured(NamedTuple):
    """stdout and stderr since the last time, and whether they were cut."""

    stdout: bytes
    stdout_cut: bool
    stderr: bytes
    stderr_cut: bool


class _Stream:
    def __init__(self, fd: int, base: int) -> None:
        self.fd = fd
        self.base = base
        self.length = 0
        self.cut = False
        self.open = True


class Pump:
    """The runtime's side. Never blocks, and believes nothing that the session sends."""

    def __init__(self) -> None:
        self._area = mmap.mmap(-1, 2 * _HALF)
        self._half = 0
        self._control, self._session_control = socket.socketpair()
        self._streams: List[_Stream] = []
        self._write_ends: List[int] = []
        for index in range(_STREAMS):
            read_end, write_end = os.pipe()
            os.set_blocking(read_end, False)
            self._streams.append(_Stream(read_end, index * BOUND))
            self._write_ends.append(write_end)

    def descriptors(self) -> Dict[int, int]:
        """What to poll: descriptor -> stream index, or -1 for the control socket."""
        found = {stream.fd: index for index, stream in enumerate(self._streams)}
        found[self._control.fileno()] = -1
        return found

    def session_side(self) -> "Tap":
        """In the forked session."""
        control = self._session_control.detach()
        self._control.detach()
        return Tap(self._area, control, self._write_ends)

    def forked(self) -> None:
        """In the runtime, once the session is forked: later forks must not see its output."""
        self._session_control.close()
        for fd in self._write_ends:
            os.close(fd)
        self._write_ends = []
        self._area.madvise(mmap.MADV_DONTFORK)

    def forget(self) -> None:
        """In another fork of the runtime: the descriptors are closed wholesale there."""
        self._control.detach()

    def close(self) -> None:
        self._control.close()
        self._session_control.close()
        for fd in self._write_ends + [stream.fd for stream in self._streams]:
            os.close(fd)
        self._area.close()

    def ready(self, index: int) -> bool:
        """Something can be read. False when that descriptor need not be polled any more."""
        if index >= 0:
            self._drain(self._streams[index], _PIPE)
            return self._streams[index].open
        return self._answer()

    def _drain(self, stream: _Stream, limit: int) -> None:
        taken = 0
        while taken < limit and stream.open:
            try:
                count = self._take(stream)
            except BlockingIOError:
                return
            taken += count
            stream.open = count > 0

    def _take(self, stream: _Stream) -> int:
        if stream.length == BOUND:
            dropped = len(os.read(stream.fd, _PIPE))
            stream.cut = stream.cut or dropped > 0
            return dropped
        start = self._half * _HALF + stream.base
        with memoryview(self._area) as view:
            with view[start + stream.length : start + BOUND] as room:
                count = os.readv(stream.fd, [room])
        stream.length += count
        return count

    def _answer(self) -> bool:
        try:
            if not self._control.recv(1, socket.MSG_DONTWAIT):
                return False
            for stream in self._streams:
                self._drain(stream, _PIPE)
            out, err = self._streams
            reply = _REPLY.pack(self._half, out.length, out.cut, err.length, err.cut)
            self._control.send(reply, socket.MSG_DONTWAIT)
        except OSError:  # gone, or it asks and does not read the answers
            return False
        self._half = 1 - self._half
        for stream in self._streams:
            stream.length, stream.cut = 0, False
        return True


class Tap:
    """The session's side."""

    def __init__(self, area: mmap.mmap, control: int, write_ends: List[int]) -> None:
        self._area = area
        self._control = control
        self._write_ends = write_ends

    def attach(self) -> Tuple[int, ...]:
        """Puts the pipes at 1 and 2 and the control socket out of the program's way. Returns the
        descriptors to keep."""
        for number, fd in zip((1, 2), self._write_ends):
            os.dup2(fd, number)
        self._control = move_high(self._control)
        return (self._control,)

    def descriptors(self) -> Tuple[int, ...]:
        """Other than 1 and 2."""
        return (self._control,)

    def release(self) -> None:
        """In a copy of the session that is to have no part in it."""
        os.close(self._control)
        self._area.close()

    def collect(self) -> Captured:
        """Everything written since the last call."""
        os.write(self._control, b"c")
        reply = os.read(self._control, _REPLY.size)
        if len(reply) != _REPLY.size:
            raise EOFError("the runtime is gone")
        half, out, out_cut, err, err_cut = _REPLY.unpack(reply)
        start = half * _HALF
        stdout = self._area[start : start + out]
        start += BOUND
        return Captured(stdout, bool(out_cut), self._area[start : start + err], bool(err_cut))


def move_high(fd: int) -> int:
    """So that the first file a program opens is number 3, as it may expect."""
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 512)
    except OSError:
        return fd  # a low limit of open files
    os.close(fd)
    return moved

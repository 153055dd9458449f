"""A stream socket that carries frames and descriptors (SCM_RIGHTS)."""

from __future__ import annotations

import array
import collections
import os
import socket
from typing import Deque, Iterable, List, Sequence, Tuple

from forkd_runtime import frames
from forkd_runtime.frames import Frame, ProtocolError, Value

_CHUNK = 65536
_FDS_MAX = 253  # SCM_MAX_FD of the kernel: nothing more rides on one message
_ANCILLARY = socket.CMSG_SPACE(_FDS_MAX * 4)


class Channel:
    """Blocking; owns its socket and the descriptors that no frame has claimed yet."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)
        self._decoder = frames.Decoder()
        self._fds: Deque[int] = collections.deque()

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> List[Frame]:
        """Waits for bytes and returns the frames they complete (maybe none). EOFError at the
        end."""
        data, ancillary, flags, _ = self._socket.recvmsg(
            _CHUNK, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, body in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._fds.extend(array.array("i", body[: len(body) - len(body) % 4]))
        if flags & socket.MSG_CTRUNC:
            raise ProtocolError("descriptors were lost: too many, or no room for them")
        if not data:
            raise EOFError("the peer closed the channel")
        complete = self._decoder.feed(data)
        for frame in complete:
            self._claim(frame)
        return complete

    def _claim(self, frame: Frame) -> None:
        count = frame.integer(frames.K_FDS, 0, 0, _FDS_MAX)
        if count > len(self._fds):
            raise ProtocolError("a frame lacks %d descriptors" % (count - len(self._fds)))
        frame.fds = [self._fds.popleft() for _ in range(count)]

    def send(self, kind: int, ident: int, fields: Iterable[Tuple[int, Value]] = ()) -> None:
        self._socket.sendall(frames.encode(kind, ident, fields))

    def send_with_fds(
        self, kind: int, ident: int, fields: Iterable[Tuple[int, Value]], fds: Sequence[int]
    ) -> None:
        """Adds the `fds` field; the caller keeps and closes its own copies."""
        frame = frames.encode(kind, ident, [*fields, (frames.K_FDS, len(fds))])
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        sent = self._socket.sendmsg([frame], [rights])
        # The descriptors went with the first byte; the rest is ordinary output.
        self._socket.sendall(frame[sent:])

    def detach(self) -> int:
        """Gives the socket's descriptor away."""
        return self._socket.detach()

    def close(self) -> None:
        close_all(self._fds)
        self._fds.clear()
        self._socket.close()


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)

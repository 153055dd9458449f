"""Where programs of the sandbox that start `python3` ask to be run warm.

A socket inside the sandbox's own network namespace; one message asks, and the connection is open
as long as the program runs. Its end is the end of the caller, and so of the program.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import struct
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional

from forkd_runtime import caller, frames
from forkd_runtime.caller import Call, Called
from forkd_runtime.channel import close_all
from forkd_runtime.equivalence import Equivalence
from forkd_runtime.frames import Frame, Value
from forkd_runtime.warmed import Warmed

NAME = "\0forkd-warm"
_MESSAGE_MAX = 163840
_FDS_MAX = 253
_BACKLOG = 128
_WAITING_MAX = 64  # connections that have not asked yet
_RUNNING_MAX = 256
_ANCILLARY = socket.CMSG_SPACE(_FDS_MAX * 4)
_CREDENTIALS = struct.Struct("=iII")


class _Caller(NamedTuple):
    connection: socket.socket
    pid: int  # of the program, 0 while there is none


class Doorway:
    """Owns the listening socket and a connection for each caller."""

    def __init__(self, warmed: Warmed) -> None:
        self._warmed = warmed
        self._equivalence = Equivalence(warmed)
        self._callers: Dict[int, _Caller] = {}
        self._programs: Dict[int, int] = {}  # pid to descriptor of the connection
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        self._listener.bind(NAME)
        self._listener.listen(_BACKLOG)

    def descriptors(self) -> List[int]:
        """All that must be polled for input."""
        return [self._listener.fileno(), *self._callers]

    def ready(self, fd: int) -> "Optional[Callable[[], None]]":
        """Serves what has come; the result is for a forked child, as in Runtime."""
        if fd == self._listener.fileno():
            self._accept()
            return None
        found = self._callers.get(fd)
        if found is None:
            return None
        if found.pid:
            self._hang_up(fd, found)
            return None
        return self._serve(fd, found.connection)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # gone again, or no descriptor left: it will run cold
        waiting = len(self._callers) - len(self._programs)
        if waiting >= _WAITING_MAX or _peer(connection)[1] != os.geteuid():
            connection.close()
            return
        connection.setblocking(False)
        self._callers[connection.fileno()] = _Caller(connection, 0)

    def _serve(self, fd: int, connection: socket.socket) -> "Optional[Callable[[], None]]":
        frame: Optional[Frame] = None
        try:
            frame = _receive(connection)
            call = caller.read(frame)
            objection = self._objection(call, connection)
        except (EOFError, ConnectionError):
            self._forget(fd)
            return None
        except (caller.Malformed, frames.ProtocolError, OSError, ValueError) as error:
            objection = "%s" % error
        if objection is not None:
            _send(connection, caller.COLD, ((frames.K_MESSAGE, objection[:1000]),))
            self._forget(fd)
        step = None
        if objection is None and frame is not None:
            step = self._start(fd, connection, call, frame.fds)
        if frame is not None and step is None:
            close_all(frame.fds)
        return step

    def _objection(self, call: Call, connection: socket.socket) -> Optional[str]:
        if len(self._programs) >= _RUNNING_MAX:
            return "%d programs run warm already" % _RUNNING_MAX
        return self._equivalence.objection(call, _peer(connection)[0])

    def _start(
        self, fd: int, connection: socket.socket, call: Call, fds: List[int]
    ) -> "Optional[Callable[[], None]]":
        if _has_hung_up(connection):
            self._forget(fd)  # it has lost patience, and runs cold
            return None
        try:
            pid = os.fork()
        except OSError as error:
            message = "the warm interpreter cannot fork: %s" % error.strerror
            _send(connection, caller.COLD, ((frames.K_MESSAGE, message),))
            self._forget(fd)
            return None
        if pid == 0:
            warmed = self._warmed
            program = Called(call, fds)
            return lambda: program.run(warmed)
        self._callers[fd] = _Caller(connection, pid)
        self._programs[pid] = fd
        pidfd = os.pidfd_open(pid)
        _send(connection, caller.RUNNING, ((frames.K_PID, pid),), (pidfd,))
        os.close(pidfd)
        return None

    def _hang_up(self, fd: int, found: _Caller) -> None:
        """Nothing is said while a program runs: this is the end of its caller."""
        del self._programs[found.pid]
        _kill(found.pid)
        self._forget(fd)

    def ended(self, pid: int, status: int) -> None:
        """Of any child of this process."""
        fd = self._programs.pop(pid, None)
        if fd is not None:
            _send(self._callers[fd].connection, caller.ENDED, frames.status_fields(status))
            self._forget(fd)

    def kill_all(self) -> None:
        for pid in self._programs:
            _kill(pid)

    def abandon(self) -> None:
        """In a forked child: the descriptors are closed by number."""
        self._listener.detach()
        for found in self._callers.values():
            found.connection.detach()

    def _forget(self, fd: int) -> None:
        self._callers.pop(fd).connection.close()


def _kill(pid: int) -> None:
    for target in (-pid, pid):  # the group may not exist yet
        try:
            os.kill(target, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _peer(connection: socket.socket) -> "tuple[int, int]":
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


def _receive(connection: socket.socket) -> Frame:
    data, ancillary, flags, _ = connection.recvmsg(
        _MESSAGE_MAX, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
    )
    fds: "array.array[int]" = array.array("i")
    for level, kind, body in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(body[: len(body) - len(body) % 4])
    try:
        if not data:
            raise EOFError("the caller is gone")
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise caller.Malformed("the request is too large")
        complete = frames.Decoder().feed(data)
        if len(complete) != 1:
            raise caller.Malformed("the request is no single frame")
    except BaseException:
        close_all(fds)
        raise
    complete[0].fds = list(fds)
    return complete[0]


def _has_hung_up(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send(
    connection: socket.socket,
    kind: int,
    fields: Iterable["tuple[int, Value]"],
    fds: Iterable[int] = (),
) -> None:
    """A caller that does not listen has only itself to blame: this never waits."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        connection.sendmsg([frames.encode(kind, 0, fields)], rights, socket.MSG_NOSIGNAL)
    except OSError:
        return

"""Serves the runtime channel inside a sandbox: READY, PING, SPAWN, SESSION.

This process runs no user code but after_fork hooks. Whatever else does is a fork of it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from typing import Any, Callable, Dict, NamedTuple, NoReturn, Optional, Set, Tuple

from forkd_runtime import frames, hooks, reseed, spawn
from forkd_runtime.capture import Pump
from forkd_runtime.channel import Channel, close_all
from forkd_runtime.doorway import Doorway
from forkd_runtime.frames import Frame, ProtocolError
from forkd_runtime.session import Session
from forkd_runtime.spawn import Refused
from forkd_runtime.warmed import Warmed

Step = Callable[[], Any]
_CHILDREN_MAX = 256  # open requests of one connection


class _Child(NamedTuple):
    request: int
    pump: Optional[Pump]


class Wakeup:
    """A pipe that becomes readable when a child has changed state."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        # The default action would not wake us; an interrupt is for user code only.
        signal.signal(signal.SIGCHLD, _ignore)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self.read_end)
        os.close(self._write_end)

    def drain(self) -> None:
        try:
            while os.read(self.read_end, 4096):
                continue
        except BlockingIOError:
            return


def _ignore(number: int, frame: Any) -> None:
    return None


class Runtime:
    """Owns the channel and every process it forked."""

    def __init__(self, channel: Channel, warmed: Warmed) -> None:
        self._channel = channel
        self._warmed = warmed
        self._children: Dict[int, _Child] = {}
        self._pumps: Dict[int, Tuple[Pump, int]] = {}
        self._poll = select.poll()
        self._wakeup = Wakeup()
        self._doorway: Optional[Doorway] = None
        self._pid = os.getpid()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._poll.register(self._wakeup.read_end, select.POLLIN)

    def serve(self) -> Step:
        """Returns only in a forked child: what that child is to do. The runtime itself exits when
        the channel ends."""
        try:
            self._open_doorway()
            self.announce()
            while True:
                step = self.round()
                if step is not None:
                    return step
        except (EOFError, ConnectionError):
            self._leave(0)
        except ProtocolError:
            self._leave(70)

    def announce(self) -> None:
        """READY."""
        self._send_report(frames.READY, 0)

    def _open_doorway(self) -> None:
        if not self._warmed.serves_callers:
            return
        try:
            self._doorway = Doorway(self._warmed)
        except OSError:
            return  # somebody has the name: whoever starts an interpreter gets a cold one
        self._watch_doorway(self._doorway, set())

    def _watch_doorway(self, doorway: Doorway, before: Set[int]) -> None:
        after = set(doorway.descriptors())
        for fd in before - after:
            self._poll.unregister(fd)
        for fd in after - before:
            self._poll.register(fd, select.POLLIN)

    def round(self) -> Optional[Step]:
        """Waits for whatever comes next and serves it; a step is for a forked child."""
        for fd, _ in self._poll.poll():
            step = self._ready(fd)
            if step is not None:
                return step
        return None

    def run_hooks(self) -> None:
        """The user's after_fork hooks. hooks.HookFailed: then nobody may use this sandbox."""
        if hooks.wanted(hooks.AFTER):
            reseed.reseed(reseed.chosen_seed(os.environ, self._warmed.seed))
            hooks.run(hooks.AFTER, self._warmed.hook_ms)

    def _run_hooks_or_leave(self) -> None:
        try:
            self.run_hooks()
        except hooks.HookFailed as failure:
            fields = ((frames.K_KIND, "runtime"), (frames.K_MESSAGE, str(failure)))
            self._channel.send(frames.RT_ERROR, 0, fields)
            self._leave(70)

    def close(self) -> None:
        """Only for a runtime that has no children."""
        self._wakeup.close()
        self._channel.close()

    def _leave(self, code: int) -> NoReturn:
        if self._doorway is not None:
            self._doorway.kill_all()
        for pid in self._children:
            for target in (-pid, pid):  # the group may not exist yet
                try:
                    os.kill(target, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        os._exit(code)

    def _ready(self, fd: int) -> Optional[Step]:
        if fd == self._channel.fileno():
            for frame in self._channel.receive():
                step = self._serve_frame(frame)
                if step is not None:
                    return step
        elif fd == self._wakeup.read_end:
            self._wakeup.drain()
            self._reap()
        elif self._doorway is not None and fd in self._doorway.descriptors():
            before = set(self._doorway.descriptors())
            step = self._doorway.ready(fd)
            if step is not None:
                self._forget()
                return step
            self._watch_doorway(self._doorway, before)
        elif fd in self._pumps:
            pump, index = self._pumps[fd]
            if not pump.ready(index):
                del self._pumps[fd]
                self._poll.unregister(fd)
        return None

    def _serve_frame(self, frame: Frame) -> Optional[Step]:
        if frame.type == frames.PING:
            self._send_report(frames.PONG, frame.id)
            return None
        if frame.type == frames.RESEED:
            reseed.reseed_copy(self._warmed.seed)
            self._run_hooks_or_leave()
            self._channel.send(frames.RESEEDED, frame.id)
            return None
        if frame.type not in (frames.SPAWN, frames.SESSION):
            raise ProtocolError("unknown request %#x" % frame.type)
        try:
            self._check(frame)
            return self._spawn(frame) if frame.type == frames.SPAWN else self._session(frame)
        except Refused as refusal:
            self._refuse(frame, refusal.kind, str(refusal))
        except OSError as error:
            self._refuse(frame, "exhausted", "cannot fork a process: %s" % error)
        return None

    def _refuse(self, frame: Frame, kind: str, message: str) -> None:
        close_all(frame.fds)
        fields = ((frames.K_KIND, kind), (frames.K_MESSAGE, message))
        self._channel.send(frames.RT_ERROR, frame.id, fields)

    def _check(self, frame: Frame) -> None:
        if any(child.request == frame.id for child in self._children.values()):
            raise Refused("invalid", "request id %d is in use" % frame.id)
        if len(self._children) >= _CHILDREN_MAX:
            raise Refused("exhausted", "%d processes are running already" % _CHILDREN_MAX)

    def _spawn(self, frame: Frame) -> Optional[Step]:
        program = spawn.read_program(frame)
        pid = os.fork()
        if pid == 0:
            self._forget()
            warmed = self._warmed
            return lambda: program.run(warmed)
        self._children[pid] = _Child(frame.id, None)
        close_all(frame.fds)
        self._channel.send(frames.SPAWNED, frame.id, ((frames.K_PID, pid),))
        return None

    def _session(self, frame: Frame) -> Optional[Step]:
        close_all(frame.fds)
        frame.fds = []
        ours, theirs = socket.socketpair()
        with ours, theirs:
            pump = Pump()
            try:
                pid = os.fork()
            except OSError:
                pump.close()
                raise
            if pid == 0:
                self._forget()
                theirs.detach()
                return Session(ours.detach(), pump.session_side(), self._warmed).run
            self._adopt(pid, frame.id, pump)
            fields = ((frames.K_PID, pid),)
            self._channel.send_with_fds(
                frames.SESSION_OPEN, frame.id, fields, (theirs.fileno(),)
            )
        return None

    def _adopt(self, pid: int, request: int, pump: Pump) -> None:
        pump.forked()
        self._children[pid] = _Child(request, pump)
        for fd, index in pump.descriptors().items():
            self._pumps[fd] = (pump, index)
            self._poll.register(fd, select.POLLIN)

    def _forget(self) -> None:
        """In a child: its copies of our sockets are closed by number, so no object may close them
        again later."""
        self._channel.detach()
        if self._doorway is not None:
            self._doorway.abandon()
        for child in self._children.values():
            if child.pump is not None:
                child.pump.forget()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                self._caller_ended(pid, status)
                continue
            if child.pump is not None:
                self._drop(child.pump)
            self._channel.send(frames.ENDED, child.request, frames.status_fields(status))

    def _caller_ended(self, pid: int, status: int) -> None:
        if self._doorway is not None:
            before = set(self._doorway.descriptors())
            self._doorway.ended(pid, status)
            self._watch_doorway(self._doorway, before)

    def _drop(self, pump: Pump) -> None:
        for fd in pump.descriptors():
            if self._pumps.pop(fd, None) is not None:
                self._poll.unregister(fd)
        pump.close()

    def _send_report(self, kind: int, request: int) -> None:
        report = self._warmed.runtime_report(self._pid)
        self._channel.send(kind, request, ((frames.K_PID, self._pid), (frames.K_REPORT, report)))

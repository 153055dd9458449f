"""The zygote of the process engine: warms once, then forks into sandboxes. Channel: descriptor 3.

    python3 -m forkd_runtime.zygote

Single-threaded on purpose: fork(2) takes only the calling thread along.
"""

from __future__ import annotations

from forkd_runtime.recorder import RECORDER

if __name__ == "__main__":  # before anything else is imported
    RECORDER.start()

import json
import os
import select
import sys
from typing import Callable, Dict, NoReturn, Optional

from forkd_runtime import frames, hooks
from forkd_runtime.channel import Channel
from forkd_runtime.enter import FAILED, Crossing, Entry, Home, Seed
from forkd_runtime.frames import Frame, ProtocolError
from forkd_runtime.runtime import Runtime, Step, Wakeup
from forkd_runtime.spawn import Refused
from forkd_runtime.warm import Launch, Spec, WarmFailed, warm
from forkd_runtime.warmed import Warmed

CHANNEL = 3
_TRACEBACK_MAX = 65536


def send_failure(channel: Channel, request: int, failure: WarmFailed) -> None:
    """ERROR of a warm-up."""
    fields = (
        (frames.K_KIND, "runtime"),
        (frames.K_MESSAGE, str(failure)[-_TRACEBACK_MAX:]),
        (frames.K_TRACEBACK, failure.traceback[-_TRACEBACK_MAX:]),
    )
    channel.send(frames.ERROR, request, fields)


class Zygote:
    """Serves the zygote channel until it ends."""

    def __init__(self, launch: Optional[Launch], warmed: Optional[Warmed] = None) -> None:
        self._launch = launch
        self._channel = Channel(CHANNEL)
        self._home = Home()
        self._warmed = warmed
        self._children: Dict[int, str] = {}
        self._wakeup: Optional[Wakeup] = None

    def serve(self) -> Step:
        """What to do next: in the zygote only to leave, in a forked child to serve."""
        try:
            while self._warmed is None:
                for frame in self._channel.receive():
                    self._warm(frame)
            return self._loop()
        except (EOFError, ConnectionError):
            return lambda: os._exit(0)

    def serve_branch(self) -> Step:
        """As `serve`, without a warm-up."""
        assert self._warmed is not None
        os.set_inheritable(CHANNEL, False)
        self._ready(self._warmed, 1)
        return self.serve()

    def _ready(self, warmed: Warmed, request: int) -> None:
        self._warmed = warmed
        self._wakeup = Wakeup()
        report = json.dumps(warmed.report)
        self._channel.send(frames.WARMED, request, ((frames.K_REPORT, report),))

    def _warm(self, frame: Frame) -> None:
        if frame.type != frames.WARM or self._launch is None:
            raise ProtocolError("request %#x instead of WARM" % frame.type)
        try:
            warmed = warm(self._launch, Spec(frame.data(frames.K_DATA) or b""))
        except WarmFailed as failure:
            send_failure(self._channel, frame.id, failure)
            os._exit(1)
        warmed.zygote = _reborn
        self._ready(warmed, frame.id)

    def _loop(self) -> Step:
        assert self._wakeup is not None
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        poll.register(self._wakeup.read_end, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._wakeup.read_end:
                    self._wakeup.drain()
                    self._reap()
                    continue
                for frame in self._channel.receive():
                    step = self._enter(frame)
                    if step is not None:
                        return step

    def _enter(self, frame: Frame) -> Optional[Step]:
        if frame.type not in (frames.ENTER, frames.SEED) or self._warmed is None:
            raise ProtocolError("request %#x instead of ENTER" % frame.type)
        try:
            entry: Crossing = self._crossing(frame, self._warmed)
        except (Refused, ValueError) as error:
            self._refuse(frame, "invalid", str(error))
            return None
        try:
            pid = entry.fork()
        except OSError as error:
            self._refuse(frame, "runtime", "cannot fork into %s: %s" % (entry.name, error))
            return None
        if pid == 0:
            self._channel.detach()
            warmed = self._warmed
            if isinstance(entry, Entry):
                return lambda: _enter_and_serve(entry, warmed)
            assert isinstance(entry, Seed)
            return entry.park
        self._children[pid] = entry.name
        self._channel.send(frames.ENTERED, frame.id, ((frames.K_PID, pid),))
        entry.close()
        return None

    def _crossing(self, frame: Frame, warmed: Warmed) -> Crossing:
        if frame.type == frames.SEED:
            return Seed(frame, self._home)
        return Entry(frame, self._home, warmed.workdir)

    def _refuse(self, frame: Frame, kind: str, message: str) -> None:
        for fd in frame.fds:
            os.close(fd)
        fields = ((frames.K_KIND, kind), (frames.K_MESSAGE, message))
        self._channel.send(frames.ERROR, frame.id, fields)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._children.pop(pid, None)
            if name is not None:
                fields = ((frames.K_NAME, name), *frames.status_fields(status))
                self._channel.send(frames.LEFT, 0, fields)


def _reborn(warmed: Warmed) -> Step:
    """In the twin of a session: the zygote of a branch, warm from the start."""
    return Zygote(None, warmed).serve_branch


def _enter_and_serve(entry: Entry, warmed: Warmed) -> Step:
    """In the forked child, at the bottom of its stack."""
    channel = Channel(entry.socket)
    try:
        entry.enter()
        runtime = Runtime(channel, warmed)
        runtime.run_hooks()
    except hooks.HookFailed as failure:
        _give_up(channel, str(failure))
    except Exception as error:
        _give_up(channel, "cannot enter the sandbox: %s" % error)
    return runtime.serve


def _give_up(channel: Channel, message: str) -> NoReturn:
    fields = ((frames.K_KIND, "runtime"), (frames.K_MESSAGE, message))
    channel.send(frames.RT_ERROR, 0, fields)
    os._exit(FAILED)


def run(first: Callable[[], Step]) -> None:
    """Each step returns the next, so that a forked child runs user code on a shallow stack."""
    step: Optional[Step] = first
    try:
        while step is not None:
            step = step()
    except BaseException as error:
        sys.stderr.write("forkd: the runtime failed: %s: %s\n" % (type(error).__name__, error))
        sys.stderr.flush()
    # No finalisation: callbacks of warm-up are not ours to run.
    os._exit(FAILED)


if __name__ == "__main__":
    run(Zygote(Launch()).serve)

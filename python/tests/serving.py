"""Drives a real `forkd_runtime.serve` over a socket pair."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import pytest

from forkd_runtime import frames
from forkd_runtime.channel import Channel
from forkd_runtime.frames import Frame

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Another interpreter can be put to the test without its having pytest.
PYTHON = os.environ.get("FORKD_TEST_PYTHON", sys.executable)
DEADLINE = 60.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}


def needs(module: str) -> None:
    """Skips a test when the interpreter under test lacks a module."""
    if subprocess.call([PYTHON, "-c", "import " + module], stderr=subprocess.DEVNULL):
        pytest.skip("%s has no %s" % (PYTHON, module))


class Peer:
    """A channel with a deadline, frame by frame."""

    def __init__(self, fd: int) -> None:
        self.channel = Channel(fd)
        self._frames: List[Frame] = []

    def next(self, deadline: float = DEADLINE) -> Frame:
        while not self._frames:
            if not select.select([self.channel], [], [], deadline)[0]:
                raise TimeoutError("no frame within %.1f s" % deadline)
            self._frames.extend(self.channel.receive())
        return self._frames.pop(0)

    def silent(self, seconds: float) -> bool:
        """Nothing comes for that long."""
        return not self._frames and not select.select([self.channel], [], [], seconds)[0]


class Ended(NamedTuple):
    """What a program left behind."""

    status: int  # exit code, or -signal
    stdout: bytes
    stderr: bytes


def number(frame: Frame, key: int) -> int:
    return frame.integer(key, -1, -1, 2**62)


def flag(frame: Frame, key: int) -> bool:
    return frame.integer(key, 0, 0, 1) == 1


class Runtime:
    """The agent's end of a runtime channel."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._request = 0

    def start(
        self,
        kind: str,
        text: str,
        argv: Sequence[str] = (),
        env: Optional[Dict[str, str]] = None,
        cwd: Optional[str] = None,
        fds: Optional[Sequence[int]] = None,
    ) -> int:
        """Sends SPAWN; the request's id."""
        self._request += 1
        key = frames.K_CODE if kind == "code" else frames.K_TARGET
        environment = ENVIRONMENT if env is None else env
        fields: List[Any] = [(frames.K_KIND, kind), (key, text)]
        fields += [(frames.K_ARGV, value) for value in argv]
        fields += [(frames.K_ENV, "%s=%s" % pair) for pair in environment.items()]
        if cwd is not None:
            fields.append((frames.K_CWD, cwd))
        null = os.open(os.devnull, os.O_RDWR)
        descriptors = fds if fds is not None else (null, null, null)
        self.peer.channel.send_with_fds(frames.SPAWN, self._request, fields, descriptors)
        os.close(null)
        return self._request

    def run(self, kind: str, text: str, stdin: bytes = b"", **options: Any) -> Ended:
        """SPAWN to its end."""
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out:
            with tempfile.TemporaryFile() as err:
                source.write(stdin)
                source.seek(0)
                fds = [source.fileno(), out.fileno(), err.fileno()]
                request = self.start(kind, text, fds=fds, **options)
                frame = self.peer.next()
                assert frame.type == frames.SPAWNED, frame.text(frames.K_MESSAGE)
                ended = self.peer.next()
                assert (ended.type, ended.id) == (frames.ENDED, request)
                out.seek(0)
                err.seek(0)
                return Ended(status(ended), out.read(), err.read())

    def session(self) -> "Session":
        self._request += 1
        self.peer.channel.send(frames.SESSION, self._request)
        frame = self.peer.next()
        assert frame.type == frames.SESSION_OPEN
        return Session(frame.fds[0], number(frame, frames.K_PID))


class Served(Runtime):
    """A warmed runtime in a process of its own."""

    def __init__(self, spec: Dict[str, Any], env: Optional[Dict[str, str]] = None) -> None:
        ours, theirs = socket.socketpair()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file, theirs:
            json.dump(spec, file)
            file.flush()
            command = [PYTHON, "-m", "forkd_runtime.serve", "--warm", file.name]
            self.process = subprocess.Popen(
                [*command, "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**ENVIRONMENT, "PYTHONPATH": ROOT, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                cwd="/",
            )
            theirs.close()
            super().__init__(Peer(ours.detach()))
            self.first = self.peer.next()  # READY or RT_ERROR, then the file may go

    @property
    def ready(self) -> bool:
        return self.first.type == frames.READY

    def close(self) -> "tuple[int, str]":
        """Exit status and output of the runtime."""
        self.peer.channel.close()
        output, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, output.decode()

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def status(frame: Frame) -> int:
    signal = number(frame, frames.K_SIGNAL)
    return -signal if signal >= 0 else number(frame, frames.K_EXIT_CODE)


class Result(NamedTuple):
    """Fields of EVALUATED."""

    result: Optional[str]
    stdout: Optional[str]
    stderr: Optional[str]
    error: Optional[str]
    traceback: Optional[str]
    truncated: bool


class Session:
    """An eval session."""

    def __init__(self, fd: int, pid: int) -> None:
        self.peer = Peer(fd)
        self.pid = pid

    def send(self, code: str, max_output: Optional[int] = None) -> None:
        fields: List[Any] = [(frames.K_CODE, code)]
        if max_output is not None:
            fields.append((frames.K_MAX_OUTPUT, max_output))
        self.peer.channel.send(frames.EVAL, 1, fields)

    def receive(self) -> Result:
        frame = self.peer.next()
        assert frame.type == frames.EVALUATED
        keys = (frames.K_RESULT, frames.K_STDOUT, frames.K_STDERR, frames.K_ERROR)
        texts = [frame.text(key) for key in (*keys, frames.K_TRACEBACK)]
        return Result(*texts, flag(frame, frames.K_TRUNCATED))  # type: ignore[call-arg]

    def eval(self, code: str, max_output: Optional[int] = None) -> Result:
        self.send(code, max_output)
        return self.receive()

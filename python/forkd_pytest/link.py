"""How the controller reaches workers and the user: by way of the host, or (for tests and
measurements) by processes of its own."""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from forkd_pytest.wire import MAX_FRAME, read_some, write_all


class Started(NamedTuple):
    """A worker is there and takes messages."""

    worker: int


class Data(NamedTuple):
    """Bytes of a worker."""

    worker: int
    data: bytes


class Ended(NamedTuple):
    """A worker is gone; `how` says why."""

    worker: int
    how: str


class Interrupted(NamedTuple):
    """The user wants the run to end."""


class Debugged(NamedTuple):
    """The user has left a debugger; `trouble` says why it was none, "" otherwise."""

    worker: int
    trouble: str


Event = Union[Started, Data, Ended, Interrupted, Debugged]
_HEAD = struct.Struct("!IBI")  # length of what follows, kind, worker
_BODY = 5
_SHOWN_LATE = 0.05  # seconds that a text waits for more to come


class HostLink:
    """Frames on two descriptors; the host forks the sandboxes and carries the bytes."""

    def __init__(self, commands: int, results: int) -> None:
        self._in = commands
        self._out = results
        self._buffer = bytearray()
        self._events: List[Event] = []
        self._contents: List[Optional[bytes]] = []
        self._shown: List[str] = []
        self._shown_at = 0.0
        self._growth = 0
        self._lent = False  # the terminal, to a debugger: what is to be shown waits
        self.settings: Dict[str, Any] = {}
        while not self.settings:
            self._receive(None)

    def spawn(self, workers: Sequence[int]) -> None:
        """Asks for sandboxes; each says Started, or Ended."""
        self._send(b"f", 0, json.dumps(list(workers)).encode())

    def send(self, worker: int, data: bytes) -> None:
        self._send(b"s", worker, data)

    def drop(self, worker: int) -> None:
        """The worker is not needed any more."""
        self._send(b"k", worker, b"")

    def show(self, text: str) -> None:
        """To the user's terminal."""
        if not self._shown:
            self._shown_at = time.monotonic()
        self._shown.append(text)
        if not self._lent and time.monotonic() - self._shown_at > _SHOWN_LATE:
            self._show()

    def debug(self, worker: int, program: str, socket: str) -> None:
        """Asks for the user's terminal in the worker's sandbox; says Debugged when it is back.

        `program` is Python that takes the name of a socket as its argument.
        """
        self._send(b"d", worker, json.dumps({"program": program, "socket": socket}).encode())
        self._lent = True

    def read(self, path: str) -> Optional[bytes]:
        """A file of the user's tree as it is now."""
        self._send(b"r", 0, os.fsencode(path))
        while not self._contents:
            self._receive(None)
        return self._contents.pop(0)

    def write(self, path: str, data: bytes) -> None:
        """Into the user's tree, or where the command line says."""
        self._send(b"w", 0, os.fsencode(path) + b"\0" + data)

    def summary(self, text: str) -> None:
        """For the page of a CI job, where there is one."""
        self._send(b"y", 0, text.encode("utf-8", "backslashreplace"))

    def sources(self, paths: Sequence[str], modules: Sequence[str]) -> None:
        """Files outside of the project that the collected state depends on, and what to import
        from there before a changed project is collected."""
        self._send(b"x", 0, json.dumps({"files": list(paths), "modules": list(modules)}).encode())

    def status(self, told: Dict[str, Any]) -> None:
        """For the display at the bottom of a terminal; {} takes it away."""
        self._send(b"l", 0, json.dumps(told).encode())

    def growth(self, mib: int) -> None:
        """What a worker came to have for itself: how many fit is known the next time."""
        if mib > self._growth:
            self._growth = mib
            self._send(b"m", mib, b"")

    def leave(self, code: int) -> None:
        """The command's exit code; nothing may follow."""
        self._lent = False  # a run that is interrupted ends with its debugger
        self._send(b"e", code, b"")

    def receive(self, seconds: float) -> List[Event]:
        """What has happened; waits for the first of it, not longer than that."""
        if not self._events:
            self._receive(seconds)
        events, self._events = self._events, []
        return events

    def _show(self) -> None:
        if self._lent:
            return
        text, self._shown = "".join(self._shown), []
        if text:
            self._send(b"o", 0, text.encode("utf-8", "backslashreplace"))

    def _send(self, kind: bytes, worker: int, body: bytes) -> None:
        self._show()  # what was said before comes before
        if len(body) + _BODY > MAX_FRAME:
            raise ValueError("a message of %d bytes to the host" % len(body))
        write_all(self._out, _HEAD.pack(len(body) + _BODY, kind[0], worker) + body)

    def _receive(self, seconds: Optional[float]) -> None:
        if not select.select([self._in], [], [], 0)[0]:
            self._show()  # nothing else to do
            if seconds is not None and not select.select([self._in], [], [], seconds)[0]:
                return
        data = read_some(self._in)
        if data == b"":
            raise EOFError("the host is gone")
        self._buffer += data or b""
        at = 0
        while len(self._buffer) - at >= _HEAD.size:
            length, kind, worker = _HEAD.unpack_from(self._buffer, at)
            if len(self._buffer) - at < 4 + length:
                break
            body = bytes(self._buffer[at + _HEAD.size : at + 4 + length])
            at += 4 + length
            self._take(bytes([kind]), worker, body)
        del self._buffer[:at]

    def _take(self, kind: bytes, worker: int, body: bytes) -> None:
        if kind == b"D":
            self._events.append(Data(worker, body))
        elif kind == b"S":
            self._events.append(Started(worker))
        elif kind == b"E":
            self._events.append(Ended(worker, body.decode("utf-8", "replace")))
        elif kind == b"d":
            self._lent = False
            self._events.append(Debugged(worker, body.decode("utf-8", "replace")))
        elif kind == b"i":
            self._events.append(Interrupted())
        elif kind == b"c":
            self._contents.append(body[1:] if body[:1] == b"1" else None)
        elif kind == b"C":
            self.settings = json.loads(body.decode("utf-8"))


class LocalLink:
    """Workers are forks of this process: no isolation, for comparison and for tests."""

    def __init__(self, settings: Dict[str, Any]) -> None:
        self.settings = settings
        self._pipes: Dict[int, Tuple[int, int]] = {}
        self._events: List[Event] = []

    def spawn(self, workers: Sequence[int]) -> None:
        from forkd_pytest.parent import Held, held
        from forkd_pytest.worker import Keeper

        for worker in workers:
            command_read, command_write = os.pipe()
            result_read, result_write = os.pipe()
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    for fds in self._pipes.values():
                        for fd in fds:
                            os.close(fd)
                    os.close(command_write)
                    session = held()
                    assert isinstance(session, Held)
                    Keeper(session, command_read, result_write).serve()
                    code = 0
                finally:
                    os._exit(code)
            os.close(command_read)
            os.close(result_write)
            self._pipes[worker] = (command_write, result_read)
            self._events.append(Started(worker))

    def send(self, worker: int, data: bytes) -> None:
        try:
            write_all(self._pipes[worker][0], data)
        except (KeyError, BrokenPipeError):
            return  # it has ended, which is told as an event

    def drop(self, worker: int) -> None:
        for fd in self._pipes.pop(worker, ()):
            os.close(fd)

    def show(self, text: str) -> None:
        write_all(1, text.encode("utf-8", "backslashreplace"))

    def read(self, path: str) -> Optional[bytes]:
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError:
            return None

    def write(self, path: str, data: bytes) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def summary(self, text: str) -> None:
        place = os.environ.get("GITHUB_STEP_SUMMARY")
        if place:
            with open(place, "a", encoding="utf-8") as file:
                file.write(text)

    def sources(self, paths: Sequence[str], modules: Sequence[str]) -> None:
        return None

    def growth(self, mib: int) -> None:
        return None

    def status(self, told: Dict[str, Any]) -> None:
        return None

    def debug(self, worker: int, program: str, socket: str) -> None:
        self._events.append(Debugged(worker, "workers of this process have no terminal"))

    def leave(self, code: int) -> None:
        os._exit(code)

    def receive(self, seconds: float) -> List[Event]:
        if not self._events:
            readers = {fds[1]: worker for worker, fds in self._pipes.items()}
            for fd in select.select(list(readers), [], [], seconds)[0]:
                data = os.read(fd, 1 << 16)
                worker = readers[fd]
                self._events.append(Data(worker, data) if data else Ended(worker, "it ended"))
                if not data:
                    self.drop(worker)
        events, self._events = self._events, []
        return events


Link = Union[HostLink, LocalLink]

"""Codec of the forkd frame protocol and a small client of the agent channel, for tests."""
from __future__ import annotations

import collections
import itertools
import socket
import struct
import time
from typing import Deque, Dict, Iterable, List, NamedTuple, Optional, Tuple, Union

HELLO, PING, PING_RUNTIME, EXEC, CALL, EVAL, READ_FILE, WRITE_FILE = range(1, 9)
STAT, LIST, MAKE_DIRECTORY, REMOVE, LINK = range(0x0A, 0x0F)
BRANCH = 0x0F
INPUT, WINDOW, SIGNAL, CANCEL, RESIZE = range(0x10, 0x15)
WELCOME, PONG, STARTED, OUTPUT, EXITED, RESULT, DONE, WINDOW_STDIN = range(0x81, 0x89)
RUNTIME_ENDED, ERROR = 0x90, 0xFF
READY, RT_PING, RT_PONG, SPAWN, SPAWNED, ENDED, SESSION, SESSION_OPEN = range(0x40, 0x48)
RT_EVAL, EVALUATED, CALM, RT_ERROR = 0x48, 0x49, 0x4E, 0x4F

(VERSION, ARGV, ENV, CWD, USER, STDIN, TIMEOUT_MS, GRACE_MS, WINDOW_BYTES, STREAM, DATA, EOF,
 BYTES, PID, EXIT_CODE, SIGNAL_NUMBER, TIMED_OUT, DURATION_US, PATH, MODE, OFFSET, MAKE_PARENTS,
 CODE, TARGET, KIND, RESULT_TEXT, STDOUT, STDERR, ERROR_TEXT, TRACEBACK, TRUNCATED, MESSAGE,
 ERRNO, RUNTIME, REPORT, NAME, RESTARTED, FDS, MAX_OUTPUT, TIME_NS, ROWS, COLUMNS,
 PORT) = range(1, 44)

Value = Union[int, str, bytes]
Fields = Iterable[Tuple[int, Value]]


def encode(kind: int, ident: int, fields: Fields = ()) -> bytes:
    payload = bytearray()
    for key, value in fields:
        if isinstance(value, int):
            raw = struct.pack(">q", value)
        else:
            raw = value.encode() if isinstance(value, str) else value
        payload += struct.pack(">BI", key, len(raw)) + raw
    return struct.pack(">IBI", len(payload) + 5, kind, ident) + bytes(payload)


class Frame(NamedTuple):
    type: int
    id: int
    fields: List[Tuple[int, bytes]]

    def all(self, key: int) -> List[bytes]:
        return [value for name, value in self.fields if name == key]

    def bytes(self, key: int) -> bytes:
        return b"".join(self.all(key)[:1])

    def text(self, key: int) -> Optional[str]:
        found = self.all(key)
        return found[0].decode() if found else None

    def int(self, key: int) -> Optional[int]:
        found = self.all(key)
        return struct.unpack(">q", found[0])[0] if found else None


def take_frame(buffer: bytearray) -> Optional[Frame]:
    """Removes the first whole frame from the buffer."""
    if len(buffer) < 9:
        return None
    length, kind, ident = struct.unpack_from(">IBI", buffer)
    if len(buffer) < 4 + length:
        return None
    fields, at = [], 9
    while at < 4 + length:
        key, size = struct.unpack_from(">BI", buffer, at)
        fields.append((key, bytes(buffer[at + 5:at + 5 + size])))
        at += 5 + size
    del buffer[:4 + length]
    return Frame(kind, ident, fields)


class Result(NamedTuple):
    stdout: bytes
    stderr: bytes
    exit_code: Optional[int]
    signal: Optional[int]
    timed_out: int
    duration_us: int
    pid: int


class AgentError(Exception):
    def __init__(self, frame: Frame) -> None:
        self.kind, self.errno = frame.text(KIND), frame.int(ERRNO)
        super().__init__("%s: %s" % (self.kind, frame.text(MESSAGE)))


class Client:
    """One connection. Frames are kept by id until somebody asks for them."""

    def __init__(self, sock: socket.socket, deadline: float = 20.0) -> None:
        self.sock, self.deadline = sock, deadline
        self.buffer = bytearray()
        self.kept: Dict[int, Deque[Frame]] = collections.defaultdict(collections.deque)
        self.ids = itertools.count(1)

    @classmethod
    def connect(cls, path: str) -> "Client":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(path)
        client = cls(sock)
        assert client.ask(HELLO, [(VERSION, 1)]).type == WELCOME
        return client

    def close(self) -> None:
        self.sock.close()

    def send(self, kind: int, ident: int, fields: Fields = ()) -> None:
        self.sock.sendall(encode(kind, ident, fields))

    def open(self, kind: int, fields: Fields = ()) -> int:
        ident = next(self.ids)
        self.send(kind, ident, fields)
        return ident

    def _receive(self, deadline: float) -> None:
        self.sock.settimeout(max(0.001, deadline - time.monotonic()))
        data = self.sock.recv(1 << 20)
        if not data:
            raise EOFError("the agent closed the connection")
        self.buffer += data
        while True:
            frame = take_frame(self.buffer)
            if frame is None:
                return
            self.kept[frame.id].append(frame)

    def next(self, ident: int, within: Optional[float] = None) -> Frame:
        deadline = time.monotonic() + (self.deadline if within is None else within)
        while not self.kept[ident]:
            self._receive(deadline)
        frame = self.kept[ident].popleft()
        if not self.kept[ident]:
            del self.kept[ident]
        return frame

    def ask(self, kind: int, fields: Fields = ()) -> Frame:
        return self.next(self.open(kind, fields))

    def expect(self, ident: int, kind: int, within: Optional[float] = None) -> Frame:
        frame = self.next(ident, within)
        if frame.type == ERROR and kind != ERROR:
            raise AgentError(frame)
        assert frame.type == kind, "0x%02x instead of 0x%02x" % (frame.type, kind)
        return frame

    def expect_end(self) -> List[Frame]:
        """The agent must close the connection; returns what it said before."""
        try:
            while True:
                self._receive(time.monotonic() + 5)
        except (EOFError, ConnectionResetError):
            return [frame for frames in self.kept.values() for frame in frames]

    def start(self, argv: List[str], env: Optional[List[str]] = None,
              kind: int = EXEC, **options: Value) -> int:
        fields: List[Tuple[int, Value]] = [(ARGV, arg) for arg in argv]
        fields += [(ENV, entry) for entry in env or ["PATH=/usr/bin:/bin"]]
        names = {"cwd": CWD, "user": USER, "stdin": STDIN, "timeout_ms": TIMEOUT_MS,
                 "grace_ms": GRACE_MS, "window": WINDOW_BYTES, "target": TARGET, "code": CODE,
                 "call": KIND}
        fields += [(names[name], value) for name, value in options.items()]
        return self.open(kind, fields)

    def feed(self, ident: int, data: bytes, eof: bool = True) -> None:
        for at in range(0, len(data), 65536):
            self.send(INPUT, ident, [(DATA, data[at:at + 65536])])
        if eof:
            self.send(INPUT, ident, [(EOF, 1)])

    def finish(self, ident: int, within: Optional[float] = None) -> Result:
        """Collects output, giving back credit, until the process has ended."""
        output: Dict[int, List[bytes]] = {1: [], 2: []}
        pid = 0
        while True:
            frame = self.next(ident, within)
            if frame.type == OUTPUT:
                stream, data = frame.int(STREAM), frame.bytes(DATA)
                output[stream].append(data)
                self.send(WINDOW, ident, [(STREAM, stream), (BYTES, len(data))])
            elif frame.type == STARTED:
                pid = frame.int(PID)
            elif frame.type == ERROR:
                raise AgentError(frame)
            elif frame.type == EXITED:
                return Result(b"".join(output[1]), b"".join(output[2]), frame.int(EXIT_CODE),
                              frame.int(SIGNAL_NUMBER), frame.int(TIMED_OUT),
                              frame.int(DURATION_US), pid)
            else:
                assert frame.type == WINDOW_STDIN, hex(frame.type)

    def run(self, argv: List[str], **options: Value) -> Result:
        return self.finish(self.start(argv, **options))

    def sh(self, script: str, **options: Value) -> Result:
        return self.run(["sh", "-c", script], **options)

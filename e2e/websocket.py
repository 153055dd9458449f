"""A WebSocket client of a few lines (RFC 6455), over the daemon's unix socket."""

import base64
import json
import os
import socket
import struct
from typing import Any, Tuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocket:
    """One connection; `status` is not 101 when the server did not upgrade it."""

    def __init__(self, socket_path: str, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(socket_path)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall((
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket"
            f"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        self.stream = self.sock.makefile("rb")
        self.status = int(self.stream.readline().split()[1])
        while self.stream.readline().strip():
            continue

    def send(self, opcode: int, data: bytes, last: bool = True) -> None:
        mask = os.urandom(4)
        length = struct.pack("!BQ", 0x80 | 127, len(data))
        masked = bytes(a ^ b for a, b in zip(data, (mask * (len(data) // 4 + 1))))
        self.sock.sendall(bytes([opcode | (0x80 if last else 0)]) + length + mask + masked)

    def tell(self, message: Any) -> None:
        self.send(TEXT, json.dumps(message).encode())

    def receive(self) -> Tuple[int, bytes]:
        """The next message that is no ping; those are answered."""
        while True:
            first, length = self.stream.read(2)
            if length >= 126:
                form = "!H" if length == 126 else "!Q"
                length = struct.unpack(form, self.stream.read(struct.calcsize(form)))[0]
            data = self.stream.read(length)
            if first & 15 != PING:
                return first & 15, data
            self.send(PONG, data)

    def event(self) -> dict:
        """The next text."""
        opcode, data = self.receive()
        assert opcode == TEXT, (opcode, data)
        return json.loads(data)

    def until_close(self) -> "tuple[bytes, list[dict], int]":
        """Output, events and the code of the close."""
        output, events = b"", []
        while True:
            opcode, data = self.receive()
            if opcode == CLOSE:
                return output, events, struct.unpack_from("!H", data)[0]
            if opcode == BINARY:
                output += data[1:]
            else:
                events.append(json.loads(data))

    def close(self) -> None:
        """Hangs up without a word."""
        self.stream.close()
        self.sock.close()

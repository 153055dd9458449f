"""A name server on loopback: its answers can be changed, and are never to be kept."""

import socket
import threading
from typing import Dict, List


class NameServer:
    """Answers questions for addresses (RFC 1035) from `addresses`; other names do not exist."""

    def __init__(self) -> None:
        self.addresses: Dict[str, List[str]] = {}
        self.asked: List[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            question, asker = self.socket.recvfrom(4096)
            self.socket.sendto(self.answer(question), asker)

    def answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        name, what = ".".join(labels).lower(), question[12:at + 5]
        self.asked.append(name)
        found = self.addresses.get(name, []) if what[-4:-2] == b"\0\1" else []
        code = 0 if name in self.addresses else 3
        head = question[:2] + bytes([0x81, 0x80 | code, 0, 1, 0, len(found), 0, 0, 0, 0])
        records = (b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(one) for one in found)
        return head + what + b"".join(records)

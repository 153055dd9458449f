"""EXEC of a connection: bytes to a port on the loopback of the agent, and back."""
from __future__ import annotations

import os
import socket
import threading
from typing import Callable, Iterator, List

import pytest

from conftest import wait_for
from frames import (ARGV, BYTES, CANCEL, DATA, EOF, EXEC, EXITED, INPUT, OUTPUT, PID, PORT, STARTED,
                    STDIN, STREAM, WINDOW, WINDOW_BYTES, AgentError, Client)

BIG = 24 << 20  # more than two sockets hold


class Server:
    """Accepts connections on a port of its own and hands each to `handle`."""

    def __init__(self, handle: Callable[[socket.socket], None], family: int = socket.AF_INET):
        self.handle = handle
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.ended = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return  # closed
            with peer:
                self.handle(peer)
            self.ended.set()


def reversed_whole(peer: socket.socket) -> None:
    data = bytearray()
    while chunk := peer.recv(65536):
        data += chunk
    peer.sendall(bytes(reversed(data)))


def connect(client: Client, port: int, stdin: bool = True, window: int = 65536) -> int:
    return client.open(EXEC, [(PORT, port), (STDIN, int(stdin)), (WINDOW_BYTES, window)])


def test_both_directions_are_complete(client):
    server = Server(reversed_whole)
    ident = connect(client, server.port)
    data = os.urandom(200_000)
    client.feed(ident, data)
    result = client.finish(ident)
    assert result.stdout == bytes(reversed(data)) and result.exit_code == 0


def test_it_ends_when_the_other_side_does_though_input_goes_on(client):
    server = Server(lambda peer: peer.sendall(b"no"))
    ident = connect(client, server.port)
    result = client.finish(ident)  # nobody has ended the input
    assert (result.stdout, result.exit_code) == (b"no", 0)


def test_the_end_of_the_input_reaches_the_server_and_its_answer_is_heard(client):
    server = Server(lambda peer: peer.sendall(b"%d" % len(peer.recv(9))))
    ident = connect(client, server.port)
    client.feed(ident, b"")
    assert client.finish(ident).stdout == b"0"


def test_a_reader_that_takes_its_time_loses_nothing(client):
    server = Server(lambda peer: peer.sendall(bytes(BIG)))
    ident = connect(client, server.port, window=1000)
    frame = client.expect(ident, STARTED)
    assert frame.int(PID) > 1
    assert len(client.expect(ident, OUTPUT).bytes(DATA)) == 1000
    assert not server.ended.wait(0.3), "the server has to wait as well"
    client.send(WINDOW, ident, [(STREAM, 1), (BYTES, BIG)])
    assert len(client.finish(ident).stdout) == BIG - 1000


def test_a_server_that_does_not_read_stops_the_input_alone(client):
    heard: List[int] = []

    def answer_first(peer: socket.socket) -> None:
        peer.sendall(bytes(BIG))
        while chunk := peer.recv(65536):
            heard.append(len(chunk))
    server = Server(answer_first)
    ident = connect(client, server.port)
    for _ in range(4):
        client.send(INPUT, ident, [(DATA, bytes(65536))])
    client.send(INPUT, ident, [(EOF, 1)])
    assert len(client.finish(ident).stdout) == BIG
    assert sum(heard) == 4 * 65536


def test_ipv6_is_tried_when_nothing_else_listens(client):
    server = Server(lambda peer: peer.sendall(b"six"), socket.AF_INET6)
    assert client.finish(connect(client, server.port)).stdout == b"six"


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it
        yield taken.getsockname()[1]


def test_a_port_where_nothing_listens_is_told(client, closed_port):
    with pytest.raises(AgentError, match="nothing listens on port %d" % closed_port) as caught:
        client.finish(connect(client, closed_port))
    assert caught.value.kind == "not_found"


@pytest.mark.parametrize("fields", [[(PORT, 65536)], [(PORT, -1)], [(PORT, 80), (ARGV, "true")],
                                    [(PORT, "80")]])
def test_what_is_no_port_is_refused(client, fields):
    with pytest.raises(AgentError) as caught:
        client.finish(client.open(EXEC, fields))
    assert caught.value.kind == "invalid"


def test_a_connection_that_is_cancelled_or_abandoned_is_closed(agent, client):
    server = Server(lambda peer: None if peer.recv(9) else None)
    ident = connect(client, server.port)
    client.expect(ident, STARTED)
    client.send(CANCEL, ident)
    client.expect(ident, EXITED)
    assert server.ended.wait(5)
    server.ended.clear()
    other = agent.connect()
    other.expect(connect(other, server.port), STARTED)
    other.close()
    assert server.ended.wait(5)


def test_many_at_once(client):
    server = Server(reversed_whole)
    idents = [connect(client, server.port) for _ in range(50)]
    for number, ident in enumerate(idents):
        client.feed(ident, b"%d." % number)
    for number, ident in enumerate(idents):
        assert client.finish(ident).stdout == b"." + (b"%d" % number)[::-1]
    wait_for(lambda: b"port" not in client.sh("ps -e -o comm").stdout)

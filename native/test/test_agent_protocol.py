"""Handshake, ids, bounds, and peers that break the rules."""
from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import time

import pytest

from conftest import AGENT, Agent, wait_for
from frames import (ARGV, BYTES, CODE, DATA, ENV, EOF, ERROR, EVAL, EXEC, HELLO, INPUT, KIND,
                    MESSAGE, PID, PING, PING_RUNTIME, PONG, RUNTIME, SIGNAL, SIGNAL_NUMBER,
                    STARTED, STDIN, STREAM, VERSION, WELCOME, WINDOW, Client, encode)


def raw(agent: Agent) -> Client:
    """A connection on which nothing was said yet."""
    agent.connect()  # waits for the socket
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(agent.path)
    client = Client(sock)
    agent.clients.append(client)
    return client


def test_handshake(agent):
    welcome = raw(agent).ask(HELLO, [(VERSION, 1)])
    assert welcome.type == WELCOME and welcome.int(VERSION) == 1
    assert welcome.int(PID) == 1 and welcome.int(RUNTIME) == 0
    assert welcome.text(MESSAGE).startswith("forkd-agent ")


@pytest.mark.parametrize("fields", [[(VERSION, 2)], [(VERSION, -1)], []])
def test_another_version(agent, fields):
    client = raw(agent)
    answer = client.ask(HELLO, fields)
    assert answer.type == ERROR and answer.text(KIND) == "unsupported"
    assert client.expect_end() == []


def test_hello_must_come_first(agent):
    client = raw(agent)
    client.send(PING, 1)
    assert all(frame.type == ERROR for frame in client.expect_end())


def test_hello_twice(client):
    assert client.ask(HELLO, [(VERSION, 1)]).text(KIND) == "invalid"
    assert client.ask(PING).type == PONG


def test_ping(client):
    assert client.ask(PING).int(RUNTIME) == 0


@pytest.mark.parametrize("kind, fields", [(PING_RUNTIME, []), (EVAL, [(CODE, "1")])])
def test_no_runtime(client, kind, fields):
    answer = client.ask(kind, fields)
    assert answer.text(KIND) == "runtime" and "no runtime" in answer.text(MESSAGE)


ABUSE = {
    "giant length": struct.pack(">IBI", 0xFFFFFFFF, PING, 5),
    "just too long": struct.pack(">IBI", 1048577, PING, 5),
    "short frame": struct.pack(">IB", 4, PING) + b"123",
    "empty frame": struct.pack(">I", 0),
    "field overrun": struct.pack(">IBI", 5 + 6, PING, 5) + b"\x01\x00\x00\x00\x09x",
    "cut field header": struct.pack(">IBI", 5 + 3, PING, 5) + b"\x01\x00\x00",
    "unknown type": encode(0x7E, 5),
    "an answer as request": encode(WELCOME, 5),
    "integer of 4 bytes": encode(WINDOW, 5, [(BYTES, b"1234")]),
    "negative window": encode(WINDOW, 5, [(BYTES, -1)]),
    "signal 0": encode(SIGNAL, 5, [(SIGNAL_NUMBER, 0)]),
    "signal 65": encode(SIGNAL, 5, [(SIGNAL_NUMBER, 65)]),
    "stream 3": encode(WINDOW, 5, [(STREAM, 3), (BYTES, 1)]),
}


@pytest.mark.parametrize("abuse", ABUSE.values(), ids=ABUSE.keys())
def test_abuse_ends_the_connection_and_its_processes(agent, abuse):
    client, witness = agent.connect(), agent.connect()
    ident = client.start(["sleep", "100"])
    pid = client.expect(ident, STARTED).int(PID)
    client.sock.sendall(abuse)
    client.expect_end()
    wait_for(lambda: witness.sh("kill -0 %d" % pid).exit_code != 0, what="the end of the process")


def test_too_much_data_in_one_frame(client):
    ident = client.start(["sleep", "100"], stdin=1)
    client.send(INPUT, ident, [(DATA, bytes(65537))])
    assert any(frame.type == ERROR for frame in client.expect_end())


def test_input_beyond_the_credit(client):
    ident = client.start(["sleep", "100"], stdin=1)
    for _ in range(5 + 1):  # 64 KiB more fit into the pipe
        client.send(INPUT, ident, [(DATA, bytes(65536))])
    assert any(frame.type == ERROR for frame in client.expect_end())


def test_half_a_frame_then_close(agent):
    client = agent.connect()
    client.sock.sendall(encode(EXEC, 9, [(ARGV, "true")])[:-3])
    client.close()
    assert agent.connect().run(["true"]).exit_code == 0


def test_frames_byte_by_byte(client):
    for byte in encode(EXEC, 1000, [(ARGV, "echo"), (ARGV, "slow"), (ENV, "PATH=/bin")]):
        client.sock.sendall(bytes([byte]))
    assert client.finish(1000).stdout == b"slow\n"


def test_many_frames_in_one_write(client):
    client.sock.sendall(b"".join(encode(PING, ident) for ident in range(10000, 20000)))
    for ident in range(10000, 20000):
        assert client.next(ident).type == PONG


def test_a_flood_that_reads_nothing(agent):
    flood, other = agent.connect(), agent.connect()
    flood.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        for _ in range(1000):
            flood.sock.sendall(encode(PING, 7) * 10000)
    assert other.run(["true"]).exit_code == 0
    assert "asan" in AGENT or agent.rss_kib() < 8192


def test_unknown_fields_are_skipped(client):
    ident = client.open(EXEC, [(63, b"\x00?"), (ARGV, "/bin/echo"), (200, 5), (ARGV, "ok")])
    assert client.finish(ident).stdout == b"ok\n"


@pytest.mark.parametrize("fields", [
    [], [(ARGV, "")], [(ARGV, b"a\x00b")], [(ARGV, "true"), (STDIN, 2)],
    [(ARGV, "true"), (STDIN, b"x")]])
def test_invalid_exec(client, fields):
    assert client.ask(EXEC, fields).text(KIND) == "invalid"
    assert client.ask(PING).type == PONG


def test_huge_argument_list(client):
    fields = [(ARGV, "true")] + [(ARGV, "x" * 200_000)]
    answer = client.ask(EXEC, fields)  # one argument may have 128 KiB
    assert answer.type in (ERROR, STARTED)
    assert client.next(client.open(PING)).type == PONG


def test_id_zero(client):
    client.send(PING, 0)
    assert client.next(0).text(KIND) == "invalid"


def test_id_in_use(client):
    ident = client.start(["cat"], stdin=1)
    client.expect(ident, STARTED)
    client.send(PING, ident)
    assert client.next(ident).text(KIND) == "invalid"
    client.send(INPUT, ident, [(DATA, b"kept"), (EOF, 1)])
    assert client.finish(ident).stdout == b"kept"
    client.send(PING, ident)  # free again
    assert client.next(ident).type == PONG


def test_257_requests(client, agent):
    idents = [client.start(["cat"], stdin=1) for _ in range(256)]
    for ident in idents:
        client.expect(ident, STARTED)
    assert client.ask(EXEC, [(ARGV, "true")]).text(KIND) == "exhausted"
    client.feed(idents[0], b"")
    assert client.finish(idents[0]).exit_code == 0
    assert client.run(["true"]).exit_code == 0
    for ident in idents[1:]:
        client.feed(ident, b"")
    for ident in idents[1:]:
        assert client.finish(ident).exit_code == 0


def test_ninth_connection(agent):
    clients = [agent.connect() for _ in range(8)]
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(agent.path)
    ninth = Client(sock)
    assert ninth.next(0).text(KIND) == "exhausted"
    assert ninth.expect_end() == []
    clients[0].close()
    sock.close()

    def connects() -> bool:
        try:
            return agent.connect().run(["true"]).exit_code == 0
        except (ConnectionResetError, EOFError):
            return False
    wait_for(connects, what="a free place")


def test_sigterm_ends_everything(agent):
    client = agent.connect()
    polite = client.start(["sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done"])
    stubborn = client.start(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done"])
    for ident in polite, stubborn:
        client.expect(ident, STARTED)
        client.next(ident)
    begin = time.monotonic()
    os.kill(agent.pid, signal.SIGTERM)
    assert client.finish(polite).exit_code == 3
    assert agent.unshare.wait(10) == 0
    assert 1.5 < time.monotonic() - begin < 4


def test_only_the_outside_ends_the_sandbox(client):
    for name in "TERM", "INT", "KILL", "HUP":
        client.sh("kill -%s 1" % name)
    assert client.ask(PING).type == PONG


def test_sigterm_with_nothing_to_end(agent):
    agent.connect()
    begin = time.monotonic()
    assert agent.terminate() == 0
    assert time.monotonic() - begin < 1


def test_one_stream_instead_of_a_socket(workdir):
    ours, theirs = socket.socketpair()
    fd = theirs.fileno()
    agent = Agent([AGENT, "--stream", str(fd)], "", pass_fds=[fd])
    theirs.close()
    client = Client(ours)
    assert client.ask(HELLO, [(VERSION, 1)]).type == WELCOME
    assert client.run(["echo", "hi"], env=["PATH=/bin"]).stdout == b"hi\n"
    client.close()  # nobody can reach it any more
    assert agent.unshare.wait(5) == 0
    agent.close()


@pytest.mark.parametrize("arguments", [
    [], ["--listen"], ["--stream", "x"], ["--stream", "-1"], ["--what", "1"],
    ["--listen", "/nowhere/socket"], ["--listen", "/tmp/" + "x" * 200]])
def test_usage(arguments):
    done = subprocess.run([AGENT] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and b"usage" in done.stderr

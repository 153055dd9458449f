"""What only a virtual machine's agent does: another host at the same port, and IDENTITY."""
from __future__ import annotations

import socket

import pytest

from conftest import AGENT, Agent, wait_for
from frames import DATA, HELLO, KIND, PING, PONG, STARTED, VERSION, WELCOME, Client

IDENTITY = 0x09


@pytest.fixture
def port(workdir):
    ours, theirs = socket.socketpair()
    fd = theirs.fileno()
    agent = Agent([AGENT, "--stream", str(fd)], "", pass_fds=[fd])
    theirs.close()
    client = Client(ours)
    assert client.ask(HELLO, [(VERSION, 1)]).type == WELCOME
    yield client
    client.close()
    agent.unshare.wait(5)
    agent.close()


def test_another_host_takes_the_port_over(port):
    ident = port.start(["sleep", "100"], env=["PATH=/bin"])
    assert port.expect(ident, STARTED)
    assert port.ask(HELLO, [(VERSION, 1)]).type == WELCOME
    count = "cat /proc/[0-9]*/comm | grep -c ^sleep$"
    wait_for(lambda: port.sh(count, env=["PATH=/bin"]).stdout.strip() == b"0", what="its end")
    assert port.ask(PING).type == PONG


def test_identity_is_refused_where_there_is_no_machine(port):
    answer = port.ask(IDENTITY, [(DATA, bytes(32))])
    assert answer.text(KIND) == "unsupported"
    assert port.ask(PING).type == PONG

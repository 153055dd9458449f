"""A launcher whose daemon has gone, and who may take it over."""
from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, List

import frames
import pytest
from conftest import wait_for
from frames import AgentError, Client, Fields, Frame
from launcher import (CHILD, DESTROYED, FORKED, L_DESTROY, L_DISCARD, L_FORK, OUTCOME, TEMPLATE,
                      UID_BASE, Launcher, Traces, child_fields, finish, parse_nested)

L_ADOPT, L_STOP, ADOPTED = 0x28, 0x29, 0xA9
GRACE, BUILD_KEY = frames.GRACE_MS, 96
BUILD = "of this test"
PATIENCE = 20.0


@pytest.fixture
def orphan() -> Iterator[Launcher]:
    """With a template and two sandboxes; its daemon hangs up when the test says so."""
    started = Launcher()
    started.hello([(GRACE, 30000), (BUILD_KEY, BUILD)])
    started.template()
    started.fork(["one", "two"])
    yield started
    if started.process.poll() is None:
        stop(started)
    finish(started)


def hang_up(launcher: Launcher) -> None:
    assert launcher.process.stdin is not None and launcher.process.stdout is not None
    launcher.process.stdin.close()
    # Its end of both pipes is closed once it has noticed.
    while os.read(launcher.process.stdout.fileno(), 1 << 16):
        pass


def connect(launcher: Launcher) -> Client:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(os.path.join(launcher.run_dir, "launcher.sock"))
    return Client(sock, PATIENCE)


def adopt(client: Client, build: str = BUILD, version: int = 1) -> Frame:
    ident = client.open(L_ADOPT, [(frames.VERSION, version), (BUILD_KEY, build)])
    return client.expect(ident, ADOPTED)


def stop(launcher: Launcher) -> None:
    if launcher.process.stdin is not None and not launcher.process.stdin.closed:
        hang_up(launcher)
    client = connect(launcher)
    client.send(L_STOP, 1)
    assert launcher.process.wait(20) == 0
    client.close()


def children(adopted: Frame) -> Dict[str, str]:
    found = [parse_nested(data) for data in adopted.all(CHILD)]
    return {one.text(frames.NAME) or "": one.text(TEMPLATE) or "" for one in found}


def is_hung_up(client: Client) -> bool:
    client.sock.settimeout(PATIENCE)
    try:
        return client.sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_next_daemon_gets_all_that_lives(orphan: Launcher) -> None:
    agent = orphan.connect("one")
    before = orphan.family()
    hang_up(orphan)
    assert agent.sh("echo still").stdout == b"still\n"
    heir = connect(orphan)
    adopted = adopt(heir)
    assert adopted.int(frames.PID) == orphan.process.pid
    template, = [parse_nested(data) for data in adopted.all(TEMPLATE)]
    assert (template.text(frames.NAME), template.int(UID_BASE)) == ("base", 700000)
    assert children(adopted) == {"one": "base", "two": "base"} and orphan.family() == before
    fork = heir.open(L_FORK, [(TEMPLATE, "base"), (CHILD, child_fields("three"))])
    assert heir.expect(fork, FORKED).all(OUTCOME)
    assert orphan.connect("three").ask(frames.PING_RUNTIME).int(frames.PID) == 2
    heir.expect(heir.open(L_DESTROY, [(frames.NAME, "one")]), DESTROYED)
    heir.expect(heir.open(L_DISCARD, [(frames.NAME, "base")]), frames.DONE)
    assert children(again(orphan, heir)) == {}


def again(orphan: Launcher, heir: Client) -> Frame:
    """The list of the one after the next."""
    heir.close()
    last = connect(orphan)
    adopted: List[Frame] = []

    def taken() -> bool:
        try:
            adopted.append(adopt(last))
        except AgentError as refused:  # it has not noticed yet that its daemon has gone
            assert "has a daemon" in str(refused)
        return bool(adopted)
    wait_for(taken, PATIENCE, "the end of the former daemon to be noticed")
    last.close()
    return adopted[0]


@pytest.mark.parametrize("what", [{"build": "another"}, {"version": 2}], ids=["build", "version"])
def test_another_version_is_refused_and_the_right_one_is_not(orphan: Launcher, what: dict) -> None:
    hang_up(orphan)
    stranger = connect(orphan)
    with pytest.raises(AgentError, match="another version of forkd") as refused:
        adopt(stranger, **what)
    assert refused.value.kind == "unsupported"
    stranger.close()
    assert len(children(adopt(connect(orphan)))) == 2


@pytest.mark.parametrize("data", [
    frames.encode(L_FORK, 1, [(TEMPLATE, "base"), (CHILD, child_fields("x"))]),
    frames.encode(0x20, 1, [(frames.VERSION, 1)]), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64,
    b"\0\0\0\7",
], ids=["fork", "hello", "text", "noise", "half"])
def test_who_does_not_ask_for_it_is_hung_up_on(orphan: Launcher, data: bytes) -> None:
    hang_up(orphan)
    stranger = connect(orphan)
    stranger.sock.sendall(data)
    stranger.sock.shutdown(socket.SHUT_WR)
    assert is_hung_up(stranger)
    assert len(children(adopt(connect(orphan)))) == 2


def test_an_adoption_without_its_fields_is_refused(orphan: Launcher) -> None:
    hang_up(orphan)
    fields: List[Fields] = [[], [(frames.VERSION, 1)], [(BUILD_KEY, BUILD)]]
    for some in fields:
        stranger = connect(orphan)
        with pytest.raises(AgentError):
            stranger.expect(stranger.open(L_ADOPT, some), ADOPTED)
        stranger.close()
    assert len(children(adopt(connect(orphan)))) == 2


def test_nobody_else_may_connect(orphan: Launcher) -> None:
    path = Path(orphan.run_dir, "launcher.sock")
    assert path.stat().st_mode & 0o777 == 0o600
    hang_up(orphan)
    os.chmod(orphan.run_dir, 0o755)
    os.chmod(path, 0o666)  # then only the kernel's word on who connects is left
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); " \
           "s.settimeout(20); sys.exit(3 if s.recv(1) == b'' else 4)"
    asked = subprocess.run(["/usr/bin/python3", "-c", code, str(path)], user=65533, group=65533,
                           extra_groups=[], capture_output=True)
    assert asked.returncode == 3, asked


def test_what_was_not_finished_is_taken_back(orphan: Launcher) -> None:
    orphan.open_fork(["late-%d" % i for i in range(24)])
    orphan.open_template("cold", uid_base=800000)
    hang_up(orphan)
    adopted = adopt(connect(orphan))
    assert set(children(adopted)) == {"one", "two"}
    assert [parse_nested(data).text(frames.NAME) for data in adopted.all(TEMPLATE)] == ["base"]
    wait_for(lambda: not [name for name in os.listdir(orphan.run_dir) if name.startswith("late")],
             PATIENCE, "the sockets of what was begun to go")


def test_a_stop_ends_all_of_it(orphan: Launcher) -> None:
    traces = Traces(orphan)
    stop(orphan)
    traces.assert_none()


def test_nobody_comes_and_it_ends() -> None:
    started = Launcher()
    started.hello([(GRACE, 300), (BUILD_KEY, BUILD)])
    started.template()
    started.fork(["box"])
    traces = Traces(started)
    began = time.monotonic()
    hang_up(started)
    assert started.process.wait(20) == 0 and time.monotonic() - began > 0.25
    traces.assert_none()
    finish(started)


def test_it_is_in_a_session_of_its_own(orphan: Launcher) -> None:
    assert os.getsid(orphan.process.pid) == orphan.process.pid  # no terminal sends it a signal

"""The runtime channel: requests, refusals, many children, and the end of the connection."""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
from typing import Any, Iterator

import pytest
from serving import ENVIRONMENT, PYTHON, Peer, Served, number, status

from forkd_runtime import frames


@pytest.fixture()
def served() -> Iterator[Served]:
    with Served({"imports": ["json"]}) as runtime:
        yield runtime


def refusal(peer: Peer) -> "tuple[str, str]":
    frame = peer.next()
    assert frame.type == frames.RT_ERROR
    return frame.text(frames.K_KIND) or "", frame.text(frames.K_MESSAGE) or ""


def pipe_of(served: Served, code: str, **options: Any) -> int:
    """Starts a program; the read end of its stdout."""
    read_end, write_end = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    served.start("code", code, fds=[null, write_end, null], **options)
    os.close(null)
    os.close(write_end)
    return read_end


def wait_for(fd: int, text: bytes) -> None:
    got = b""
    while not got.endswith(text):
        assert select.select([fd], [], [], 30)[0], got
        chunk = os.read(fd, 4096)
        assert chunk, got
        got += chunk


def test_ready_and_ping(served: Served) -> None:
    served.peer.channel.send(frames.PING, 9)
    pong = served.peer.next()
    assert (pong.type, pong.id) == (frames.PONG, 9)
    for frame in (served.first, pong):
        report = json.loads(frame.text(frames.K_REPORT) or "")
        assert report["pid"] == number(frame, frames.K_PID) == served.process.pid
        assert set(report) == {"python", "numpy_version", "modules", "pid"}


@pytest.mark.parametrize(
    "kind, text, options, expected",
    [
        ("shell", "ls", {}, "invalid"),
        ("module", "", {}, "invalid"),
        ("code", "pass", {"cwd": "/no/such"}, "not_found"),
        ("code", "pass", {"env": {"": "x"}}, "invalid"),
        ("code", "pass", {"fds": []}, "invalid"),
    ],
)
def test_refusals(served: Served, kind: str, text: str, options: Any, expected: str) -> None:
    served.start(kind, text, **options)
    assert refusal(served.peer)[0] == expected
    assert served.run("code", "print(1)").stdout == b"1\n"


def test_an_id_in_use(served: Served) -> None:
    out = pipe_of(served, "import time; print('up', flush=True); time.sleep(60)")
    pid = number(served.peer.next(), frames.K_PID)
    wait_for(out, b"up\n")
    served.peer.channel.send(frames.SESSION, 1)
    assert refusal(served.peer)[0] == "invalid"
    os.kill(pid, signal.SIGTERM)
    ended = served.peer.next()
    assert (ended.type, ended.id, status(ended)) == (frames.ENDED, 1, -signal.SIGTERM)
    os.close(out)


def test_many_at_once_and_a_bound(served: Served) -> None:
    code = "import sys; sys.stdin.read(); sys.exit(%d)"
    read_end, write_end = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    for index in range(40):
        served.start("code", code % index, fds=[read_end, null, null])
    os.close(read_end)
    for _ in range(40):
        assert served.peer.next().type == frames.SPAWNED
    served.peer.channel.send(frames.PING, 1000)
    assert served.peer.next().type == frames.PONG
    os.close(write_end)
    codes = {}
    for _ in range(40):
        frame = served.peer.next()
        codes[frame.id] = status(frame)
    assert codes == {index + 1: index for index in range(40)}
    os.close(null)


def test_a_program_is_the_leader_of_its_group_and_cannot_hurt_the_runtime(
    served: Served,
) -> None:
    code = "import os; print(os.getpid() == os.getpgrp() == os.getsid(0)); os.kill(0, 9)"
    assert served.run("code", code).status == -9
    code = "import os, signal; os.kill(os.getppid(), signal.SIGINT)"
    assert served.run("code", code).status == 0
    assert served.run("code", "print(1)").stdout == b"1\n"


def test_nothing_of_one_program_reaches_the_next(served: Served) -> None:
    first = "import json, os; json.mark = 1; os.environ['MARK'] = '1'; os.chdir('/tmp'); x = 1"
    assert served.run("code", first, cwd="/").status == 0
    second = "import json, os; print(hasattr(json, 'mark'), 'MARK' in os.environ, os.getcwd())"
    assert served.run("code", second, cwd="/").stdout == b"False False /\n"


def test_a_program_sees_the_modules_of_a_fresh_interpreter(served: Served) -> None:
    code = "import sys; print(list(sys.modules))"
    fresh = subprocess.run([PYTHON, "-c", code], capture_output=True, env=ENVIRONMENT)
    assert served.run("code", code).stdout == fresh.stdout


def test_a_program_that_asks_sees_all_modules(served: Served) -> None:
    code = "import sys; print('forkd_runtime.program' in sys.modules)"
    assert served.run("code", code).stdout == b"False\n"
    seen = served.run("code", code, env={**ENVIRONMENT, "FORKD_REVEAL": "all"})
    assert seen.stdout == b"True\n"


def test_the_end_of_the_channel_ends_all_children(served: Served) -> None:
    code = "import signal, time; signal.signal(1, signal.SIG_IGN); print('up', flush=True)\n"
    out = pipe_of(served, code + "time.sleep(600)")
    served.peer.next()
    session = served.session()
    assert session.eval("1").result == "1"
    wait_for(out, b"up\n")
    assert served.close()[0] == 0
    assert select.select([out], [], [], 30)[0] and os.read(out, 1) == b""
    with pytest.raises((EOFError, ConnectionError)):
        session.eval("1")
    os.close(out)


@pytest.mark.parametrize(
    "stream",
    [
        b"\0\0\0\0\0\0\0\0\0",
        b"\xff" * 100,
        frames.encode(0x99, 1),
        frames.encode(frames.SPAWN, 1, ((frames.K_FDS, 3),)),
        frames.encode(frames.PING, 1) + struct.pack(">IBI", 3, 1, 1),
    ],
)
def test_a_broken_stream_ends_the_runtime_and_its_children(served: Served, stream: bytes) -> None:
    out = pipe_of(served, "import time; print('up', flush=True); time.sleep(600)")
    served.peer.next()
    wait_for(out, b"up\n")
    os.write(served.peer.channel.fileno(), stream)
    assert served.process.wait(30) == 70
    assert os.read(out, 1) == b""
    os.close(out)


def test_descriptors_do_not_pile_up(served: Served) -> None:
    def count() -> int:
        return len(os.listdir("/proc/%d/fd" % served.process.pid))

    served.run("code", "pass")
    before = count()
    for _ in range(5):
        served.run("code", "pass")
        served.start("module", "")
        refusal(served.peer)
        session = served.session()
        session.eval("1")
        session.peer.channel.close()
        assert served.peer.next().type == frames.ENDED
    assert count() == before


def test_environment_is_complete(served: Served) -> None:
    code = "import os; print(sorted(os.environ))"
    assert served.run("code", code, env={"ONLY": "1"}).stdout == b"['ONLY']\n"
    assert b"PYTHONPATH" not in served.run("code", code, env=ENVIRONMENT).stdout

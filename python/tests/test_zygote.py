"""The zygote with real namespaces: each test is PID 1 of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import struct
from typing import Any, Callable, Iterator

import pytest
from sandboxes import Agent, Warden, in_user_namespace
from serving import Runtime, number, status

from forkd_runtime import frames

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

_ALLOW = 0x7FFF0000
_EPERM = 0x00050001
# BPF: load the system call's number; keyctl (250) and setns (308) fail with EPERM
SECCOMP = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x20, 0, 0, 0),
        (0x15, 2, 0, 250),
        (0x15, 1, 0, 308),
        (0x06, 0, 0, _ALLOW),
        (0x06, 0, 0, _EPERM),
    )
)


def namespaced(test: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        assert in_user_namespace(test) == 0, "see the output"

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def entered(warden: Warden, agent: Agent, name: str = "box", **options: Any) -> Runtime:
    peer = warden.enter(agent.pidfd, name, **options)
    answer = warden.peer.next()
    assert answer.type == frames.ENTERED, answer.text(frames.K_MESSAGE)
    assert peer.next().type == frames.READY
    return Runtime(peer)


def output(runtime: Runtime, code: str) -> str:
    ended = runtime.run("code", code)
    assert ended.status == 0, ended.stderr.decode()
    return ended.stdout.decode().strip()


@namespaced
def test_a_runtime_in_a_sandbox() -> None:
    warden = Warden({"imports": ["json", "socket"], "workdir": "/usr"})
    assert warden.warmed.type == frames.WARMED
    report = json.loads(warden.warmed.text(frames.K_REPORT) or "")
    assert set(report) >= {"python", "executable", "modules", "import_ms", "warm_ms", "hazards"}
    agent = Agent("box-7")
    peer = warden.enter(agent.pidfd, "box", SECCOMP)
    answer, ready = warden.peer.next(), peer.next()
    assert (answer.type, ready.type) == (frames.ENTERED, frames.READY)
    assert number(ready, frames.K_PID) == 2
    # the pid in the zygote's own namespace is another one
    with open("/proc/%d/status" % number(answer, frames.K_PID)) as file:
        assert "NSpid:\t%d\t2\n" % number(answer, frames.K_PID) in file.read()
    runtime = Runtime(peer)
    code = "import os, socket; print(os.getpid(), os.getppid(), socket.gethostname(), os.getcwd())"
    assert output(runtime, code) == "3 2 box-7 /usr"
    assert runtime.session().eval("import os; os.environ['HOSTNAME']").result == "'box'"
    agent.kill()
    assert warden.peer.next().type == frames.LEFT
    assert warden.close() == 0


@namespaced
def test_every_privilege_is_gone() -> None:
    warden = Warden({"imports": ["ctypes"]})
    agent = Agent("box")
    runtime = entered(warden, agent, seccomp=SECCOMP)
    for pid in ("self", "2"):  # the program and the runtime itself
        text = output(runtime, "print(open('/proc/%s/status').read())" % pid)
        lines = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
            assert int(lines["Cap" + kind], 16) == 0, kind
        assert (lines["NoNewPrivs"], lines["Seccomp"]) == ("1", "2")
        assert (lines["Uid"], lines["Gid"]) == ("0\t0\t0\t0", "0\t0\t0\t0")
        assert lines.get("Groups", "").strip() == ""
    assert output(runtime, "print(open('/proc/self/uid_map').read().split())") == str(
        ["0", "0", "65536"]
    )
    call = "import ctypes; c = ctypes.CDLL(None, use_errno=True)\n"
    assert output(runtime, call + "print(c.syscall(308, 0, 0), ctypes.get_errno())") == "-1 1"
    assert output(runtime, call + "print(c.mount(b'x', b'/tmp', b'tmpfs', 0, 0))") == "-1"
    assert output(runtime, "import os; print(os.stat('/proc/self').st_uid)") == "0"
    agent.kill()


@namespaced
def test_nothing_of_the_zygote_is_inherited() -> None:
    warden = Warden({"imports": ["json"]})
    agent = Agent("box")
    runtime = entered(warden, agent)
    code = "import os; print([os.readlink('/proc/2/fd/%d' % i) for i in range(3)])"
    assert output(runtime, code) == str(["/dev/null"] * 3)
    # socket, wakeup pipe: nothing else
    kinds = "import os; print(sorted(os.readlink('/proc/2/fd/' + f).split(':')[0] for f in "
    assert output(runtime, kinds + "os.listdir('/proc/2/fd') if int(f) > 2))") == str(
        ["pipe", "pipe", "socket"]
    )
    ids = "import os; print(os.getsid(2), os.getpgid(2), os.getsid(0) == os.getpid())"
    assert output(runtime, ids) == "2 2 True"
    for pid in ("self", "2"):
        code = "import os; print([os.readlink('/proc/%s/ns/' + n) for n in %r])"
        names = ["pid", "mnt", "net", "ipc", "uts", "user", "cgroup"]
        inside = eval(output(runtime, code % (pid, names)))
        outside = [os.readlink("/proc/self/ns/" + name) for name in names]
        assert all(mine != theirs for mine, theirs in zip(inside, outside))
    ended = runtime.run("code", "import os; os.kill(0, 9)")
    assert ended.status == -9
    assert output(runtime, "print(1)") == "1"
    agent.kill()
    assert warden.peer.next().type == frames.LEFT
    assert warden.close() == 0


@namespaced
def test_many_children_do_not_affect_each_other_or_the_zygote() -> None:
    warden = Warden({"imports": ["json"], "script": "import random; random.seed(1)"})
    agents = [Agent("box%d" % index) for index in range(8)]
    peers = [warden.enter(agent.pidfd, str(index)) for index, agent in enumerate(agents)]
    for request in range(8):
        answer = warden.peer.next()
        assert (answer.type, answer.id) == (frames.ENTERED, request + 2)
    assert all(peer.next().type == frames.READY for peer in peers)
    runtimes = [Runtime(peer) for peer in peers]
    sessions = [runtime.session() for runtime in runtimes]
    draws = {session.eval("import random; random.random()").result for session in sessions}
    assert len(draws) == 8
    sessions[0].eval("import json; json.mark = 1")
    assert sessions[1].eval("import json; hasattr(json, 'mark')").result == "False"
    names = {session.eval("import socket; socket.gethostname()").result for session in sessions}
    assert len(names) == 8
    late = Agent("late")
    runtime = entered(warden, late, "late")
    assert output(runtime, "import json; print(hasattr(json, 'mark'))") == "False"
    for agent in [*agents, late]:
        agent.kill()
    left = {warden.peer.next().text(frames.K_NAME) for _ in range(9)}
    assert left == {*map(str, range(8)), "late"}
    assert warden.close() == 0


@namespaced
def test_the_end_of_a_runtime_is_reported() -> None:
    warden = Warden({"imports": ["json"]})
    agents = [Agent("box%d" % index) for index in range(3)]
    peers = [warden.enter(agent.pidfd, "box%d" % i) for i, agent in enumerate(agents)]
    pids = [number(warden.peer.next(), frames.K_PID) for _ in agents]
    assert all(peer.next().type == frames.READY for peer in peers)
    os.kill(pids[0], signal.SIGSEGV)
    left = warden.peer.next()
    assert (left.text(frames.K_NAME), status(left)) == ("box0", -signal.SIGSEGV)
    peers[1].channel.close()
    left = warden.peer.next()
    assert (left.text(frames.K_NAME), status(left)) == ("box1", 0)
    os.write(peers[2].channel.fileno(), b"\xff" * 32)
    left = warden.peer.next()
    assert (left.text(frames.K_NAME), status(left)) == ("box2", 70)
    late = Agent("late")
    assert output(entered(warden, late), "print(1)") == "1"


@namespaced
def test_a_crash_of_user_code_leaves_the_runtime_and_the_zygote() -> None:
    warden = Warden({"imports": ["ctypes"]})
    agent = Agent("box")
    runtime = entered(warden, agent)
    assert runtime.run("code", "import ctypes; ctypes.string_at(0)").status == -signal.SIGSEGV
    assert runtime.run("code", "import os; os._exit(9)").status == 9
    assert output(runtime, "print(1)") == "1"
    assert warden.peer.silent(0.05)


@namespaced
def test_trouble_on_the_way_in() -> None:
    warden = Warden({"imports": ["json"]})
    agent = Agent("box")
    # a program that the kernel refuses: an unknown instruction
    peer = warden.enter(agent.pidfd, "bad-filter", b"\xff" * 8)
    assert warden.peer.next().type == frames.ENTERED
    trouble = peer.next()
    assert trouble.type == frames.RT_ERROR
    assert "cannot enter the sandbox" in (trouble.text(frames.K_MESSAGE) or "")
    left = warden.peer.next()
    assert (left.type, status(left)) == (frames.LEFT, 70)
    # a cgroup file that takes nothing
    read_only = os.open("/dev/null", os.O_RDONLY)
    peer = warden.enter(agent.pidfd, "bad-cgroup", None, [read_only])
    assert warden.peer.next().type == frames.ENTERED
    assert peer.next().type == frames.RT_ERROR
    assert status(warden.peer.next()) == 70
    # not a whole number of instructions
    warden.enter(agent.pidfd, "odd", b"1234567")
    answer = warden.peer.next()
    assert (answer.type, answer.text(frames.K_KIND)) == (frames.ERROR, "invalid")
    # a sandbox that is gone
    gone = Agent("gone")
    pidfd = os.dup(gone.pidfd)
    gone.kill()
    warden.enter(pidfd, "gone")
    answer = warden.peer.next()
    assert (answer.type, answer.text(frames.K_KIND)) == (frames.ERROR, "runtime")
    assert "cannot fork into gone" in (answer.text(frames.K_MESSAGE) or "")
    # and the zygote is as able as before
    runtime = entered(warden, agent, "good")
    threads = "import threading; t = threading.Thread(target=print, args=(1,)); t.start()"
    assert output(runtime, threads) == "1"
    agent.kill()
    assert warden.peer.next().type == frames.LEFT
    assert warden.close() == 0


@namespaced
def test_descriptors_of_the_zygote_do_not_pile_up() -> None:
    warden = Warden({"imports": ["json"]})

    def count() -> int:
        return len(os.listdir("/proc/%d/fd" % warden.process.pid))

    before = count()
    for _ in range(5):
        agent = Agent("box")
        entered(warden, agent)
        agent.kill()
        assert warden.peer.next().type == frames.LEFT
        assert count() == before


@namespaced
def test_a_failed_warm_up_ends_the_zygote() -> None:
    warden = Warden({"imports": ["numpyy"]})
    assert (warden.warmed.type, warden.warmed.text(frames.K_KIND)) == (frames.ERROR, "runtime")
    message = warden.warmed.text(frames.K_MESSAGE)
    assert message == (
        "warm-up: import numpyy failed: ModuleNotFoundError: No module named 'numpyy'"
    )
    assert warden.process.wait(30) == 1


@namespaced
def test_the_end_of_the_channel_ends_the_zygote_at_once() -> None:
    warden = Warden({"imports": ["json"]})
    agent = Agent("box")
    runtime = entered(warden, agent)
    assert warden.close() == 0
    # what it forked lives on: its agent decides
    assert output(runtime, "print(1)") == "1"


@pytest.fixture()
def cgroup() -> Iterator[str]:
    """An empty cgroup: version 2, or the pids controller of version 1."""
    name = "forkd-test-" + secrets.token_hex(4)
    two = os.path.exists("/sys/fs/cgroup/cgroup.procs")
    path = os.path.join("/sys/fs/cgroup" if two else "/sys/fs/cgroup/pids", name)
    try:
        os.mkdir(path)
    except OSError:
        pytest.skip("no cgroup can be made here")
    yield os.path.join(path, "cgroup.procs" if two else "tasks")
    os.rmdir(path)


def test_a_child_enters_its_cgroup(cgroup: str) -> None:
    fd = os.open(cgroup, os.O_WRONLY)
    name = os.path.dirname(cgroup).rsplit("/", 1)[1]

    def body() -> None:
        warden = Warden({"imports": ["json"]})
        agent = Agent("box")
        peer = warden.enter(agent.pidfd, "box", None, [fd])
        pid = number(warden.peer.next(), frames.K_PID)
        assert peer.next().type == frames.READY
        with open("/proc/%d/cgroup" % pid) as file:
            assert name in file.read()
        with open("/proc/%d/cgroup" % warden.process.pid) as file:
            assert name not in file.read()
        agent.kill()
        assert warden.peer.next().type == frames.LEFT

    try:
        assert in_user_namespace(body) == 0
    finally:
        os.close(fd)

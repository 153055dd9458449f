"""Starts a launcher, speaks its channel and knows what it must not leave behind."""
from __future__ import annotations

import collections
import itertools
import json
import os
import secrets
import select
import shutil
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any, Deque, Dict, Iterable, Iterator, List, Optional

import pytest

import frames
from frames import AgentError, Client, Fields, Frame, encode, take_frame

HERE = Path(__file__).resolve().parent
LAUNCHER = os.environ.get("FORKD_LAUNCHER", str(HERE.parent / "build" / "forkd-launcher"))
RUNTIME_DIR = HERE.parent.parent / "python"
# Whose launcher is tested: 0, or an ordinary user, who may not be able to read this directory.
USER = int(os.environ.get("FORKD_TEST_USER", "0"))
ROOTLESS = USER != 0
FIRST_ID = USER or 700000  # what the root of a sandbox is to the host
# A directory of the host: without root each at the top of "/" is a mount of a sandbox's own.
OF_THE_HOST = "/work/" if ROOTLESS else "/work"
if ROOTLESS:
    readable = tempfile.TemporaryDirectory(prefix="forkd-rootless-")
    os.chmod(readable.name, 0o755)
    LAUNCHER = shutil.copy(LAUNCHER, readable.name)
    RUNTIME_DIR = shutil.copytree(RUNTIME_DIR, Path(readable.name, "python"),
                                  ignore=shutil.ignore_patterns("tests", "__pycache__"))

L_HELLO, L_TEMPLATE, L_DISCARD, L_FORK, L_DESTROY, L_LIMIT, L_USAGE, L_BRANCH = range(0x20, 0x28)
L_WELCOME, LOG, TEMPLATE_READY, FORKED, DESTROYED = range(0xA0, 0xA5)
SANDBOX_ENDED, RUNTIME_LOST, TEMPLATE_ENDED = range(0xA5, 0xA8)
(RUN_DIR, INSTANCE, LAYER, IDMAP, COPY, HIDDEN, WRITABLE, UID_BASE, MEMORY_BYTES, PIDS_MAX,
 CPU_MILLIS, DISK_BYTES, TMP_BYTES, SHM_BYTES, TEMPLATE, CHILD, MACHINE_ID, OUTCOME, RUNTIME_PID,
 OOM_KILLS, RUNTIME_DIR_KEY, HOSTNAME) = range(64, 86)
FRONT_KEY = 90
SYSCALLS_KEY = 97
IO_WEIGHT = 98

BYTES_COPIED = frames.BYTES

ZYGOTE = ["/usr/bin/python3", "-B", "-m", "forkd_runtime.zygote"]
ENVIRONMENT = ["PATH=/usr/bin:/bin", "HOME=/root", "PYTHONPATH=/.forkd/python",
               "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"]
HOST_LAYER = [{"path": "/"}]
LIMITS = {"memory_bytes": MEMORY_BYTES, "pids_max": PIDS_MAX, "cpu_millis": CPU_MILLIS,
          "io_weight": IO_WEIGHT,
          "disk_bytes": DISK_BYTES, "tmp_bytes": TMP_BYTES, "shm_bytes": SHM_BYTES,
          "timeout_ms": frames.TIMEOUT_MS}


def nested(fields: Fields) -> bytes:
    return encode(0, 0, fields)[9:]


def parse_nested(data: bytes) -> Frame:
    buffer = bytearray((len(data) + 5).to_bytes(4, "big") + bytes(5) + data)
    frame = take_frame(buffer)
    assert frame is not None
    return frame


def layer_fields(layer: Dict[str, Any]) -> bytes:
    return nested([(frames.PATH, layer["path"]), (IDMAP, int(layer.get("idmap", 0))),
                   (COPY, int(layer.get("copy", 0)))])


def child_fields(name: str) -> bytes:
    return nested([(frames.NAME, name), (HOSTNAME, name.replace("_", "-")),
                   (MACHINE_ID, secrets.token_hex(16))])


def processes_of(pid: int) -> List[int]:
    """All descendants, as the host sees them."""
    found, queue = [], [pid]
    while queue:
        parent = queue.pop()
        try:
            text = Path("/proc/%d/task/%d/children" % (parent, parent)).read_text()
        except OSError:
            continue
        children = [int(word) for word in text.split()]
        found += children
        queue += children
    return found


def comm(pid: int) -> str:
    try:
        return Path("/proc/%d/comm" % pid).read_text().strip()
    except OSError:
        return ""


PF_EXITING = 0x4  # include/linux/sched.h; proc(5) has the flags as the ninth field of stat


def is_alive(pid: int) -> bool:
    """Whether it may still run code of its own: not so within exit(2), before it is a zombie."""
    try:
        fields = Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    except OSError:
        return False
    return fields[0] not in "ZX" and not int(fields[6]) & PF_EXITING


def cgroup_directories(instance: str) -> List[str]:
    found = []
    for root, names, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(root, name) for name in names if name == "forkd-" + instance]
    return found


class Launcher:
    def __init__(self, instance: Optional[str] = None, run_dir: Optional[str] = None,
                 uid: int = USER) -> None:
        self.instance = instance or "test" + secrets.token_hex(4)
        self.run_dir = run_dir or tempfile.mkdtemp(prefix="forkd-run-")
        os.chown(self.run_dir, uid, uid)
        self.process = subprocess.Popen([LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        bufsize=0, user=uid, group=uid, extra_groups=[])
        self.report: Dict[str, Any] = {}
        self.buffer = bytearray()
        self.kept: Dict[int, Deque[Frame]] = collections.defaultdict(collections.deque)
        self.ids = itertools.count(1)
        self.clients: List[Client] = []
        self.logs: Dict[int, bytearray] = collections.defaultdict(bytearray)

    def hello(self, more: Fields = ()) -> Dict[str, Any]:
        ident = self.open(L_HELLO, [(frames.VERSION, 1), (RUN_DIR, self.run_dir),
                                    (INSTANCE, self.instance), *more])
        return json.loads(self.expect(ident, L_WELCOME).text(frames.REPORT) or "")

    def open(self, kind: int, fields: Fields = ()) -> int:
        ident = next(self.ids)
        self.send_raw(encode(kind, ident, fields))
        return ident

    def send_raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def _receive(self, deadline: float) -> None:
        assert self.process.stdout is not None
        ready = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
        if not ready[0]:
            raise TimeoutError("the launcher said nothing in time")
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        if not data:
            raise EOFError("the launcher ended")
        self.buffer += data
        while True:
            frame = take_frame(self.buffer)
            if frame is None:
                return
            if frame.type == LOG:
                self.logs[frame.id] += frame.bytes(frames.DATA)
            else:
                self.kept[frame.id].append(frame)

    def next(self, ident: int, within: float = 60) -> Frame:
        deadline = time.monotonic() + within
        while not self.kept[ident]:
            self._receive(deadline)
        return self.kept[ident].popleft()

    def expect(self, ident: int, kind: int, within: float = 60) -> Frame:
        frame = self.next(ident, within)
        if frame.type == frames.ERROR and kind != frames.ERROR:
            raise AgentError(frame)
        assert frame.type == kind, "0x%02x instead of 0x%02x" % (frame.type, kind)
        return frame

    def event(self, kind: int, within: float = 20) -> Frame:
        """The next event of that type; others are kept."""
        deadline = time.monotonic() + within
        while True:
            for frame in self.kept[0]:
                if frame.type == kind:
                    self.kept[0].remove(frame)
                    return frame
            self._receive(deadline)

    def open_template(self, name: str = "base", layers: Optional[List[Dict[str, Any]]] = None,
                      warm: Any = None, **options: Any) -> int:
        fields: List[Any] = [(frames.NAME, name)]
        fields += [(LAYER, layer_fields(layer)) for layer in layers or HOST_LAYER]
        fields += [(HIDDEN, path) for path in options.pop("hidden", ["/root", "/home", "/run"])]
        writable = options.pop("writable", ["/root", "/tmp", "/var/tmp", "/home", "/run"])
        fields += [(WRITABLE, path) for path in writable]
        fields += [(UID_BASE, options.pop("uid_base", 700000))]
        fields += [(frames.ARGV, arg) for arg in options.pop("argv", ZYGOTE)]
        fields += [(frames.ENV, entry) for entry in options.pop("env", ENVIRONMENT)]
        fields += [(RUNTIME_DIR_KEY, str(options.pop("runtime_dir", RUNTIME_DIR)))]
        fields += [(FRONT_KEY, path) for path in [options.pop("front", "")] if path]
        fields += [(SYSCALLS_KEY, name) for name in options.pop("syscalls", [])]
        fields += [(frames.DATA, json.dumps(warm or {"imports": []}))]
        if "cwd" in options:
            fields += [(frames.CWD, options.pop("cwd"))]
        fields += [(LIMITS[key], value) for key, value in options.items()]
        return self.open(L_TEMPLATE, fields)

    def template(self, name: str = "base", **options: Any) -> Frame:
        return self.expect(self.open_template(name, **options), TEMPLATE_READY)

    def open_fork(self, names: Iterable[str], template: str = "base", **limits: int) -> int:
        fields: List[Any] = [(TEMPLATE, template)]
        fields += [(CHILD, child_fields(name)) for name in names]
        fields += [(LIMITS[key], value) for key, value in limits.items()]
        return self.open(L_FORK, fields)

    def outcomes(self, ident: int, within: float = 60) -> List[Frame]:
        frame = self.expect(ident, FORKED, within)
        return [parse_nested(data) for data in frame.all(OUTCOME)]

    def fork(self, names: Iterable[str], template: str = "base", **limits: int) -> List[Frame]:
        made = self.outcomes(self.open_fork(names, template, **limits))
        for outcome in made:
            if outcome.text(frames.KIND):
                raise AgentError(outcome)
        return made

    def sandbox(self, name: str = "box", **limits: int) -> Client:
        self.fork([name], **limits)
        return self.connect(name)

    def connect(self, name: str) -> Client:
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.chdir(self.run_dir)
            client = Client.connect("%s.agent" % name)
        finally:
            os.fchdir(here)
            os.close(here)
        self.clients.append(client)
        return client

    def destroy(self, *names: str, within: float = 60) -> None:
        ident = self.open(L_DESTROY, [(frames.NAME, name) for name in names])
        self.expect(ident, DESTROYED, within)

    def discard(self, name: str = "base") -> None:
        self.expect(self.open(L_DISCARD, [(frames.NAME, name)]), frames.DONE)

    def family(self) -> List[int]:
        return processes_of(self.process.pid)

    def named(self, name: str) -> List[int]:
        return [pid for pid in self.family() if comm(pid) == name]

    def close(self) -> int:
        for client in self.clients:
            client.close()
        assert self.process.stdin is not None and self.process.stdout is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def remove_run_dir(self) -> None:
        shutil.rmtree(self.run_dir)


class Traces:
    """What a launcher may leave: taken before it ends, checked after."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self.pids = launcher.family()

    def living(self) -> List[str]:
        return ["%d %s" % (pid, comm(pid)) for pid in self.pids if is_alive(pid)]

    def wait_for_death(self, within: float = 10) -> None:
        deadline = time.monotonic() + within
        while self.living():
            assert time.monotonic() < deadline, "still alive: %s" % self.living()
            time.sleep(0.01)

    def assert_none(self) -> None:
        self.wait_for_death()
        assert cgroup_directories(self.launcher.instance) == []
        assert os.listdir(self.launcher.run_dir) == []
        # Not all mounts: other programs of the machine make theirs.
        assert str(self.launcher.run_dir) not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """A launcher that has been greeted; afterwards it must end and leave nothing."""
    started = Launcher()
    started.hello()
    yield started
    finish(started)


@pytest.fixture(scope="module")
def family() -> Iterator[Launcher]:
    """A launcher with a template `base`, shared by the tests of a module."""
    started = Launcher()
    started.report = started.hello()
    started.template()
    yield started
    finish(started)


def finish(started: Launcher) -> None:
    traces = Traces(started)
    try:
        if started.process.poll() is None:
            assert started.close() == 0
            traces.assert_none()
    finally:
        started.close()
        started.remove_run_dir()


def write_fake_zygote(directory: Path, body: str) -> Path:
    """A runtime_dir whose `fake.py` is the body, with the codec of these tests beside it."""
    directory.chmod(0o755)
    (directory / "fake.py").write_text(FAKE_PRELUDE + textwrap.dedent(body))
    shutil.copy(HERE / "frames.py", directory / "frames.py")
    return directory


FAKE = ["/usr/bin/python3", "-B", "/.forkd/python/fake.py"]
FAKE_PRELUDE = '''\
import os, signal, socket, sys, time
import frames
channel = socket.socket(fileno=3)
buffer = bytearray()

def receive():
    while True:
        frame = frames.take_frame(buffer)
        if frame:
            return frame
        data, fds, _, _ = socket.recv_fds(channel, 65536, 8)
        if not data:
            sys.exit(0)
        buffer.extend(data)

def send(kind, ident, *fields):
    channel.sendall(frames.encode(kind, ident, fields))

def warm():
    send(0xB0, receive().id, (frames.REPORT, "{}"))
'''

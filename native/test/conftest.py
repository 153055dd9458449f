"""Fixtures: a real agent as PID 1 of new pid and mount namespaces."""
from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Iterator, List

import pytest

from frames import Client

HERE = Path(__file__).resolve().parent
AGENT = os.environ.get("FORKD_AGENT", str(HERE.parent / "build" / "forkd-agent"))
SANITIZED = "asan" in AGENT


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "measures: speed or memory, which sanitizers change")
    config.addinivalue_line("markers", "rooted: shows what only a launcher of root can do")


def wait_for(condition, within: float = 10.0, what: str = "the condition"):
    """Polls until the condition is true and returns its value."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "%s did not come true" % what
        time.sleep(0.005)


def children(pid: int) -> List[int]:
    try:
        text = Path("/proc/%d/task/%d/children" % (pid, pid)).read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def state(pid: int) -> str:
    """The letter of proc(5): S sleeps, Z is a zombie; empty when there is no such process."""
    try:
        return Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


class Agent:
    """An agent that listens at a path; `pid` is its pid as the host sees it."""

    def __init__(self, command: List[str], path: str, **options) -> None:
        self.path = path
        self.listening = False
        self.log = tempfile.TemporaryFile()
        self.unshare = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"] + command,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **options)
        self.pid = wait_for(lambda: children(self.unshare.pid), what="the agent's start")[0]
        self.clients: List[Client] = []

    def connect(self) -> Client:
        wait_for(self._listens, what="the agent's socket")
        client = Client.connect(self.path)
        self.clients.append(client)
        return client

    def _listens(self) -> bool:
        """Between bind and listen the socket is there and refuses."""
        if self.listening:
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            self.listening = probe.connect_ex(self.path) == 0
        return self.listening

    def rss_kib(self) -> int:
        for line in Path("/proc/%d/status" % self.pid).read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def fds(self) -> int:
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def zombies(self) -> List[int]:
        return [pid for pid in children(self.pid) if state(pid) == "Z"]

    def terminate(self, within: float = 10.0) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return self.unshare.wait(within)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        # Ended politely, so that a sanitized agent gets to its leak check.
        code = self.unshare.poll()
        try:
            code = self.terminate() if code is None else code
        finally:
            self.unshare.kill()
            self.unshare.wait()
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        self.log.close()
        assert "Sanitizer" not in text and "runtime error" not in text, text
        assert code == 0, "the agent ended with %s: %s" % (code, text)


@pytest.fixture
def workdir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="forkd-test-"))
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def agent(workdir: Path) -> Iterator[Agent]:
    path = str(workdir / "agent.sock")
    started = Agent([AGENT, "--listen", path], path)
    yield started
    started.close()


@pytest.fixture
def client(agent: Agent) -> Client:
    return agent.connect()

"""A daemon per session with a state directory of its own, and the command to drive it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import host  # noqa: E402
from name_server import NameServer  # noqa: E402
from rest import Rest  # noqa: E402

HOME = Path(__file__).resolve().parent.parent

TINY = """\
name: tiny
image: host
runtime: {language: python, interpreter: /usr/bin/python3}
warm:
  imports: [json, random, uuid, secrets, tempfile]
workdir: /workdir
limits: {pids: 64}
"""

HEAVY = """\
name: heavy
image: host
runtime: {language: python, interpreter: /usr/bin/python3}
warm:
  imports: [numpy, pandas, sklearn, random, uuid, secrets, tempfile]
workdir: /workdir
limits: {pids: 64}
"""


# How often what breaks by chance is tried; `make crash` takes 50.
ROUNDS = int(os.environ.get("FORKD_CRASH_ROUNDS", "3"))


class Installation:
    """One daemon with its own directories, and the `forkd` command aimed at it.

    @param home: where forkd is
    @param uid: who runs it all
    """

    def __init__(self, directory: Path, home: Path = HOME, uid: int = 0) -> None:
        self.directory = directory
        self.program = str(home / "forkd")
        self.user = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        self.state = directory / "state"
        self.run_dir = directory / "run"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FORKD_")},
            "FORKD_STATE_DIR": str(self.state),
            "FORKD_RUN_DIR": str(self.run_dir),
            **({"HOME": str(directory)} if uid else {}),
        }
        self.socket = self.run_dir / "forkd.sock"
        self.rest = Rest(str(self.socket))
        self.names: "NameServer | None" = None
        self.process: "subprocess.Popen[bytes] | None" = None

    def command(self, *args: str, **more) -> "subprocess.CompletedProcess[bytes]":
        more.setdefault("timeout", 180)
        more.setdefault("capture_output", True)
        more.setdefault("cwd", self.directory)
        return subprocess.run([self.program, *args], env=self.environment, **self.user, **more)

    def start(self, *options: str) -> float:
        """Starts the daemon; seconds until it answers. Without options it has no TCP port."""
        began = time.monotonic()
        log = open(self.directory / "daemon.log", "ab")
        self.process = subprocess.Popen(
            [self.program, "serve", *(options or ("--bind", "none"))], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self.user)
        log.close()
        while True:
            try:
                assert self.rest.ok("GET", "/healthz") == {"ok": True}
                return time.monotonic() - began
            except OSError:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() - began < 60, self.log()
                time.sleep(0.01)  # polling a socket that another process is about to make

    def log(self) -> str:
        return (self.directory / "daemon.log").read_text()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)

    def stop_if_it_runs(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def label(self) -> str:
        """What this daemon's cgroups are called."""
        return "forkd-" + self.rest.ok("GET", "/version")["instance"]


@contextlib.contextmanager
def own_installation() -> Iterator[Installation]:
    """Directories of the caller's own for daemons that it starts; the last one is stopped."""
    directory = Path(tempfile.mkdtemp(prefix="forkd-e2e-"))
    installed = Installation(directory)
    try:
        yield installed
    finally:
        installed.stop_if_it_runs()
        shutil.rmtree(directory)


@contextlib.contextmanager
def own_daemon(*options: str) -> Iterator[Installation]:
    """A daemon of the caller's own, with the snapshot `tiny`; nothing of it may be left."""
    mounts = host.mounts()
    with own_installation() as installed:
        installed.start(*options)
        installed.rest.ok("POST", "/v1/snapshots", {"recipe": TINY, "recipe_dir": "/"})
        label = installed.label()
        yield installed
        installed.stop_if_it_runs()
        assert host.cgroups(label) == set() and host.mounts() - mounts == set()
        assert host.networks(installed.run_dir) == set()


def copy_of_forkd(to: Path) -> Path:
    """A copy of what is installed, without sources."""
    for part in ("forkd", "scripts", "python", "target/forkd.jar", "target/lib"):
        (to / part).parent.mkdir(parents=True, exist_ok=True)
        source = HOME / part
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, to / part)
    (to / "native/build").mkdir(parents=True)
    for program in (HOME / "native/build").glob("forkd-*"):
        shutil.copy2(program, to / "native/build")
    return to


def kill_daemon(installed: Installation) -> None:
    """kill -9 of the JVM; its launcher sees that and ends what it made."""
    process = installed.process
    assert process is not None
    for pid in [process.pid, *host.children_of(process.pid)]:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it ended while we looked
        if b"forkd.jar" in command:
            os.kill(pid, signal.SIGKILL)
    process.wait(30)


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    assert os.geteuid() == 0, "the end-to-end tests need root: sandboxes are made by root"
    host.prepare_network_names()
    with own_daemon() as installed:
        installed.rest.ok("POST", "/v1/snapshots", {"recipe": HEAVY, "recipe_dir": "/"})
        yield installed


@pytest.fixture
def rest(installation: Installation) -> Rest:
    return installation.rest


@pytest.fixture(autouse=True)
def nothing_left(request) -> Iterator[None]:
    """Sandboxes that a test made and left are destroyed; the daemon must then be as before."""
    if "rest" not in request.fixturenames:
        yield
        return
    client = request.getfixturevalue("rest")
    yield
    for sandbox in client.ok("GET", "/v1/sandboxes"):
        client.kill(sandbox["id"])

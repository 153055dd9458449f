"""kill -9 of the daemon, and of every kind of process below it, at any moment of what it does.

FORKD_CRASH_ROUNDS=50 (`make crash`) for the long run.
"""

import http.client
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

import host
from conftest import ROUNDS, TINY, Installation, kill_daemon, own_daemon
from host import PATIENCE, eventually


@pytest.fixture
def installed() -> Iterator[Installation]:
    """A daemon of the test's own, with the snapshot `tiny`; nothing of it may be left."""
    with own_daemon() as installation:
        yield installation


class Busy:
    """Requests under way in threads; what they were answered, if they were."""

    def __init__(self, installation: Installation) -> None:
        self._rest = installation.rest
        self._threads: List[threading.Thread] = []
        self.answers: List[Any] = []

    def ask(self, *call: Any) -> None:
        self._start(lambda: self.answers.append(self._rest.call(*call)))

    def stream(self, sandbox: str) -> None:
        body = {"args": ["sh", "-c", "while echo line; do :; done"], "stream": True}
        path = f"/v1/sandboxes/{sandbox}/exec"
        self._start(lambda: self.answers.append(sum(1 for _ in self._rest.events(path, body))))

    def _start(self, action: Callable[[], None]) -> None:
        def quietly() -> None:
            try:
                action()
            except (OSError, ValueError, AssertionError, http.client.HTTPException) as error:
                self.answers.append(error)  # what it asked was killed: that is the point

        thread = threading.Thread(target=quietly)
        thread.start()
        self._threads.append(thread)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a request was never answered"


def check_nothing_is_left(installation: Installation, label: str) -> None:
    assert installation.rest.ok("GET", "/v1/sandboxes") == []
    assert host.cgroups(label) == set()
    assert list((installation.run_dir / "agents").iterdir()) == []
    assert list((installation.state / "snapshots").glob(".*")) == []


def test_kill_9_of_the_daemon_during_forks_destroys_and_snapshots(installed):
    rest, label = installed.rest, installed.label()
    mounts = host.mounts()
    for round_number in range(ROUNDS):
        old = [s["id"] for s in rest.fork("tiny", 8)]
        family = host.children_of(installed.process.pid)
        busy = Busy(installed)
        busy.ask("POST", "/v1/sandboxes", {"snapshot_tag": "tiny", "n": 16})
        for sandbox in old[:4]:
            busy.ask("DELETE", f"/v1/sandboxes/{sandbox}")
        busy.ask("POST", "/v1/snapshots", {"recipe": TINY, "recipe_dir": "/", "tag": "new"})
        busy.stream(old[7])
        time.sleep(0.017 * round_number % 0.4)  # each round meets another moment
        kill_daemon(installed)
        busy.join()
        installed.start()
        snapshots: Dict[str, dict] = {s["tag"]: s for s in rest.ok("GET", "/v1/snapshots")}
        assert snapshots["tiny"]["bootable"], snapshots
        if "new" in snapshots:
            new = snapshots["new"]
            assert new["status"] in ("ready", "failed"), new
            assert new["bootable"] == (new["status"] == "ready") and (
                new["bootable"] or new["warning"]), new
            rest.ok("DELETE", "/v1/snapshots/new")
        assert [pid for pid in family if host.alive(pid)] == []
        assert host.mounts() == mounts
        check_nothing_is_left(installed, label)
        remembered = rest.ok("GET", "/v1/sandboxes?all=true")
        assert all(s["state"] == "ended" and s["ended"] for s in remembered), remembered
        assert set(old[4:]) <= {s["id"] for s in remembered}
        for sandbox in remembered:
            rest.kill(sandbox["id"])


def test_cleanup_removes_what_a_killed_daemon_left_and_says_what(installed):
    label = installed.label()
    ids = [s["id"] for s in installed.rest.fork("tiny", 4)]
    busy = installed.command("cleanup")
    assert busy.returncode == 5 and b"in use by another forkd daemon" in busy.stderr
    kill_daemon(installed)
    done = installed.command("cleanup")
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode()
    assert all(f"  ✓ sandbox {sandbox}\n" in told for sandbox in ids), told
    assert "forkd.sock" in told and host.cgroups(label) == set()
    assert list(installed.run_dir.glob("*.sock")) == []
    again = installed.command("cleanup")
    assert again.stdout.decode().startswith("nothing was left"), again.stdout
    installed.start()
    check_nothing_is_left(installed, label)


def victims(installation: Installation) -> Dict[str, int]:
    """One process of each kind below the daemon."""
    found: Dict[str, int] = {}
    for pid in host.children_of(installation.process.pid):
        try:
            found[Path(f"/proc/{pid}/comm").read_text().strip()] = pid
        except OSError:
            continue  # it ended while we looked
    return found


def test_kill_9_of_anything_below_the_daemon_is_told_and_healed(installed):
    rest, label = installed.rest, installed.label()
    chance = random.Random(20261126)
    kinds: Dict[str, int] = {}
    for round_number in range(2 * ROUNDS):
        sandboxes = rest.fork("tiny", 4)
        below = victims(installed)
        # The launcher, a holder, the zygote and the warden; an agent; a runtime.
        below["agent"] = sandboxes[0]["pid"]
        kind = sorted(below)[round_number % len(below)]
        busy = Busy(installed)
        busy.ask("POST", "/v1/sandboxes", {"snapshot_tag": "tiny", "n": 8})
        for sandbox in sandboxes:
            body = {"code": "sum(range(3_000_000))"}
            busy.ask("POST", f"/v1/sandboxes/{sandbox['id']}/eval", body)
        busy.stream(sandboxes[3]["id"])
        time.sleep(chance.random() * 0.2)
        if host.alive(below[kind]):
            os.kill(below[kind], signal.SIGKILL)
            kinds[kind] = kinds.get(kind, 0) + 1
        time.sleep(0.05)
        for sandbox in rest.ok("GET", "/v1/sandboxes"):
            rest.call("DELETE", f"/v1/sandboxes/{sandbox['id']}")
        busy.join()
        # Whatever was killed: the next ones come, and work.
        again = rest.fork("tiny", 2)
        assert rest.eval(again[0]["id"], "6 * 7")["result"] == "42"
        for sandbox in rest.ok("GET", "/v1/sandboxes?all=true"):
            rest.call("DELETE", f"/v1/sandboxes/{sandbox['id']}")
        # What nobody waits for any more (a batch whose caller was told already) ends by itself.
        eventually("what was killed is tidied up", lambda: not (
            [g for g in host.cgroups(label) if "/s-" in g]
            or list((installed.run_dir / "agents").iterdir())))
    assert len(kinds) >= min(4, 2 * ROUNDS), kinds
    assert "defect" not in installed.log()

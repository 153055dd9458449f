"""kill -9 of whatever makes virtual machines, at random moments of what it does.

FORKD_CRASH_ROUNDS says how often (6; `make crash-vm` takes 50), FORKD_CRASH_SEED repeats a run. The
agent of a guest is its first process and cannot be killed from inside it; what kills a QEMU kills
it.
"""

import os
import random
import signal
import threading
import time
from typing import Any, Callable, List, NamedTuple, Tuple

import host
import pytest
from conftest import Installation
from machines import emulators, helpers, machines, nothing_left, recipe  # noqa: F401

ROUNDS = int(os.environ.get("FORKD_CRASH_ROUNDS", "6"))
SEED = int(os.environ.get("FORKD_CRASH_SEED", str(random.randrange(1 << 30))))
# An act, and for how long its moments are.
ACTS = (("fork", 0.25), ("snapshot", 3.0), ("branch", 0.2))
VICTIMS = ("qemu", "daemon", "helper")
REPLIES = (201, 404, 409, 500, 503, 504)


class Outcome(NamedTuple):
    """How a request ended: 0 when the daemon was killed under it."""

    status: int
    reply: Any


def kill_daemon(installed: Installation) -> None:
    assert installed.process is not None
    for pid in [installed.process.pid, *host.children_of(installed.process.pid)]:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as words:
                if b"forkd.jar" in words.read():
                    os.kill(pid, signal.SIGKILL)
        except OSError:
            continue  # it ended while we looked
    installed.process.wait(30)


class Scene:
    """A daemon with a snapshot from a recipe and one that was branched, which both must stay."""

    def __init__(self, installed: Installation, chance: random.Random) -> None:
        self.installed, self.rest, self.chance = installed, installed.rest, chance
        self.label = installed.label()
        self.seen: List[str] = []
        source = self.rest.fork("vm-e2e")[0]["id"]
        self.rest.eval(source, "kept = list(range(1000))")
        self.rest.exec(source, "sh", "-c", "echo kept > /root/file")
        self.rest.ok("POST", f"/v1/sandboxes/{source}/branch", {"tag": "kept", "mode": "diff"})
        self.rest.kill(source)

    def round(self, act: str, span: float, victim: str) -> None:
        request = self._request(act)
        outcome: List[Outcome] = []
        thread = threading.Thread(target=lambda: outcome.append(self._call(request)))
        moment = time.monotonic() + self.chance.random() * span
        thread.start()
        killed = self._kill(victim, moment, thread)
        thread.join(300)
        told = outcome[0].reply["error"] if outcome[0].status >= 400 else ""
        self.seen.append(f"{act}/{victim}: killed {killed}, HTTP {outcome[0].status} {told}")
        assert outcome[0].status in REPLIES or (victim, outcome[0].status) == ("daemon", 0)
        if victim == "daemon":
            kill_daemon(self.installed)
            self.installed.start()
            nothing_left(self.installed, self.label)
        self._whole(act, outcome[0])
        self._clear()
        self._nothing_lost()

    def _request(self, act: str) -> Tuple[str, str, Any]:
        if act == "fork":
            return "POST", "/v1/sandboxes", {"snapshot_tag": "vm-e2e", "n": 3}
        if act == "snapshot":
            return "POST", "/v1/snapshots", recipe("made")
        source = self.rest.fork(self.chance.choice(("vm-e2e", "kept")))[0]["id"]
        self.rest.eval(source, "state = bytearray(b'x' * %d)" % self.chance.choice((10, 20 << 20)))
        mode = self.chance.choice(("full", "diff", "live"))
        return "POST", f"/v1/sandboxes/{source}/branch", {"tag": "made", "mode": mode}

    def _call(self, request: Tuple[str, str, Any]) -> Outcome:
        try:
            return Outcome(*self.rest.call(*request))
        except (OSError, ValueError) as error:
            return Outcome(0, repr(error))

    def _kill(self, victim: str, moment: float, act: threading.Thread) -> int:
        """The pid; 0 when nobody was there before the act was over."""
        while time.monotonic() < moment and act.is_alive():
            time.sleep(0.005)  # until the moment that was drawn
        if victim == "daemon":
            assert self.installed.process is not None
            kill_daemon(self.installed)
            return self.installed.process.pid
        look: Callable[[], List[int]] = (
            lambda: emulators(self.label) if victim == "qemu" else helpers(self.installed))
        while act.is_alive():
            # The youngest are those that the act is about.
            youngest = sorted(look())[-3:]
            if not youngest:
                time.sleep(0.005)
                continue
            pid = self.chance.choice(youngest)
            try:
                os.kill(pid, signal.SIGKILL)
                return pid
            except ProcessLookupError:
                continue  # it ended by itself: another one
        return 0

    def _whole(self, act: str, outcome: Outcome) -> None:
        """What was made is whole or is not there; what was promised is there."""
        for sandbox in self.rest.ok("GET", "/v1/sandboxes"):
            reply = self.rest.call("POST", f"/v1/sandboxes/{sandbox['id']}/eval", {"code": "6 * 7"})
            assert reply[1].get("result") == "42" or reply[0] in (404, 409, 500), reply
        made = [s for s in self.rest.ok("GET", "/v1/snapshots") if s["tag"] == "made"]
        assert made or act == "fork" or outcome.status != 201
        for snapshot in made:
            assert snapshot["bootable"] or snapshot["warning"], snapshot
            if outcome.status == 201:
                child = self.rest.fork("made")[0]["id"]
                expression = "2" if act == "snapshot" else "len(state) in (10, 20 << 20)"
                assert self.rest.eval(child, expression)["result"] in ("2", "True")
        assert list((self.installed.state / "snapshots").glob(".*")) == []

    def _clear(self) -> None:
        for sandbox in self.rest.ok("GET", "/v1/sandboxes"):
            self.rest.call("DELETE", f"/v1/sandboxes/{sandbox['id']}")
        for snapshot in self.rest.ok("GET", "/v1/snapshots"):
            if snapshot["tag"] == "made":
                self.rest.ok("DELETE", "/v1/snapshots/made?force=true")

    def _nothing_lost(self) -> None:
        assert {s["tag"] for s in self.rest.ok("GET", "/v1/snapshots")} == {"vm-e2e", "kept"}
        kept = self.rest.fork("kept")[0]["id"]
        assert self.rest.eval(kept, "kept == list(range(1000))")["result"] == "True"
        assert self.rest.exec(kept, "cat", "/root/file")["stdout"] == "kept\n"
        fresh = self.rest.fork("vm-e2e")[0]["id"]
        assert self.rest.eval(fresh, "'kept' in globals()")["result"] == "False"
        for sandbox in (kept, fresh):
            self.rest.kill(sandbox)
        self._await(lambda: len(emulators(self.label)) <= 2, "machines beyond the parked ones")
        # The memory of two snapshots and the file of the base: nothing that copies is left.
        self._await(lambda: len(helpers(self.installed)) <= 3, "processes that hold memory")

    def _await(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline, (what, emulators(self.label), self.seen[-3:])
            time.sleep(0.05)  # pools are filled and emptied in the background


@pytest.mark.usefixtures("machines")
def test_random_kills_leak_nothing_and_lose_nothing(machines: Installation) -> None:  # noqa: F811
    chance = random.Random(SEED)
    scene = Scene(machines, chance)
    try:
        for number in range(ROUNDS):
            act, span = ACTS[number % len(ACTS)]
            scene.round(act, span, VICTIMS[(number + number // len(ACTS)) % len(VICTIMS)])
    except BaseException:
        print("seed %d, rounds so far:\n%s" % (SEED, "\n".join(scene.seen)))
        raise
    print("seed %d:\n%s" % (SEED, "\n".join(scene.seen)))
    scene.rest.ok("DELETE", "/v1/snapshots/kept")

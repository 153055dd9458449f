"""A daemon that ends without its sandboxes, and the next one that takes them over."""

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List

import pytest

import host
from conftest import ROUNDS, TINY, Installation, copy_of_forkd, kill_daemon, own_daemon
from host import eventually

POOLED = TINY.replace("name: tiny", "name: pooled") + "pool: 3\n"
KEEP = ("--bind", "none", "--adopt-grace", "60")


def launcher_of(installed: Installation) -> int:
    wanted = str(installed.run_dir / "agents")
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text() == "forkd-launcher\n" and \
                    os.readlink(entry / "cwd") == wanted and \
                    b"launcher" in (entry / "cmdline").read_bytes():
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if (Path("/proc") / str(parent) / "comm").read_text() != "forkd-launcher\n":
                    return int(entry.name)
        except OSError:
            continue  # it ended while we looked
    raise AssertionError("there is no launcher in " + wanted)


@pytest.fixture
def installed() -> Iterator[Installation]:
    """A daemon of the test's own whose sandboxes outlive it; nothing of it may be left."""
    with own_daemon(*KEEP) as installation:
        yield installation
        installation.stop()
        assert not (installation.run_dir / "agents" / "launcher.sock").exists()


def ids(installed: Installation) -> List[str]:
    return sorted(one["id"] for one in installed.rest.ok("GET", "/v1/sandboxes"))


def check_all_answer(installed: Installation, sandboxes: List[str], value: int) -> None:
    for n, one in enumerate(sandboxes):
        assert installed.rest.eval(one, "mine")["result"] == str(n + value)
        assert installed.rest.exec(one, "cat", "/tmp/mine")["stdout"] == f"{n}\n"
        assert installed.rest.ok("POST", f"/v1/sandboxes/{one}/ping")


def fill(installed: Installation, sandboxes: List[str]) -> None:
    for n, one in enumerate(sandboxes):
        installed.rest.eval(one, f"mine = {n}")
        installed.rest.exec(one, "sh", "-c", f"echo {n} >/tmp/mine")


def pids(installed: Installation) -> List[int]:
    return sorted(one["pid"] for one in installed.rest.ok("GET", "/v1/sandboxes"))


def test_kill_9_of_the_daemon_keeps_twenty_sandboxes_their_state_and_the_pool(installed):
    installed.rest.ok("POST", "/v1/snapshots", {"recipe": POOLED, "recipe_dir": "/"})
    mine = sorted(one["id"] for one in installed.rest.fork(
        "tiny", 20, labels={"job": "a=b"}, ttl_secs=3600))
    fill(installed, mine)
    before, launcher = pids(installed), launcher_of(installed)
    for kill in range(ROUNDS):
        kill_daemon(installed)
        began = time.monotonic()
        installed.start(*KEEP)
        check = installed.rest.eval(mine[0], "mine")["result"]
        print(f"first adopted answer after {time.monotonic() - began:.3f} s")
        assert check == str(kill)
        assert ids(installed) == mine and pids(installed) == before
        assert launcher_of(installed) == launcher
        check_all_answer(installed, mine, kill)
        for one in mine:
            installed.rest.eval(one, "mine += 1")
        info = installed.rest.ok("GET", f"/v1/sandboxes/{mine[3]}")
        assert info["labels"] == {"job": "a=b"} and 0 < info["expires_in_ms"] < 3600_000
        [tiny] = [s for s in installed.rest.ok("GET", "/v1/snapshots") if s["tag"] == "tiny"]
        assert tiny["warm"] is True
        more = installed.rest.fork("tiny", 2) + installed.rest.fork("pooled", 2)
        for one in more:
            assert installed.rest.exec(one["id"], "true")["exit_code"] == 0
            installed.rest.kill(one["id"])
    for one in mine:
        installed.rest.kill(one)
    assert ids(installed) == []
    assert [pid for pid in before if host.alive(pid)] == []
    kinds = [event["kind"] for event in installed.rest.ok("GET", "/v1/events?limit=1000")]
    assert "sandbox.adopted" in kinds and "template.adopted" in kinds


def test_sigterm_with_keep_leaves_sandboxes_and_sigterm_with_end_does_not(installed):
    installed.stop()
    installed.start(*KEEP, "--on-stop", "keep")
    mine = sorted(one["id"] for one in installed.rest.fork("tiny", 3))
    fill(installed, mine)
    before = pids(installed)
    installed.stop()
    assert [pid for pid in before if not host.alive(pid)] == []
    installed.start(*KEEP)
    check_all_answer(installed, mine, 0)
    installed.stop()
    assert [pid for pid in before if host.alive(pid)] == []
    installed.start(*KEEP)
    assert ids(installed) == []


def test_what_was_under_way_ends_with_the_daemon_and_the_sandbox_answers_again(installed):
    [one] = installed.rest.fork("tiny")
    busy = threading.Thread(target=ask_quietly, args=(
        installed, "POST", f"/v1/sandboxes/{one['id']}/exec", {"args": ["sleep", "7919"]}))
    busy.start()
    eventually("a program that runs", lambda: sleeps(installed, one["id"]))
    kill_daemon(installed)
    busy.join(30)
    assert not busy.is_alive()
    installed.start(*KEEP)
    assert installed.rest.exec(one["id"], "echo", "here")["stdout"] == "here\n"
    eventually("its program to be gone", lambda: not sleeps(installed, one["id"]))


def sleeps(installed: Installation, sandbox: str) -> bool:
    running = installed.rest.exec(sandbox, "sh", "-c", "cat /proc/[0-9]*/comm")["stdout"]
    return "sleep" in running.split()


def test_the_launcher_ends_with_all_it_has_when_no_daemon_comes(installed):
    installed.stop()
    installed.start("--bind", "none", "--adopt-grace", "2")
    installed.rest.fork("tiny", 3)
    label, before, launcher = installed.label(), pids(installed), launcher_of(installed)
    kill_daemon(installed)
    assert host.alive(launcher) and all(host.alive(pid) for pid in before)
    eventually("the launcher to end", lambda: not host.alive(launcher))
    assert [pid for pid in before if host.alive(pid)] == []
    assert host.cgroups(label) == set()
    installed.start(*KEEP)
    assert ids(installed) == []


def test_kill_9_of_daemon_and_launcher_leaves_nothing(installed):
    installed.rest.fork("tiny", 5)
    before, launcher = pids(installed), launcher_of(installed)
    kill_daemon(installed)
    os.kill(launcher, signal.SIGKILL)
    eventually("all to end", lambda: not any(host.alive(pid) for pid in before))
    installed.start(*KEEP)
    assert ids(installed) == []
    assert installed.rest.fork("tiny", 1)


def test_kill_9_of_an_adopted_launcher_is_told(installed):
    [one] = installed.rest.fork("tiny")
    kill_daemon(installed)
    installed.start(*KEEP)
    os.kill(launcher_of(installed), signal.SIGKILL)
    eventually("the end to be told", lambda: ids(installed) == [])
    [gone] = installed.rest.ok("GET", "/v1/sandboxes?all=true")
    assert gone["id"] == one["id"] and gone["ended"]
    assert installed.rest.fork("tiny", 1)


def test_a_daemon_that_does_not_adopt_ends_what_it_finds(installed):
    installed.rest.fork("tiny", 3)
    before, launcher = pids(installed), launcher_of(installed)
    kill_daemon(installed)
    installed.start("--bind", "none")
    assert ids(installed) == []
    assert [pid for pid in [launcher, *before] if host.alive(pid)] == []


def test_cleanup_ends_a_launcher_without_a_daemon(installed):
    installed.rest.fork("tiny", 3)
    before, launcher = pids(installed), launcher_of(installed)
    kill_daemon(installed)
    done = installed.command("cleanup")
    assert done.returncode == 0, done.stderr
    assert [pid for pid in [launcher, *before] if host.alive(pid)] == []
    installed.start(*KEEP)


def test_a_launcher_of_another_build_is_told_to_end(installed):
    installed.rest.fork("tiny", 3)
    before, launcher = pids(installed), launcher_of(installed)
    kill_daemon(installed)
    home = copy_of_forkd(installed.directory / "home")
    with open(home / "native/build/forkd-agent", "ab") as agent:
        agent.write(b"another build")
    installed.program = str(home / "forkd")
    installed.start(*KEEP)
    assert ids(installed) == []
    assert [pid for pid in [launcher, *before] if host.alive(pid)] == []
    assert "another version of forkd" in installed.log()


def test_strangers_are_not_let_in(installed):
    installed.rest.fork("tiny", 1)
    before = pids(installed)
    path = installed.run_dir / "agents" / "launcher.sock"
    assert path.stat().st_mode & 0o7777 == 0o600
    kill_daemon(installed)
    knock = ("import os,socket,sys\n"
             "s=socket.socket(socket.AF_UNIX)\n"
             "os.chdir(sys.argv[1])\n"
             "os.setuid(65534)\n"
             "s.connect('launcher.sock')\n")
    done = subprocess.run(["/usr/bin/python3", "-c", knock, str(path.parent)], capture_output=True)
    assert done.returncode != 0 and b"PermissionError" in done.stderr
    with socket.socket(socket.AF_UNIX) as rude:
        rude.connect(os.path.relpath(path))
        rude.sendall(b"GET / HTTP/1.1\r\n\r\n" * 4)
        rude.settimeout(10)
        try:
            assert rude.recv(100) == b""
        except ConnectionResetError:
            pass  # it did not read what we sent: it hung up all the same
    installed.start(*KEEP)
    assert pids(installed) == before


def test_a_sandbox_that_ended_meanwhile_is_told(installed):
    mine = sorted(one["id"] for one in installed.rest.fork("tiny", 2))
    victim = installed.rest.ok("GET", f"/v1/sandboxes/{mine[0]}")["pid"]
    kill_daemon(installed)
    os.kill(victim, signal.SIGKILL)
    installed.start(*KEEP)
    assert ids(installed) == mine[1:]
    gone = installed.rest.ok("GET", f"/v1/sandboxes/{mine[0]}")
    assert "daemon" in gone["ended"]
    told = [(e["kind"], e["subject"]) for e in installed.rest.ok("GET", "/v1/events?limit=100")]
    assert ("sandbox.ended", mine[0]) in told and ("sandbox.adopted", mine[1]) in told


def test_kill_9_at_any_moment_leaves_what_is_listed_and_nothing_else(installed):
    label = installed.label()
    for kill in range(ROUNDS):
        old = [one["id"] for one in installed.rest.fork("tiny", 8)]
        asked = [("POST", "/v1/sandboxes", {"snapshot_tag": "tiny", "n": 16}),
                 ("POST", "/v1/snapshots", {"recipe": POOLED, "recipe_dir": "/", "tag": "new"})]
        asked += [("DELETE", f"/v1/sandboxes/{one}", None) for one in old[:4]]
        threads = [threading.Thread(target=ask_quietly, args=(installed, *call)) for call in asked]
        for thread in threads:
            thread.start()
        time.sleep(0.017 * kill % 0.4)  # each round meets another moment
        kill_daemon(installed)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a request was never answered"
        installed.start(*KEEP)
        installed.rest.call("DELETE", "/v1/snapshots/new")
        listed = set(ids(installed))
        assert set(old[4:]) <= listed
        agents = {path.stem for path in (installed.run_dir / "agents").glob("*.agent")}
        groups = {group.rsplit("/s-", 1)[1] for group in host.cgroups(label) if "/s-" in group}
        assert agents == listed == groups
        for one in sorted(listed):
            assert installed.rest.eval(one, "6 * 7")["result"] == "42"
        for one in installed.rest.ok("GET", "/v1/sandboxes?all=true"):
            installed.rest.kill(one["id"])


def ask_quietly(installed: Installation, method: str, path: str, body: Any) -> None:
    try:
        installed.rest.call(method, path, body)
    except (OSError, ValueError, http.client.HTTPException):
        pass  # the daemon was killed: that is the point

"""Branches and workspaces on the process engine: state, chains, and what a crash leaves."""

import os
import sqlite3
import threading
import time
from typing import Iterator

import pytest

import host
from conftest import ROUNDS, TINY, kill_daemon, own_daemon


@pytest.fixture(autouse=True)
def no_branch_left(request) -> Iterator[None]:
    """What a test branched and suspended is removed, whatever became of it."""
    yield
    if "rest" not in request.fixturenames:
        return
    rest = request.getfixturevalue("rest")
    for workspace in rest.ok("GET", "/v1/workspaces"):
        rest.ok("DELETE", f"/v1/workspaces/{workspace['name']}")
    for snapshot in rest.ok("GET", "/v1/snapshots"):
        if snapshot["tag"] not in ("tiny", "heavy"):
            rest.call("DELETE", f"/v1/snapshots/{snapshot['tag']}?force=true")


def branch(rest, sandbox: str, **body) -> dict:
    return rest.ok("POST", f"/v1/sandboxes/{sandbox}/branch", body)


def test_grandchildren_begin_where_the_sandbox_was(rest):
    source = rest.fork("tiny")[0]["id"]
    rest.eval(source, "x = [1, 2, 3]")
    rest.exec(source, "sh", "-c", "echo kept > /tmp/file; mkdir -p d; echo v > d/f")
    info = branch(rest, source, tag="loaded")
    assert (info["status"], info["bootable"], info["branched_from"]) == ("ready", True, source)
    assert info["pause_ms"] < 2000
    children = [c["id"] for c in rest.fork("loaded", 3)]
    rest.eval(children[0], "x.append(4)")
    for child in children[1:]:
        assert rest.eval(child, "x")["result"] == "[1, 2, 3]"
        assert rest.exec(child, "cat", "/tmp/file", "d/f")["stdout"] == "kept\nv\n"
    assert rest.eval(source, "x")["result"] == "[1, 2, 3]"
    told = rest.ok("GET", f"/v1/sandboxes/{source}")
    assert (told["has_branched"], told["branch_count"]) == (True, 1)
    rest.kill(source)
    assert len(rest.fork("loaded", 2)) == 2


def test_a_chain_is_told_and_compacted(installation, rest):
    parent = "tiny"
    for depth in range(1, 4):
        sandbox = rest.fork(parent)[0]["id"]
        rest.eval(sandbox, f"steps = globals().get('steps', []) + [{depth}]")
        info = branch(rest, sandbox, tag=f"c{depth}", mode="diff", parent_tag=parent)
        assert info["diff_physical_bytes"] >= 0 and info["parent_tag"] == parent
        parent = f"c{depth}"
        rest.kill(sandbox)
    detail = rest.ok("GET", "/v1/snapshots/c3/info")
    assert (detail["chain_depth"], detail["ancestors"]) == (3, ["tiny", "c1", "c2"])
    status, reply = rest.call("DELETE", "/v1/snapshots/c1")
    assert status == 409 and "c2" in reply["error"] and "cascade" in reply["error"]
    done = installation.command("snapshot-compact", "--from", "c3", "--to", "flat")
    assert done.returncode == 0, done.stderr
    rest.ok("DELETE", "/v1/snapshots/c1?cascade=true")
    assert [s["tag"] for s in rest.ok("GET", "/v1/snapshots") if s["tag"][0] in "cf"] == ["flat"]
    child = rest.fork("flat")[0]["id"]
    assert rest.eval(child, "steps")["result"] == "[1, 2, 3]"


def test_the_commands(installation, rest):
    source = rest.fork("tiny")[0]["id"]
    made = installation.command("snapshot", "--from-sandbox", source, "--tag", "cli")
    assert made.returncode == 0, made.stderr
    lines = made.stdout.decode().splitlines()
    assert lines[0].split() == ["tag:", "cli"] and lines[2].split() == ["branched_from:", source]
    made = installation.command("snapshot-diff", "--from", "tiny", "--tag", "layer",
                                "--exec", "sh -c 'echo \"two words\" > /tmp/w'")
    assert made.returncode == 0, made.stderr
    child = rest.fork("layer")[0]["id"]
    assert rest.exec(child, "cat", "/tmp/w")["stdout"] == "two words\n"
    failed = installation.command("snapshot-diff", "--from", "tiny", "--tag", "no",
                                  "--exec", "sh -c 'exit 3'")
    assert failed.returncode == 5 and b"ended with 3" in failed.stderr
    assert rest.call("GET", "/v1/snapshots/no/info")[0] == 404
    shown = installation.command("rmi", "tiny")
    assert b"HTTP 409" in shown.stdout + shown.stderr


def test_live_branches_become_ready_by_themselves(rest):
    source = rest.fork("tiny")[0]["id"]
    rest.eval(source, "y = 5")
    status, info = rest.call("POST", f"/v1/sandboxes/{source}/branch",
                             {"tag": "soon", "mode": "live", "wait": False})
    assert status == 202 and (info["status"], info["bootable"]) == ("writing", False), info
    deadline = time.monotonic() + 60
    while rest.ok("GET", "/v1/snapshots/soon/info")["status"] == "writing":
        assert time.monotonic() < deadline
        time.sleep(0.02)  # polling is what clients of this call do
    assert rest.eval(rest.fork("soon")[0]["id"], "y")["result"] == "5"


def test_two_branches_to_one_tag(rest):
    sources = [s["id"] for s in rest.fork("tiny", 4)]
    for i, source in enumerate(sources):
        rest.eval(source, f"me = {i}")
    for round_number in range(max(10, ROUNDS)):
        tag = f"race-{round_number}"
        replies: list = []

        def take(source: str) -> None:
            replies.append(rest.call("POST", f"/v1/sandboxes/{source}/branch", {"tag": tag}))

        threads = [threading.Thread(target=take, args=(s,)) for s in sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [reply for status, reply in replies if status == 201]
        assert len(winners) == 1, replies
        assert all(status == 409 for status, _ in replies if status != 201), replies
        winner = sources.index(winners[0]["branched_from"])
        child = rest.fork(tag)[0]["id"]
        assert rest.eval(child, "me")["result"] == str(winner)
        rest.kill(child)
        rest.ok("DELETE", f"/v1/snapshots/{tag}")


def test_deleting_a_snapshot_with_live_children(rest):
    for _ in range(ROUNDS):
        source = rest.fork("tiny")[0]["id"]
        rest.eval(source, "z = 1")
        branch(rest, source, tag="used")
        child = rest.fork("used")[0]["id"]
        status, reply = rest.call("DELETE", "/v1/snapshots/used")
        assert status == 409 and "used" in reply["error"]
        rest.ok("DELETE", "/v1/snapshots/used?force=true")
        assert rest.eval(child, "z")["result"] == "1"
        assert rest.call("POST", "/v1/sandboxes", {"snapshot_tag": "used"})[0] == 404
        rest.kill(child)
        rest.kill(source)


def test_a_workspace_sleeps_and_wakes_with_its_state(rest):
    made = rest.ok("POST", "/v1/workspaces",
                   {"name": "mine", "snapshot_tag": "tiny", "memory_limit_mib": 200})
    rest.eval(made["live_sandbox_id"], "count = 0")
    for round_number in range(1, 4):
        running = rest.ok("GET", "/v1/workspaces/mine")["live_sandbox_id"]
        rest.eval(running, "count += 1")
        asleep = rest.ok("POST", "/v1/workspaces/mine/suspend", {"diff": round_number == 1})
        assert asleep["status"] == "suspended" and "live_sandbox_id" not in asleep
        assert rest.ok("GET", "/v1/sandboxes") == []
        awake = rest.ok("POST", "/v1/workspaces/mine/resume")
        sandbox = rest.ok("GET", f"/v1/sandboxes/{awake['live_sandbox_id']}")
        assert sandbox["memory_limit_mib"] == 200
        assert rest.eval(sandbox["id"], "count")["result"] == str(round_number)
    states = [s for s in rest.ok("GET", "/v1/snapshots") if s["tag"].startswith("ws-")]
    assert len(states) == 1
    rest.ok("DELETE", "/v1/workspaces/mine")
    assert [s for s in rest.ok("GET", "/v1/snapshots") if s["tag"].startswith("ws-")] == []


def test_kill_9_at_any_moment_of_a_branch_or_a_suspend():
    """FORKD_CRASH_ROUNDS=50 for the long run."""
    mounts = host.mounts()
    with own_daemon() as installed:
        rest = installed.rest
        label = installed.label()
        for round_number in range(ROUNDS):
            source = rest.fork("tiny")[0]["id"]
            rest.eval(source, "x = 1")
            rest.ok("POST", "/v1/workspaces", {"name": "w", "snapshot_tag": "tiny"})

            def quietly(*call) -> None:
                try:
                    rest.call(*call)
                except (OSError, ValueError):
                    return  # the daemon was killed under it: that is the point

            threads = [
                threading.Thread(target=quietly, args=(
                    "POST", f"/v1/sandboxes/{source}/branch", {"tag": "b"})),
                threading.Thread(target=quietly, args=(
                    "POST", "/v1/workspaces/w/suspend", {}))]
            for thread in threads:
                thread.start()
            time.sleep(0.013 * round_number % 0.2)  # each round meets another moment
            kill_daemon(installed)
            for thread in threads:
                thread.join()
            installed.start()
            snapshots = {s["tag"]: s for s in rest.ok("GET", "/v1/snapshots")}
            assert snapshots["tiny"]["bootable"]
            for tag, snapshot in snapshots.items():
                assert snapshot["status"] in ("ready", "failed"), snapshot
                assert snapshot["bootable"] or snapshot["warning"], snapshot
                if tag != "tiny":  # this engine keeps branches in memory only
                    assert snapshot["status"] == "failed", snapshot
            assert rest.ok("GET", "/v1/workspaces/w")["status"] in ("stale", "suspended")
            assert list((installed.state / "snapshots").glob(".*")) == []
            assert rest.ok("GET", "/v1/sandboxes") == []
            assert host.cgroups(label) == set() and host.mounts() == mounts
            rest.ok("DELETE", "/v1/workspaces/w")
            again = rest.fork("tiny")[0]["id"]
            assert branch(rest, again, tag="b")["bootable"]
            rest.kill(again)
            rest.ok("DELETE", "/v1/snapshots/b")


PAGE = 4096  # of SQLite


@pytest.mark.parametrize("kept", [n / 16 for n in range(1, max(2, min(ROUNDS, 16)))])
def test_a_registry_that_is_locked_or_truncated_is_told(kept: float):
    with own_daemon() as installed:
        rest = installed.rest
        registry = installed.state / "forkd.db"
        source = rest.fork("tiny")[0]["id"]
        other = sqlite3.connect(registry, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            for call in (("POST", "/v1/sandboxes", {"snapshot_tag": "tiny"}),
                         ("POST", f"/v1/sandboxes/{source}/branch", {"tag": "b"}),
                         ("POST", "/v1/workspaces", {"name": "w", "snapshot_tag": "tiny"})):
                status, reply = rest.call(*call)
                assert status == 409 and "is locked by another program" in reply["error"], reply
            assert [s["id"] for s in rest.ok("GET", "/v1/sandboxes")] == [source]
            assert [s["tag"] for s in rest.ok("GET", "/v1/snapshots")] == ["tiny"]
        finally:
            other.execute("ROLLBACK")
            other.close()
        assert branch(rest, source, tag="b")["bootable"]
        installed.stop()
        # Whole pages: of the last one the end may have been empty, and then nothing is lost.
        pages = max(1, int(os.path.getsize(registry) * kept) // PAGE)
        os.truncate(registry, pages * PAGE)
        refused = installed.command("serve", "--bind", "none", timeout=60)
        assert refused.returncode == 9 and b"is damaged" in refused.stderr, refused.stderr
        registry.unlink()
        for rest_of_it in installed.state.glob("forkd.db-*"):
            rest_of_it.unlink()
        installed.start()
        lost = {s["tag"]: s for s in rest.ok("GET", "/v1/snapshots")}
        assert set(lost) == {"b", "tiny"}
        assert all(not s["bootable"] and "registry" in s["warning"] for s in lost.values()), lost
        rest.ok("DELETE", "/v1/snapshots/b")
        rest.ok("POST", "/v1/snapshots", {"recipe": TINY, "recipe_dir": "/"})
        assert len(rest.fork("tiny", 2)) == 2

"""Existing clients, replayed over real TCP against a daemon on the process engine."""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Iterator

import pytest

from clients import ControllerError, McpServer, PythonSdk, TypeScriptSdk
from conftest import TINY, Installation

TOKEN = "0123456789abcdef0123456789abcdef"
BARE = "name: aaa-bare\nimage: host\n"
SANDBOX_FIELDS = {"id", "snapshot_tag", "netns", "guest_addr", "created_at_unix", "pid",
                  "memory_limit_mib", "has_branched", "last_branch_memory_path", "branch_count"}


class Daemon:
    """A daemon on a TCP port of its own that wants a token."""

    def __init__(self, directory: Path) -> None:
        self.installation = Installation(directory)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        token = directory / "token"
        token.write_text(TOKEN + "\n")
        self.options = ("--bind", f"127.0.0.1:{self.port}", "--token-file", str(token))

    def start(self) -> None:
        self.installation.start(*self.options)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    directory = Path(tempfile.mkdtemp(prefix="forkd-e2e-"))
    started = Daemon(directory)
    started.start()
    try:
        for text in (BARE, TINY):
            started.installation.rest.ok(
                "POST", "/v1/snapshots", {"recipe": text, "recipe_dir": "/"})
        yield started
    finally:
        started.installation.stop()
        shutil.rmtree(directory)


@pytest.fixture(params=[PythonSdk, TypeScriptSdk])
def sdk(request, daemon: Daemon) -> Iterator[PythonSdk]:
    client = request.param(daemon.url, TOKEN)
    yield client
    for sandbox in client.list_sandboxes():
        client.kill_sandbox(sandbox["id"])


@pytest.fixture
def mcp(daemon: Daemon) -> Iterator[McpServer]:
    client = McpServer(daemon.port, TOKEN)
    yield client
    for sandbox in client.ok("GET", "/v1/sandboxes"):
        client.ok("DELETE", f"/v1/sandboxes/{sandbox['id']}")


def get(daemon: Daemon, path: str, token: str = "") -> "tuple[int, str]":
    request = urllib.request.Request(daemon.url + path)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_health_version_metrics(daemon):
    assert get(daemon, "/healthz") == (200, '{"ok":true}')
    assert get(daemon, "/healthz/")[0] == 404
    assert get(daemon, "/version") == (401, '{"error":"missing bearer token",'
                                            '"kind":"unauthenticated","retryable":false}')
    assert get(daemon, "/version", "wrong" * 8)[0] == 401
    assert get(daemon, "/metrics")[0] == 401
    status, text = get(daemon, "/version", TOKEN)
    assert status == 200 and json.loads(text)["api"] == "v1"
    assert isinstance(json.loads(text)["version"], str)
    status, text = get(daemon, "/metrics", TOKEN)
    assert status == 200
    for line in ("forkd_sandboxes_active 0", "forkd_snapshots_total 2",
                 "forkd_branches_in_flight 0", "forkd_branch_concurrency_cap 4"):
        assert f"\n{line}\n" in text, line
    assert re.search(r'^forkd_build_info\{version="[^"]+"} 1$', text, re.M)


def test_replies_are_compact(daemon):
    for path in ("/healthz", "/version", "/v1/snapshots", "/v1/sandboxes", "/v1/workspaces"):
        text = get(daemon, path, TOKEN)[1]
        assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


def test_the_first_snapshot_can_be_used_for_python(sdk):
    snapshots = sdk.list_snapshots()
    assert [s["tag"] for s in snapshots] == ["tiny", "aaa-bare"]
    for snapshot in snapshots:
        assert snapshot["status"] == "ready" and snapshot["bootable"] is True
        assert {"tag", "dir", "created_at_unix"} <= snapshot.keys()
        for absent in ("branched_from", "pause_ms", "diff_ms", "warning"):
            assert absent not in snapshot
    child = sdk.spawn_sandboxes(snapshots[0]["tag"])[0]
    assert sdk.eval_code(child["id"], "1 + 1")["result"] == "2"


def test_the_life_of_sandboxes(sdk):
    children = sdk.spawn_sandboxes("tiny", n=2, per_child_netns=True, memory_limit_mib=256,
                                   prewarm=True)
    ids = [c["id"] for c in children]
    assert len(set(ids)) == 2
    for child in children:
        assert SANDBOX_FIELDS <= child.keys()
        assert re.fullmatch("sb-[0-9a-f]+-[0-9a-f]{4,}", child["id"])
        assert child["guest_addr"] == "10.42.0.2:8888"
        assert (child["memory_limit_mib"], child["has_branched"]) == (256, False)
        assert (child["branch_count"], child["last_branch_memory_path"]) == (0, None)
    assert [c["id"] for c in sdk.list_sandboxes()] == sorted(ids)
    assert sdk.get_sandbox(ids[0])["pid"] == children[0]["pid"]
    encoded = "".join(f"%{byte:02x}" for byte in ids[0].encode())
    assert PythonSdk.request(sdk, "GET", f"/v1/sandboxes/{encoded}")["id"] == ids[0]
    pong = sdk.ping_sandbox(ids[0])
    assert pong["pong"] is True and pong["agent_lang"] == "python"
    assert pong["warmup_ready"] is True and pong["pid"] == 1 and "numpy_version" in pong
    assert sdk.kill_sandbox(ids[0]) is None
    with pytest.raises(ControllerError) as gone:
        sdk.get_sandbox(ids[0])
    assert gone.value.status == 404
    assert gone.value.body["error"] == f"sandbox {ids[0]} not found"


def test_exec_and_eval(sdk):
    sandbox = sdk.spawn_sandboxes("tiny")[0]["id"]
    done = sdk.exec_command(sandbox, ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done["stdout"], done["stderr"], done["exit_code"]) == ("out\n", "err\n", 3)
    assert sdk.exec_command(sandbox, ["python3", "-c", "print(6*7)"])["stdout"] == "42\n"
    value = sdk.eval_code(sandbox, "'a' * 3")
    assert (value["result"], value["error"], value["exit_code"]) == ("'aaa'", None, 0)
    wrong = sdk.eval_code(sandbox, "nope")
    assert (wrong["result"], wrong["exit_code"]) == (None, 1)
    assert wrong["error"].startswith("NameError: ")
    for call, status in (
            (lambda: sdk.exec_command(sandbox, []), 400),
            (lambda: sdk.exec_command("sb-0-0000", []), 404),
            (lambda: sdk.eval_code("sb-0-0000", "1"), 404),
            (lambda: sdk.ping_sandbox("sb-0-0000"), 404)):
        with pytest.raises(ControllerError) as refused:
            call()
        assert refused.value.status == status, refused.value.body
        assert isinstance(refused.value.body["error"], str)


@pytest.mark.parametrize("body, status, words", [
    ({"snapshot_tag": "tiny", "n": 0}, 400, "n must be ≥ 1"),
    ({"snapshot_tag": "tiny", "n": 1001}, 400, "n must be ≤ 1000 (sanity cap)"),
    ({"snapshot_tag": "../x", "n": 1}, 400, "snapshot_tag must be 1-64 chars, ASCII alnum"),
    ({"snapshot_tag": "nothing", "n": 1}, 404, "snapshot nothing not found"),
])
def test_refused_forks(sdk, body, status, words):
    with pytest.raises(ControllerError) as refused:
        sdk.request("POST", "/v1/sandboxes", body)
    assert refused.value.status == status
    assert words in refused.value.body["error"]


def test_unknown_fields_and_nulls_are_ignored(sdk):
    body = {"snapshot_tag": "tiny", "n": 1, "per_child_netns": False, "memory_limit_mib": None,
            "hugepages": False, "live_fork": False, "prewarm": False, "of_tomorrow": {"x": [1]}}
    assert len(sdk.request("POST", "/v1/sandboxes", body)) == 1


def test_deleting_snapshots(sdk):
    with pytest.raises(ControllerError) as refused:
        sdk.delete_snapshot("nothing")
    assert refused.value.status == 404
    sdk.spawn_sandboxes("tiny")
    with pytest.raises(ControllerError) as refused:
        sdk.delete_snapshot("tiny")
    assert refused.value.status == 409
    with pytest.raises(ControllerError) as refused:
        sdk.request("DELETE", "/v1/snapshots/tiny?cascade=true&force=true")
    assert refused.value.status == 400


def test_mcp_sends_a_content_type_with_everything(mcp):
    assert mcp.ok("GET", "/v1/snapshots")[0]["tag"] == "tiny"
    sandbox = mcp.ok("POST", "/v1/sandboxes", {
        "snapshot_tag": "tiny", "n": 1, "per_child_netns": False, "memory_limit_mib": 256,
        "prewarm": False})[0]["id"]
    assert mcp.ok("GET", f"/v1/sandboxes/{sandbox}")["memory_limit_mib"] == 256
    assert mcp.ok("POST", f"/v1/sandboxes/{sandbox}/ping")["pong"] is True
    assert mcp.ok("POST", f"/v1/sandboxes/{sandbox}/ping", {})["pong"] is True
    # wait_for_text: polls a file with a shell until a marker shows.
    mcp.ok("POST", f"/v1/sandboxes/{sandbox}/exec", {
        "args": ["sh", "-c", "echo ready > /tmp/log"], "timeout_secs": 30})
    told = mcp.ok("POST", f"/v1/sandboxes/{sandbox}/exec", {
        "args": ["sh", "-c", "tail -c 4096 /tmp/log"], "timeout_secs": 5})
    assert told["stdout"] == "ready\n"
    assert mcp.ok("POST", f"/v1/sandboxes/{sandbox}/eval", {"code": "2 ** 10"})["result"] == "1024"
    assert mcp.ok("DELETE", f"/v1/sandboxes/{sandbox}") is None
    status, reply = mcp.request("POST", "/v1/snapshots", {
        "tag": "vm", "kernel": "/no/kernel", "rootfs": "/no/rootfs", "boot_wait_secs": 10})
    assert status in (400, 501) and isinstance(reply["error"], str)


def test_the_python_sandbox_class_spawns_through_the_command(daemon):
    """It runs `forkd fork --tag T -n 1 --settle-secs 3600` and ends it with SIGTERM."""
    installation = daemon.installation
    forkd = Path(__file__).resolve().parent.parent / "forkd"
    process = subprocess.Popen(
        [str(forkd), "fork", "--tag", "tiny", "-n", "1", "--settle-secs", "3600"],
        env=installation.environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    lines = [process.stdout.readline().decode() for _ in range(5)]
    assert re.match(r"✓ all sockets up in [0-9.]+ ms", lines[0])
    assert re.match(r"✓ 1 restores fired in parallel in [0-9.]+ ms", lines[1])
    assert re.match(r"✓ total wall-clock: [0-9.]+ ms", lines[2])
    assert lines[3] == "✓ 1 / 1 children alive\n"
    assert len(installation.rest.ok("GET", "/v1/sandboxes")) == 1
    process.terminate()
    process.wait(30)
    assert installation.rest.ok("GET", "/v1/sandboxes") == []
    process.stdout.close()


def test_commands_that_scripts_grep(daemon):
    installation = daemon.installation
    spawned = installation.command("spawn", "--tag", "tiny", "-n", "1", "--per-child-netns",
                                   "--memory-limit-mib", "128")
    assert spawned.returncode == 0
    line = spawned.stdout.decode().splitlines()[-1]
    match = re.fullmatch(r"  ✓ (sb-\S+)  guest=10\.42\.0\.2:8888  netns=\S+", line)
    assert match, line
    listed = installation.command("ls").stdout.decode().splitlines()
    assert listed[0].split()[:6] == ["ID", "SNAPSHOT", "PID", "NETNS", "BRANCHES", "GUEST_ADDR"]
    held = installation.command("rmi", "tiny")
    assert held.returncode != 0 and b"HTTP 409" in held.stdout + held.stderr
    assert f"  ✓ {match.group(1)}\n" == installation.command(
        "kill", match.group(1)).stdout.decode()
    assert installation.command("ls").stdout == b"no live sandboxes\n"
    gone = installation.command("rmi", "nothing")
    assert b"HTTP 404" in gone.stdout + gone.stderr
    info = installation.command("snapshot-info", "tiny", "--json")
    raw = installation.rest.raw("GET", "/v1/snapshots/tiny/info")[1].decode()
    assert info.stdout.decode() == raw + "\n"
    assert json.loads(raw)["chain_depth"] == 0


@pytest.mark.parametrize("n", [1, 3])
def test_the_agent_demos(sdk, n):
    """autogen, swarm and speculative: one agent, a diff branch, n that go on from it."""
    tag = sdk.list_snapshots()[0]["tag"]
    parent = sdk.spawn_sandboxes(tag, n=1)[0]["id"]
    assert sdk.exec_command(parent, ["sh", "-c", "echo plan > /tmp/plan"])["exit_code"] == 0
    made = sdk.branch_sandbox(parent, diff=True)
    assert re.fullmatch(f"branch-{parent}-[0-9]+-[0-9a-f]{{4}}", made["tag"])
    assert (made["status"], made["bootable"], made["branched_from"]) == ("ready", True, parent)
    for field in ("pause_ms", "diff_ms", "diff_physical_bytes", "diff_logical_bytes"):
        assert isinstance(made[field], int), made
    children = [c["id"] for c in sdk.spawn_sandboxes(made["tag"], n=n, per_child_netns=True)]
    for child in children:
        assert sdk.exec_command(child, ["cat", "/tmp/plan"])["stdout"] == "plan\n"
        sdk.kill_sandbox(child)
    sdk.kill_sandbox(parent)
    sdk.delete_snapshot(made["tag"])


def test_branches_as_the_sdks_ask_for_them(sdk):
    parent = sdk.spawn_sandboxes("tiny")[0]["id"]
    for options in ({}, {"mode": "full"}, {"mode": "diff"}, {"mode": "live"},
                    {"measure_diff": True}, {"tag": "named"}):
        made = sdk.branch_sandbox(parent, **options)
        assert made["bootable"] is True, (options, made)
        sdk.delete_snapshot(made["tag"])
    for options, status in (({"mode": "diff", "measure_diff": True}, 400), ({"wait": False}, 400),
                            ({"tag": "tiny"}, 409), ({"tag": "../x"}, 400)):
        with pytest.raises(ControllerError) as refused:
            sdk.branch_sandbox(parent, **options)
        assert refused.value.status == status, refused.value.body
    with pytest.raises(ControllerError) as refused:
        sdk.branch_sandbox("sb-0-0000")
    assert refused.value.status == 404
    assert sdk.get_sandbox(parent)["branch_count"] == 6


def test_mcp_branches(mcp):
    sandbox = mcp.ok("POST", "/v1/sandboxes", {
        "snapshot_tag": "tiny", "n": 1, "per_child_netns": False, "memory_limit_mib": 256,
        "prewarm": False})[0]["id"]
    made = mcp.ok("POST", f"/v1/sandboxes/{sandbox}/branch", {
        "tag": "from-mcp", "diff": False, "measure_diff": False, "mode": None, "wait": True})
    assert made["tag"] == "from-mcp"
    assert len(mcp.ok("POST", "/v1/sandboxes", {"snapshot_tag": "from-mcp", "n": 2})) == 2
    for child in mcp.ok("GET", "/v1/sandboxes"):
        mcp.ok("DELETE", f"/v1/sandboxes/{child['id']}")
    assert mcp.ok("DELETE", "/v1/snapshots/from-mcp") is None

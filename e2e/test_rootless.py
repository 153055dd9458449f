"""forkd of an ordinary user, without any privilege: the main job, sessions, and what is refused."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

import host
from conftest import HOME, TINY, Installation, copy_of_forkd, kill_daemon

USER = 65534
NOTE = b"running without root"
KEEP = ("--bind", "none", "--adopt-grace", "60")


def processes() -> "set[int]":
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"\nUid:\t{USER}\t" in (entry / "status").read_text():
                found.add(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return found


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # The user may be unable to read where the tests are. Not below /tmp, as `forkd test` asks.
    directory = Path(tempfile.mkdtemp(prefix="forkd-e2e-user-", dir="/var/lib"))
    directory.chmod(0o755)
    try:
        copy_of_forkd(directory / "forkd")
        yield directory
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def own(place: Path) -> Iterator[Installation]:
    home = Path(tempfile.mkdtemp(prefix="home-", dir=place))
    os.chown(home, USER, USER)
    before = processes()
    installed = Installation(home, place / "forkd", USER)
    installed.start(*KEEP)
    try:
        yield installed
    finally:
        installed.stop_if_it_runs()
    assert list((installed.run_dir / "agents").iterdir()) == []
    host.eventually("a process of the user is left", lambda: processes() <= before)


def test_the_main_job_runs_and_is_warm_the_second_time(place: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="home-", dir=place))
    shutil.copytree(HOME / "recipes/ci-parallel-pytest", home / "project")
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER)
    user = Installation(home, place / "forkd", USER)
    try:
        first = user.command("test", cwd=home / "project")
        assert first.returncode == 0 and b"32 passed" in first.stdout, first.stdout + first.stderr
        assert first.stderr.count(NOTE) == 1 and b"forkd: collected" in first.stderr
        second = user.command("test", "-n", "4", "--by", "test", cwd=home / "project")
        assert second.returncode == 0 and b"32 passed" in second.stdout, second.stderr
        assert NOTE not in second.stderr and b"forkd: warm" in second.stderr
        for name in (".pytest_cache/v/cache/nodeids", ".forkd/durations.json"):
            assert (home / "project" / name).stat().st_uid == USER
        alone = user.command("test", "--no-daemon", cwd=home / "project")
        assert alone.returncode == 0 and b"32 passed" in alone.stdout, alone.stderr
    finally:
        assert user.command("stop").returncode == 0


def test_sessions_are_forked_branched_and_differ(own: Installation) -> None:
    rest = own.rest
    rest.ok("POST", "/v1/snapshots", {"recipe": TINY, "recipe_dir": "/"})
    boxes = [one["id"] for one in rest.fork("tiny", 4, memory_limit_mib=256)]
    assert len({rest.exec(one, "cat", "/etc/machine-id")["stdout"] for one in boxes}) == 4
    assert len({rest.eval(one, "uuid.uuid4().hex")["result"] for one in boxes}) == 4
    refused = rest.ok("POST", f"/v1/sandboxes/{boxes[1]}/eval", {"code": "bytearray(512 << 20)"})
    assert "MemoryError" in str(refused)
    rest.eval(boxes[0], "x = 41")
    rest.exec(boxes[0], "sh", "-c", "echo kept > /root/file")
    rest.ok("POST", f"/v1/sandboxes/{boxes[0]}/branch", {"tag": "later", "wait": True})
    [child] = rest.fork("later", 1)
    assert rest.eval(child["id"], "x + 1")["result"] == "42"
    assert rest.exec(child["id"], "cat", "/root/file")["stdout"] == "kept\n"
    for one in (*boxes, child["id"]):
        rest.kill(one)


def test_what_takes_root_is_refused_by_name(own: Installation) -> None:
    def refusal(lines: str) -> str:
        recipe = TINY.replace("image: host\n", "") + lines
        status, reply = own.rest.call(
            "POST", "/v1/snapshots", {"recipe": recipe, "recipe_dir": "/"})
        assert status == 501, reply
        return str(reply["error"])

    assert "without root" in refusal("image: host\nnetwork: nat\n")
    assert "needs root" in refusal("image: host\nengine: vm\n")
    assert "runs as root" in refusal("image: {apt: {packages: [python3]}}\n")
    doctor = own.command("doctor")
    assert doctor.returncode == 0 and b"\xe2\x9a\xa0 root" in doctor.stdout, doctor.stdout


def test_a_killed_daemon_leaves_its_sandboxes_to_the_next(own: Installation) -> None:
    own.rest.ok("POST", "/v1/snapshots", {"recipe": TINY, "recipe_dir": "/"})
    [box] = own.rest.fork("tiny", 1)
    own.rest.eval(box["id"], "mine = 7")
    kill_daemon(own)
    own.start(*KEEP)
    assert own.rest.eval(box["id"], "mine")["result"] == "7"


def test_nobody_else_can_reach_it(own: Installation) -> None:
    other = subprocess.run(
        ["curl", "-s", "--unix-socket", str(own.socket), "http://localhost/healthz"],
        user=65533, group=65533, extra_groups=[], capture_output=True)
    assert other.returncode == 7, other  # curl: could not connect

"""A disk that is full: told as such, nothing half-made, and the daemon goes on."""

import errno
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, Set

import pytest

from conftest import ROUNDS, TINY, Installation

RECIPE = """\
name: {name}
image: host
files: [{{from: {source}, to: /opt/{name}}}]
"""


@pytest.fixture
def small_disk() -> Iterator[Installation]:
    """A daemon whose whole state lies on a file system of 16 MiB."""
    directory = Path(tempfile.mkdtemp(prefix="forkd-e2e-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "forkd-e2e", directory],
                   check=True)
    installed = Installation(directory)
    try:
        installed.start()
        yield installed
        installed.stop()
    finally:
        installed.stop_if_it_runs()
        subprocess.run(["umount", directory], check=True)
        directory.rmdir()


# KiB that are left when something is tried: none, so little that only the first writes fit, enough.
ROOM = (0, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class Filler:
    """A file that takes all of a file system but so many KiB."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "filler"

    def leave(self, kib: int) -> None:
        deadline = time.monotonic() + 20
        while not self._leaves(kib):
            assert time.monotonic() < deadline, "the daemon does not stop writing"

    def _leaves(self, kib: int) -> bool:
        """False when the daemon has written between the look and the take."""
        self.free()
        stat = os.statvfs(self._file.parent)
        room = stat.f_bavail * stat.f_frsize - kib * 1024
        try:
            if room > 0:
                with open(self._file, "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, room)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
        return True

    def free(self) -> None:
        self._file.unlink(missing_ok=True)


def test_a_disk_that_is_full_at_each_write(small_disk: Installation) -> None:
    """At every write of a fork, a branch, a suspend, a warm-up and a removal, in turn."""
    rest = small_disk.rest
    filler = Filler(small_disk.directory)
    rest.ok("POST", "/v1/snapshots", {"recipe": TINY, "recipe_dir": "/"})
    source = rest.fork("tiny")[0]["id"]
    rest.eval(source, "x = 1")
    outcomes: Dict[str, Set[int]] = {}

    def tried(method: str, path: str, body: Any = None) -> bool:
        status, reply = rest.call(method, path, body)
        outcomes.setdefault(path, set()).add(status)
        assert status < 300 or (status, reply["kind"]) == (503, "exhausted"), (path, reply)
        assert status < 300 or "full" in reply["error"] or "room" in reply["error"], reply
        return status < 300

    for _ in range(max(1, ROUNDS // 10)):
        for kib in ROOM:
            rest.ok("POST", "/v1/workspaces", {"name": "w", "snapshot_tag": "tiny"})
            filler.leave(kib)
            forked = tried("POST", "/v1/sandboxes", {"snapshot_tag": "tiny", "n": 2})
            branched = tried("POST", f"/v1/sandboxes/{source}/branch", {"tag": "b"})
            asleep = tried("POST", "/v1/workspaces/w/suspend", {})
            new = tried("POST", "/v1/snapshots",
                        {"recipe": TINY, "recipe_dir": "/", "tag": "new"})
            assert rest.eval(source, "x")["result"] == "1"
            assert rest.exec(source, "echo", "well")["stdout"] == "well\n"
            filler.free()
            tags = {s["tag"]: s for s in rest.ok("GET", "/v1/snapshots")}
            assert all(s["bootable"] for s in tags.values()), tags
            assert ("b" in tags, "new" in tags) == (branched, new), tags
            assert rest.ok("GET", "/v1/workspaces/w")["status"] == (
                "suspended" if asleep else "running")
            running = [s["id"] for s in rest.ok("GET", "/v1/sandboxes")]
            assert len(running) == 1 + 2 * forked + (not asleep), running
            rest.ok("DELETE", "/v1/workspaces/w")
            filler.leave(0)
            for tag in tags.keys() & {"b", "new"}:
                tried("DELETE", f"/v1/snapshots/{tag}?force=true")
            for sandbox in rest.ok("GET", "/v1/sandboxes"):
                if sandbox["id"] != source:
                    rest.kill(sandbox["id"])
            filler.free()
            for snapshot in rest.ok("GET", "/v1/snapshots"):
                if snapshot["tag"] != "tiny":
                    rest.ok("DELETE", f"/v1/snapshots/{snapshot['tag']}?force=true")
            assert [p.name for p in (small_disk.state / "snapshots").iterdir()] == ["tiny"]
    assert all(len(seen) > 1 for path, seen in outcomes.items() if "force" not in path), outcomes
    assert "defect" not in small_disk.log()
    rest.kill(source)
    small_disk.stop()
    small_disk.start()
    assert rest.ok("GET", "/v1/sandboxes?all=true") == [], "what was destroyed came back"


def files_below(directory: Path) -> Set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_a_full_disk_under_the_image_cache(small_disk: Installation, tmp_path: Path) -> None:
    large, little = tmp_path / "large", tmp_path / "little"
    large.write_bytes(os.urandom(32 << 20))
    little.write_bytes(b"fits")
    before = files_below(small_disk.state / "images")
    status, reply = small_disk.rest.call("POST", "/v1/snapshots", {
        "recipe": RECIPE.format(name="large", source=large), "recipe_dir": "/"})
    assert status == 503 and reply["kind"] == "exhausted", reply
    assert "does not fit" in reply["error"] and "make room" in reply["error"], reply
    assert small_disk.rest.ok("GET", "/v1/snapshots") == []
    assert files_below(small_disk.state / "images") == before
    small_disk.rest.ok("POST", "/v1/snapshots", {
        "recipe": RECIPE.format(name="little", source=little), "recipe_dir": "/"})
    one = small_disk.rest.fork("little")[0]["id"]
    assert small_disk.rest.exec(one, "cat", "/opt/little")["stdout"] == "fits"

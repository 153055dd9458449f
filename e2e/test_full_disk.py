"""A disk that is full: told as such, nothing half-made, and the daemon goes on."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator, Set

import pytest

from conftest import Installation

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
        if installed.process is not None and installed.process.poll() is None:
            installed.stop()
        subprocess.run(["umount", directory], check=True)
        directory.rmdir()


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

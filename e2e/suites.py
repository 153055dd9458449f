"""A project with a pytest suite, and `forkd test` in it as a user types it."""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator

import pytest
from conftest import HOME, Installation


@contextlib.contextmanager
def empty_project() -> Iterator[Path]:
    # Not below /tmp: every sandbox has one of its own.
    directory = Path(tempfile.mkdtemp(prefix="forkd-e2e-project-", dir="/var/lib"))
    (directory / "pytest.ini").write_text("[pytest]\n")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def project() -> Iterator[Path]:
    with empty_project() as directory:
        yield directory


def run(
    installation: Installation, project: Path, *args: str, **env: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [str(HOME / "forkd"), "test", *args],
        cwd=project,
        env={**installation.environment, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=180,
    )

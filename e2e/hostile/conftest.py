"""What an attempt could find outside of its sandbox; both engines' tests use it."""

import os
import socket
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest


@pytest.fixture(scope="module")
def outside() -> "Iterator[Dict[str, Any]]":
    """What there is to be found: a secret, a hidden file, sockets, a process."""
    directory = Path(tempfile.mkdtemp(dir="/var/lib"))
    directory.chmod(0o755)
    secret = directory / "secret"
    secret.write_text("of the host")
    secret.chmod(0o600)
    hidden = Path(tempfile.mkstemp(dir="/root")[1])
    hidden.chmod(0o644)
    name = "forkd-test-%d" % os.getpid()
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as abstract:
        server.bind(("127.0.0.1", 0))
        server.listen()
        abstract.bind("\0" + name)
        abstract.listen()
        yield {
            "secret": str(secret), "hidden": str(hidden), "abstract": name, "pid": os.getpid(),
            "port": server.getsockname()[1],
        }
        for listener in (server, abstract):
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
    hidden.unlink()
    secret.unlink()
    directory.rmdir()

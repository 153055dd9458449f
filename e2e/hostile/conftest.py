"""What an attempt could find outside of its sandbox; both engines' tests use it."""

import os
import socket
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple

import pytest

from conftest import Installation
from machines import daemon, recipe


class Field(NamedTuple):
    """Where sandboxes of one engine are forked."""

    installation: Installation
    tag: str

    def pair(self, **limits: int) -> "Iterator[List[str]]":
        """Two siblings, until the generator is closed."""
        rest = self.installation.rest
        made = [one["id"] for one in rest.fork(self.tag, 2, **limits)]
        yield made
        for sandbox in made:
            rest.call("DELETE", f"/v1/sandboxes/{sandbox}")  # a test may have done so


@pytest.fixture(scope="package")
def machines() -> "Iterator[Field]":
    with daemon() as installed:
        reply = installed.rest.ok("POST", "/v1/snapshots", recipe("vm-hostile", network="none"))
        assert reply["engine"] == "vm"
        yield Field(installed, "vm-hostile")


@pytest.fixture(scope="package", params=["process", "vm"])
def field(request: pytest.FixtureRequest) -> Field:
    if request.param == "vm":
        return request.getfixturevalue("machines")
    return Field(request.getfixturevalue("installation"), "tiny")


@pytest.fixture
def rest(field: Field):
    return field.installation.rest


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

"""Everything in attempts.py, each as a test: nothing gets out, and the daemon notices nothing."""

import json
import os
import socket
import tempfile
from pathlib import Path

import pytest

from hostile.attempts import ATTEMPTS, PRELUDE

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")


@pytest.fixture(scope="module")
def outside(installation):
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
            "port": server.getsockname()[1], "state": str(installation.state),
            "run": str(installation.run_dir),
        }
        for listener in (server, abstract):
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
    hidden.unlink()
    secret.unlink()
    directory.rmdir()


@pytest.fixture(scope="module")
def pair(installation):
    made = [s["id"] for s in installation.rest.fork("tiny", 2)]
    yield made
    for sandbox in made:
        installation.rest.kill(sandbox)


@pytest.mark.parametrize("name", sorted(ATTEMPTS))
def test_attempt(installation, outside, pair, name):
    rest = installation.rest
    code = PRELUDE + "HOST = %r\n%s\nprint(outcome)" % (outside, ATTEMPTS[name])
    reply = rest.exec(pair[0], "/usr/bin/python3", "-c", code, timeout_secs=30)
    assert reply["exit_code"] == 0, reply
    assert reply["stdout"].startswith("stopped"), (name, reply["stdout"])
    # The agent answers as before, and so does a sibling.
    for sandbox in pair:
        assert rest.ok("POST", f"/v1/sandboxes/{sandbox}/ping", {})["pong"] is True


def test_there_are_enough_of_them():
    assert len(ATTEMPTS) >= 60
    assert json.dumps(sorted(ATTEMPTS))  # names are plain text: they stand in the documentation

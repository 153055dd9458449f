"""Everything in attempts.py, each as a test: nothing gets out, and the daemon notices nothing."""

import json
import os

import pytest

from hostile.attempts import ATTEMPTS, source

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")


@pytest.fixture(scope="module")
def pair(installation):
    made = [s["id"] for s in installation.rest.fork("tiny", 2)]
    yield made
    for sandbox in made:
        installation.rest.kill(sandbox)


@pytest.mark.parametrize("name", sorted(ATTEMPTS))
def test_attempt(installation, outside, pair, name):
    rest = installation.rest
    code = source(name, outside, installation)
    reply = rest.exec(pair[0], "/usr/bin/python3", "-c", code, timeout_secs=30)
    assert reply["exit_code"] == 0, reply
    assert reply["stdout"].startswith("stopped"), (name, reply["stdout"])
    # The agent answers as before, and so does a sibling.
    for sandbox in pair:
        assert rest.ok("POST", f"/v1/sandboxes/{sandbox}/ping", {})["pong"] is True


def test_there_are_enough_of_them():
    assert len(ATTEMPTS) >= 60
    assert json.dumps(sorted(ATTEMPTS))  # names are plain text: they stand in the documentation

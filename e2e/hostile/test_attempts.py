"""Everything in attempts.py, each as a test: nothing gets out, and the daemon notices nothing."""

import json
import os

import pytest

from hostile.attempts import ATTEMPTS, outcome

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")


@pytest.fixture(scope="module")
def pair(installation):
    made = [s["id"] for s in installation.rest.fork("tiny", 2)]
    yield made
    for sandbox in made:
        installation.rest.kill(sandbox)


@pytest.mark.parametrize("name", sorted(ATTEMPTS))
def test_attempt(installation, outside, pair, name):
    got = outcome(installation, pair, name, outside, 30)
    assert got.startswith("stopped"), (name, got)


def test_there_are_enough_of_them():
    assert len(ATTEMPTS) >= 60
    assert json.dumps(sorted(ATTEMPTS))  # names are plain text: they stand in the documentation

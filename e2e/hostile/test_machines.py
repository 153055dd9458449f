"""Everything in attempts.py inside virtual machines: nothing gets out of those either."""

import os

import pytest

from hostile.attempts import ATTEMPTS, outcome

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")

# What is got, and why it is nobody else's.
OWN = {
    "inherited_descriptors": ("/dev/vport", "the port of the warm-up's output, null in a child"),
    "password_hashes": ("root:", "those of the recipe's own image, whose root this is"),
    "write_a_program_of_the_host": ("/usr/bin/env", "the image's, in a layer of its own"),
}


@pytest.fixture(scope="module")
def pair(machines):
    yield from machines.pair()


@pytest.mark.parametrize("name", sorted(ATTEMPTS))
def test_attempt_in_a_machine(machines, outside, pair, name):
    got = outcome(machines.installation, pair, name, outside, 60)
    if name in OWN:
        assert OWN[name][0] in got and "of the host" not in got
    else:
        assert got.startswith("stopped"), (name, got)

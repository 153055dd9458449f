"""RESEED: the runtime of a copied machine draws anew and goes on serving."""

from __future__ import annotations

import pytest
from serving import Served

from forkd_runtime import frames

DRAW = "import random; print(random.random())"


@pytest.mark.parametrize("seed", [None, 7])
def test_reseed_is_answered_and_the_runtime_serves_on(seed: "int | None") -> None:
    with Served({"script": "import random, tempfile, uuid", "seed": seed}) as served:
        before = served.run("code", DRAW).stdout
        served.peer.channel.send(frames.RESEED, 77)
        answer = served.peer.next()
        assert (answer.type, answer.id) == (frames.RESEEDED, 77)
        after = served.run("code", DRAW).stdout
        assert (before == after) == (seed is not None)


def test_a_session_that_was_copied_draws_anew_and_keeps_its_state() -> None:
    with Served({"script": "import random, tempfile"}) as served:
        session = served.session()
        assert session.eval("x = 7").error is None
        expected = session.eval("random.seed(5); repr(random.random())").result
        session.eval("random.seed(5); tempfile.tempdir = '/nowhere'")
        session.peer.channel.send(frames.RESEED, 78)
        answer = session.peer.next()
        assert (answer.type, answer.id) == (frames.RESEEDED, 78)
        assert session.eval("repr(random.random())").result != expected
        assert session.eval("x").result == "7"

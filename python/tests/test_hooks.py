"""before_snapshot and after_fork: order, deadline, and that a failure is final."""

from __future__ import annotations

import os
from typing import Any, Dict

import pytest
from sandboxes import Agent, Warden, in_user_namespace
from serving import Runtime, Served

from forkd_runtime import frames

IMPORT = "from forkd_runtime.hooks import after_fork, before_snapshot\n"
ORDER = (
    IMPORT
    + """
steps = []
@before_snapshot
def first(): steps.append("before 1")
@before_snapshot
def second(): steps.append("before 2")
@after_fork
def third(): steps.append("after 1")
@after_fork
def fourth(): steps.append("after 2")
"""
)


def message_of(spec: Dict[str, Any]) -> str:
    with Served(spec) as served:
        assert served.first.type == frames.RT_ERROR
        assert served.process.wait(30) == 1
        return served.first.text(frames.K_MESSAGE) or ""


def reseeded(served: Served) -> Any:
    served.peer.channel.send(frames.RESEED, 71)
    return served.peer.next()


def test_order_in_a_virtual_machine() -> None:
    spec = {"script": ORDER, "before_snapshot": "steps.append('recipe')"}
    spec["after_fork"] = "steps.append('recipe again')"
    with Served(spec) as served:
        assert reseeded(served).type == frames.RESEEDED
        steps = served.session().eval("steps").result
        expected = ["recipe", "before 2", "before 1", "after 1", "after 2", "recipe again"]
        assert steps == repr(expected)


def test_a_hook_after_the_fork_sees_randomness_of_its_own() -> None:
    spec = {"script": "import random", "after_fork": "token = random.random()"}
    with Served(spec) as served:
        assert reseeded(served).type == frames.RESEEDED
        # Both are kept: the end of a session that is let go is told on the same channel.
        before = served.session()
        assert reseeded(served).type == frames.RESEEDED
        after = served.session()
        assert after.eval("token").result != before.eval("token").result


@pytest.mark.parametrize(
    "code, expected",
    [
        ("1 / 0", "before_snapshot hook of the recipe failed: ZeroDivisionError"),
        ("raise SystemExit(3)", "before_snapshot hook of the recipe failed: SystemExit: 3"),
        ("x = = 1", "before_snapshot of the recipe failed: SyntaxError"),
        (
            "import time\ntime.sleep(60)",
            "before_snapshot hook of the recipe took longer than its deadline of 200 ms",
        ),
        (
            "import time\nwhile True:\n  try: time.sleep(60)\n  except BaseException: break",
            "before_snapshot hook of the recipe took longer than its deadline of 200 ms",
        ),
    ],
)
def test_a_failure_before_the_snapshot_ends_the_warm_up(code: str, expected: str) -> None:
    message = message_of({"before_snapshot": code, "hook_ms": 200})
    assert message.startswith("warm-up: " + expected), message


def test_a_failure_after_the_fork_ends_the_runtime() -> None:
    with Served({"script": IMPORT + "@after_fork\ndef broken(): raise OSError('no')"}) as served:
        answer = reseeded(served)
        assert (answer.type, answer.id) == (frames.RT_ERROR, 0)
        assert answer.text(frames.K_MESSAGE) == "after_fork hook broken failed: OSError: no"
        assert served.process.wait(30) == 70


def test_a_thread_after_the_fork_is_refused() -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(9,)).start()"
    with Served({"after_fork": thread}) as served:
        assert "left a thread running" in (reseeded(served).text(frames.K_MESSAGE) or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_in_a_sandbox_of_the_process_engine() -> None:
    assert in_user_namespace(_in_a_sandbox) == 0, "see the output"


def _in_a_sandbox() -> None:
    code = "import os, socket\nwho = socket.gethostname()\nassert who != 'bad', 'not this one'"
    warden = Warden({"after_fork": code})
    good, bad = Agent("good"), Agent("bad")
    peer = warden.enter(good.pidfd, "good")
    assert warden.peer.next().type == frames.ENTERED and peer.next().type == frames.READY
    # The hook's variables are those of the recipe's scripts, not of a program.
    assert Runtime(peer).run("code", "print('who' in globals())").stdout == b"False\n"
    peer = warden.enter(bad.pidfd, "bad")
    assert warden.peer.next().type == frames.ENTERED
    answer = peer.next()
    assert (answer.type, answer.id) == (frames.RT_ERROR, 0)
    expected = "after_fork hook of the recipe failed: AssertionError: not this one"
    assert answer.text(frames.K_MESSAGE) == expected
    assert warden.peer.next().type == frames.LEFT
    good.kill()
    bad.kill()

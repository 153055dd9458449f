"""Branches that do not come to be, and what becomes of the sandbox then."""
from __future__ import annotations

import os
import signal

import frames
import pytest
from branching import branch, evaluate, freeze, grandchild, open_branch, release
from frames import AgentError
from launcher import (TEMPLATE_ENDED, TEMPLATE_READY, Launcher, comm, is_alive,
                      launcher)  # noqa: F401 (fixture)


def test_a_process_that_is_none_of_the_sandbox_is_refused(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    for pid in (1, 2, 4000):
        with pytest.raises(AgentError, match="no frozen process"):
            launcher.expect(open_branch(launcher, pid), TEMPLATE_READY)
    evaluate(source, "1")
    with pytest.raises(AgentError, match="no sandbox"):
        launcher.expect(open_branch(launcher, 3, name="nobody"), TEMPLATE_READY)


def test_a_process_that_does_not_pause_fails_at_the_deadline(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    running = source.start(["sh", "-c", "while :; do :; done"])
    pid = source.expect(running, frames.STARTED).int(frames.PID)
    with pytest.raises(AgentError, match="timeout|at its deadline"):
        launcher.expect(open_branch(launcher, pid, timeout_ms=1500), TEMPLATE_READY)
    assert evaluate(source, "1 + 1") == "2"
    assert not launcher.named("forkd-job")


def test_the_end_of_the_source_in_the_middle(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    evaluate(source, "x = bytearray(200_000_000)")
    _, pid, _ = freeze(source)
    asked = open_branch(launcher, pid)
    launcher.destroy("box")
    try:
        launcher.expect(asked, TEMPLATE_READY)
    except AgentError as error:
        assert "branching" in str(error)
    launcher.fork(["next"], "base")


def test_the_death_of_its_zygote_is_told_and_leaves_the_sandboxes(launcher: Launcher) -> None:
    launcher.template()
    zygote = branch(launcher, launcher.sandbox("box")).int(frames.PID)
    child = grandchild(launcher)
    os.kill(zygote, signal.SIGKILL)
    assert launcher.event(TEMPLATE_ENDED).text(frames.NAME) == "second"
    assert evaluate(child, "1 + 1") == "2"
    with pytest.raises(AgentError, match="has ended"):
        launcher.fork(["late"], "second")
    launcher.fork(["next"], "base")


def test_nothing_of_a_failed_branch_is_left(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    before = sorted(launcher.family())
    for _ in range(5):
        ident, pid, _ = freeze(source)
        with pytest.raises(AgentError):
            launcher.expect(open_branch(launcher, pid, timeout_ms=1), TEMPLATE_READY)
        release(source, ident)
    left = [pid for pid in launcher.family() if pid not in before and comm(pid) != "python3"
            and is_alive(pid)]  # last: its name is read of a process that may just end
    assert left == [] and os.listdir(launcher.run_dir) == ["box.agent"]
    branch(launcher, source)


def test_a_name_that_is_taken_is_refused(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    ident, pid, _ = freeze(source)
    with pytest.raises(AgentError, match="exists already"):
        launcher.expect(open_branch(launcher, pid, template="base"), TEMPLATE_READY)
    release(source, ident)
    assert [name for name in os.listdir(launcher.run_dir) if "branch" in name] == []


def test_the_session_rests_until_it_is_released(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    ident, _, _ = freeze(source)
    waiting = source.open(frames.EVAL, [(frames.CODE, "1 + 1")])
    with pytest.raises(TimeoutError):
        source.next(waiting, 0.3)
    release(source, ident)
    assert source.expect(waiting, frames.RESULT).text(frames.RESULT_TEXT) == "2"


def test_a_host_that_goes_away_releases_the_session(launcher: Launcher) -> None:
    launcher.template()
    launcher.sandbox("box")
    other = launcher.connect("box")
    freeze(other)
    other.close()
    assert evaluate(launcher.connect("box"), "1 + 1") == "2"


def test_a_branch_waits_for_the_eval_before_it(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    running = source.open(frames.EVAL, [(frames.CODE, "import time; time.sleep(60)")])
    ident = source.open(frames.BRANCH, [(frames.TIMEOUT_MS, 300)])
    with pytest.raises(AgentError, match="it had not begun"):
        source.expect(ident, frames.STARTED)
    source.send(frames.CANCEL, running)
    source.expect(running, frames.RESULT)


def test_a_session_that_cannot_fork_lives_on(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box", pids_max=5)
    evaluate(source, "x = 1")
    for _ in range(2):
        source.expect(source.start(["sleep", "600"]), frames.STARTED)
    ident, pid, report = freeze(source)
    assert pid == 0 and "cannot be made" in report["refused"][0]
    release(source, ident)
    assert evaluate(source, "x") == "1"

"""Templates and sandboxes come, and go without a trace, however their processes end."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import frames
import pytest
from conftest import state, wait_for
from frames import AgentError
from launcher import (DESTROYED, FORKED, L_DESTROY, L_DISCARD, LOG, OOM_KILLS, RUNTIME_LOST,
                      RUNTIME_PID, SANDBOX_ENDED, TEMPLATE_ENDED, Launcher, Traces,
                      cgroup_directories, comm, is_alive)
from launcher import family, launcher  # noqa: F401 (fixtures)

LIMITED = {"memory_bytes": 256 << 20, "pids_max": 64, "cpu_millis": 1000}


def test_hello_reports_the_kernel(launcher: Launcher) -> None:
    traces = Traces(launcher)
    launcher.close()
    other = Launcher(run_dir=launcher.run_dir)
    report = other.hello()
    assert report["pid"] == other.process.pid
    assert report["kernel"] == os.uname().release
    assert report["cgroup"] in ("v1", "v2", "none")
    assert report["userns"] and report["seccomp"]
    assert other.close() == 0
    traces.assert_none()


def test_a_template_is_ready_with_its_report(launcher: Launcher) -> None:
    ident = launcher.open_template(warm={"imports": ["json"]})
    ready = launcher.expect(ident, 0xA2)
    assert "python" in (ready.text(frames.REPORT) or "")
    zygote = ready.int(frames.PID)
    assert zygote in launcher.family() and "zygote" in Path("/proc/%d/cmdline" % zygote).read_text()
    assert b"import json" in launcher.logs[ident]


@pytest.mark.parametrize("count", [1, 4, 100])
def test_fork_and_destroy(launcher: Launcher, count: int) -> None:
    launcher.template()
    before = launcher.family()
    names = ["box-%d" % i for i in range(count)]
    outcomes = launcher.fork(names, **LIMITED)
    assert [outcome.text(frames.NAME) for outcome in outcomes] == names
    clients = [launcher.connect(name) for name in names]
    asked = [client.open(frames.PING_RUNTIME) for client in clients]
    for client, ident in zip(clients, asked):
        assert client.next(ident).int(frames.PID) == 2
    assert all(comm(outcome.int(frames.PID)) == "forkd-agent" for outcome in outcomes)
    runtimes = [outcome.int(RUNTIME_PID) for outcome in outcomes]
    assert all(is_alive(pid) for pid in runtimes)
    launcher.destroy(*names)
    assert not any(is_alive(pid) for pid in runtimes)
    assert sorted(launcher.family()) == sorted(before)
    assert os.listdir(launcher.run_dir) == []
    groups = [name for base in cgroup_directories(launcher.instance)
              for name in os.listdir(base) if os.path.isdir(os.path.join(base, name))]
    assert groups == []


def test_a_name_is_free_again_after_destroy(launcher: Launcher) -> None:
    launcher.template()
    for _ in range(20):
        client = launcher.sandbox("again")
        assert client.ask(frames.PING_RUNTIME).int(frames.PID) == 2
        launcher.destroy("again")


def test_an_answer_of_the_zygote_may_overtake_the_warden(launcher: Launcher) -> None:
    ident = launcher.open_template()
    # Without a pause: it must be stopped before the interpreter is executed, but not before it has
    # sent the holder what to build. Between the clone and that it does not sleep.
    while not (launcher.named("forkd-holder") and state(launcher.process.pid) == "S"):
        pass
    os.kill(launcher.process.pid, signal.SIGSTOP)
    wait_for(lambda: launcher.named("python3"), what="the zygote")
    time.sleep(1)  # until it is warm; then both channels have something to say
    os.kill(launcher.process.pid, signal.SIGCONT)
    launcher.expect(ident, 0xA2, within=10)


def test_two_templates_at_once(launcher: Launcher) -> None:
    first = launcher.open_template("one", uid_base=700000)
    second = launcher.open_template("two", uid_base=800000)
    launcher.expect(first, 0xA2)
    launcher.expect(second, 0xA2)
    launcher.fork(["a"], template="one")
    launcher.fork(["b"], template="two")
    launcher.discard("one")
    assert launcher.connect("b").ask(frames.PING_RUNTIME).int(frames.PID) == 2
    assert not os.path.exists(os.path.join(launcher.run_dir, "a.agent"))


def test_discard_takes_sandboxes_along(launcher: Launcher) -> None:
    launcher.template()
    launcher.fork(["a", "b"], **LIMITED)
    traces = Traces(launcher)
    launcher.discard()
    traces.wait_for_death(0.1)
    assert os.listdir(launcher.run_dir) == []
    assert not launcher.kept[0], "a discard is no event"
    launcher.template()


def test_destroy_and_discard_of_the_unknown_are_done(launcher: Launcher) -> None:
    launcher.expect(launcher.open(L_DESTROY, [(frames.NAME, "nobody")]), DESTROYED)
    launcher.expect(launcher.open(L_DISCARD, [(frames.NAME, "nothing")]), frames.DONE)


def test_destroy_while_the_batch_runs(launcher: Launcher) -> None:
    launcher.template()
    names = ["box-%d" % i for i in range(16)]
    fork = launcher.open_fork(names)
    launcher.destroy(*names[8:])
    outcomes = launcher.outcomes(fork)
    assert [bool(outcome.text(frames.KIND)) for outcome in outcomes[:8]] == [False] * 8
    launcher.destroy(*names)


def test_a_discard_in_the_middle_of_a_batch(launcher: Launcher) -> None:
    launcher.template()
    fork = launcher.open_fork(["box-%d" % i for i in range(32)])
    launcher.discard()
    frame = launcher.next(fork)
    assert frame.type == FORKED and len(frame.all(81)) == 32


@pytest.mark.parametrize("how", ["eof", "sigterm"])
def test_the_end_of_the_launcher(launcher: Launcher, how: str) -> None:
    launcher.template()
    launcher.fork(["box-%d" % i for i in range(8)], **LIMITED)
    traces = Traces(launcher)
    if how == "sigterm":
        launcher.process.terminate()
        assert launcher.process.wait(20) == 0
    else:
        assert launcher.close() == 0
    traces.assert_none()


def test_the_end_of_the_launcher_while_it_works(launcher: Launcher) -> None:
    launcher.template()
    launcher.open_template("second", uid_base=900000)
    launcher.open_fork(["box-%d" % i for i in range(32)], **LIMITED)
    wait_for(lambda: len(launcher.family()) > 6, what="the first sandbox")
    traces = Traces(launcher)
    assert launcher.close() == 0
    traces.assert_none()


@pytest.mark.parametrize("moment", ["idle", "building", "forking"])
def test_kill_9_of_the_launcher_leaves_no_process(moment: str) -> None:
    started = Launcher()
    started.hello()
    if moment == "building":
        started.open_template(warm={"imports": ["numpy"]})
    else:
        started.template()
        ident = started.open_fork(["box-%d" % i for i in range(16)], **LIMITED)
        if moment == "idle":
            started.outcomes(ident)
    wait_for(lambda: len(started.family()) >= 3, what="processes")
    traces = Traces(started)
    started.process.kill()
    started.process.wait()
    traces.wait_for_death()
    # Control groups and sockets need somebody who lives: the next launcher of that name.
    heir = Launcher(instance=started.instance, run_dir=started.run_dir)
    heir.hello()
    assert os.listdir(heir.run_dir) == []
    heir.template()
    heir.fork(["box-0"], **LIMITED)
    assert heir.close() == 0
    assert cgroup_directories(heir.instance) == []
    started.close()
    started.remove_run_dir()


@pytest.mark.rooted
@pytest.mark.parametrize("when", ["request", "close"])
def test_a_group_that_was_busy_at_the_start_goes_later(launcher: Launcher, when: str) -> None:
    """The processes of a launcher that was killed may die a moment after the next one begins."""
    base = cgroup_directories(launcher.instance)[0]
    group = Path(base, "s-left")
    group.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as slow:
        (group / "cgroup.procs").write_text(str(slow.pid))
        heir = Launcher(instance=launcher.instance, run_dir=launcher.run_dir)
        heir.hello()
        assert group.exists()
        slow.kill()
    if when == "request":
        heir.destroy("nobody")
        assert not group.exists()
    assert heir.close() == 0
    assert not group.exists()


@pytest.mark.parametrize("victim", ["forkd-holder", "forkd-warden"])
def test_kill_9_of_the_family(launcher: Launcher, victim: str) -> None:
    launcher.template()
    launcher.fork(["a", "b"], **LIMITED)
    traces = Traces(launcher)
    os.kill(launcher.named(victim)[0], signal.SIGKILL)
    ended = launcher.event(TEMPLATE_ENDED)
    assert ended.text(frames.NAME) == "base" and ended.int(frames.SIGNAL_NUMBER) == 9
    assert {launcher.event(SANDBOX_ENDED).text(frames.NAME) for _ in "ab"} == {"a", "b"}
    traces.wait_for_death(0.5)
    assert os.listdir(launcher.run_dir) == []
    launcher.template()


def test_kill_9_of_the_zygote_leaves_sandboxes_alive(launcher: Launcher) -> None:
    zygote = launcher.template().int(frames.PID)
    outcome, = launcher.fork(["a"])
    client = launcher.connect("a")
    os.kill(zygote, signal.SIGKILL)
    ended = launcher.event(TEMPLATE_ENDED)
    assert ended.int(frames.SIGNAL_NUMBER) == 9 and "ended" in ended.text(frames.MESSAGE)
    assert client.ask(frames.PING_RUNTIME).int(frames.PID) == 2
    with pytest.raises(AgentError, match="runtime: .*has ended"):
        launcher.fork(["b"])
    os.kill(outcome.int(RUNTIME_PID), signal.SIGKILL)
    assert launcher.event(RUNTIME_LOST).int(frames.SIGNAL_NUMBER) == 9
    assert client.sh("echo alive").stdout == b"alive\n"
    launcher.destroy("a")
    launcher.discard()
    assert launcher.family() == []


def test_kill_9_of_the_agent(launcher: Launcher) -> None:
    launcher.template()
    outcome, other = launcher.fork(["a", "b"], **LIMITED)
    os.kill(outcome.int(frames.PID), signal.SIGKILL)
    ended = launcher.event(SANDBOX_ENDED)
    assert ended.text(frames.NAME) == "a"
    assert (ended.int(frames.SIGNAL_NUMBER), ended.int(OOM_KILLS)) == (9, 0)
    assert not is_alive(outcome.int(RUNTIME_PID)) and is_alive(other.int(frames.PID))
    assert os.listdir(launcher.run_dir) == ["b.agent"]
    launcher.fork(["a"])


def test_kill_9_of_the_runtime(launcher: Launcher) -> None:
    launcher.template()
    outcome, = launcher.fork(["a"])
    os.kill(outcome.int(RUNTIME_PID), signal.SIGKILL)
    lost = launcher.event(RUNTIME_LOST)
    assert (lost.text(frames.NAME), lost.int(frames.SIGNAL_NUMBER)) == ("a", 9)
    assert launcher.connect("a").sh("echo alive").stdout == b"alive\n"


def test_a_stopped_zygote_does_not_keep_a_sandbox(launcher: Launcher) -> None:
    zygote = launcher.template().int(frames.PID)
    launcher.fork(["a"])
    os.kill(zygote, signal.SIGSTOP)
    started = time.monotonic()
    launcher.destroy("a")
    assert 4 < time.monotonic() - started < 20
    assert launcher.event(TEMPLATE_ENDED).int(frames.SIGNAL_NUMBER) == 9


def test_a_slow_warden_is_waited_for(launcher: Launcher) -> None:
    launcher.template()
    launcher.fork(["a", "b"])
    warden, = launcher.named("forkd-warden")
    before = set(launcher.family())
    os.kill(warden, signal.SIGSTOP)
    ident = launcher.open(L_DESTROY, [(frames.NAME, "a")])
    with pytest.raises(TimeoutError):
        launcher.expect(ident, DESTROYED, within=2)
    os.kill(warden, signal.SIGCONT)
    launcher.expect(ident, DESTROYED)
    assert len(before - set(launcher.family())) == 2, "only the sandbox is gone"
    assert not launcher.kept[0]


def test_log_frames_stop_at_their_bound(launcher: Launcher) -> None:
    script = "import sys\nfor i in range(3000): print('x' * 1000)\nprint('the end')"
    ident = launcher.open_template(warm={"imports": [], "script": script, "script_name": "w.py"})
    launcher.expect(ident, 0xA2)
    assert LOG == 0xA1 and len(launcher.logs[ident]) == 1 << 20

"""Control groups: limits hold, are told, can be changed, and go away."""
from __future__ import annotations

import os
import signal
import time
from typing import Any, List

import frames
import pytest
from frames import AgentError, Client
from launcher import (CPU_MILLIS, IO_WEIGHT, L_LIMIT, MEMORY_BYTES, OOM_KILLS, PIDS_MAX,
                      RUNTIME_LOST, SANDBOX_ENDED, Launcher, cgroup_directories)
from launcher import family  # noqa: F401 (fixture)

MIB = 1 << 20
HOG = ["/usr/bin/python3", "-c", "b = bytearray(%d); print(len(b))"]


def hog(client: Client, size: int) -> Any:
    return client.run(HOG[:2] + [HOG[2] % size])


def groups(launcher: Launcher, name: str) -> List[str]:
    return [os.path.join(base, "s-" + name) for base in cgroup_directories(launcher.instance)
            if os.path.isdir(os.path.join(base, "s-" + name))]


def oom_kills(launcher: Launcher, name: str) -> int:
    for path in groups(launcher, name):
        for file in ("memory.oom_control", "memory.events"):
            if os.path.exists(os.path.join(path, file)):
                lines = dict(line.split() for line in open(os.path.join(path, file)))
                return int(lines["oom_kill"])
    raise AssertionError("no memory group")


def test_memory(family: Launcher) -> None:  # noqa: F811
    client = family.sandbox("small", memory_bytes=64 * MIB)
    assert hog(client, 20 * MIB).exit_code == 0
    assert hog(client, 200 * MIB).signal == signal.SIGKILL
    assert client.sh("echo alive").stdout == b"alive\n"
    assert len(groups(family, "small")) == 1 and oom_kills(family, "small") == 1
    family.destroy("small")


def test_files_are_memory(family: Launcher) -> None:  # noqa: F811
    client = family.sandbox("files", memory_bytes=64 * MIB)
    run = client.start(["sh", "-c", "head -c 200M /dev/zero > /tmp/big"])
    try:
        result = client.finish(run)
        assert result.exit_code != 0 or result.signal
        assert oom_kills(family, "files") >= 1
    except EOFError:
        # No kill frees what is in a file: without a privilege to be spared, the agent goes as well.
        ended = family.event(SANDBOX_ENDED)
        assert ended.text(frames.NAME) == "files" and ended.int(OOM_KILLS) >= 1
    family.destroy("files")


def test_a_runtime_that_is_oom_killed_is_told(family: Launcher) -> None:  # noqa: F811
    outcome, = family.fork(["oom"], memory_bytes=64 * MIB)
    client = family.connect("oom")
    assert client.ask(frames.PING_RUNTIME).type == frames.PONG
    frame = client.ask(frames.EVAL, [(frames.CODE, "len(bytearray(200 << 20))")])
    assert "SIGKILL" in (frame.text(frames.ERROR_TEXT) or "")
    os.kill(outcome.int(frames.PID), signal.SIGKILL)
    ended = family.event(SANDBOX_ENDED)
    assert ended.text(frames.NAME) == "oom" and ended.int(OOM_KILLS) == 1


def test_pids(family: Launcher) -> None:  # noqa: F811
    client = family.sandbox("bomb", pids_max=20)
    code = ("import os\nn = 0\ntry:\n while os.fork(): n += 1\n else: os.kill(os.getpid(), 19)\n"
            "except OSError as e: print(n, e.errno)")
    out = client.run(["/usr/bin/python3", "-c", code]).stdout.split()
    assert 10 < int(out[0]) < 20 and int(out[1]) == 11
    # A bomb that never stops: the agent answers, and the end of the sandbox is the bomb's.
    client.start(["sh", "-c", "f() { f | f & }; f"])
    assert client.ask(frames.PING).type == frames.PONG
    family.destroy("bomb", within=10)


def test_cpu(family: Launcher) -> None:  # noqa: F811
    client = family.sandbox("slow", cpu_millis=200)
    code = ("import time; e = time.time() + 2\nwhile time.time() < e: pass\n"
            "print(time.process_time())")
    result = client.run(["/usr/bin/python3", "-c", code])
    assert 0.1 < float(result.stdout) / (result.duration_us / 1e6) < 0.3, "about 20 %"
    family.destroy("slow")


def io_weights(launcher: Launcher, name: str) -> List[str]:
    files = ("blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight")
    found = (os.path.join(path, file) for path in groups(launcher, name) for file in files)
    return [open(path).read().split()[-1] for path in found if os.path.exists(path)]


def test_io_weight(family: Launcher) -> None:  # noqa: F811
    if "io" not in family.report["controllers"]:
        pytest.skip("no io controller with weights: " + family.report["warning"])
    family.fork(["heavy"], io_weight=700)
    assert io_weights(family, "heavy") == ["700"]
    fields = [(frames.NAME, "heavy"), (IO_WEIGHT, 40)]
    family.expect(family.open(L_LIMIT, fields), frames.DONE)
    assert io_weights(family, "heavy") == ["40"]
    family.expect(family.open(L_LIMIT, [(frames.NAME, "heavy")]), frames.DONE)
    assert io_weights(family, "heavy") == ["100"], "what a group has that nobody has set"
    with pytest.raises(AgentError, match="field|range|1001"):
        family.fork(["heavier"], io_weight=1001)
    family.destroy("heavy")


def test_limits_can_be_changed(family: Launcher) -> None:  # noqa: F811
    client = family.sandbox("change", memory_bytes=64 * MIB)

    def limit(size: int) -> None:
        fields = [(frames.NAME, "change"), (MEMORY_BYTES, size)]
        family.expect(family.open(L_LIMIT, fields), frames.DONE)
    limit(512 * MIB)
    assert hog(client, 200 * MIB).exit_code == 0
    limit(64 * MIB)
    assert hog(client, 200 * MIB).signal == signal.SIGKILL
    limit(0)
    assert hog(client, 200 * MIB).exit_code == 0
    family.destroy("change")


def test_limits_can_come_late(family: Launcher) -> None:  # noqa: F811
    client = family.sandbox("late")
    assert groups(family, "late") == []
    client.start(["/usr/bin/python3", "-c", "import threading, time\n"
                  "[threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(5)]"])
    fields = [(frames.NAME, "late"), (MEMORY_BYTES, 64 * MIB), (PIDS_MAX, 30), (CPU_MILLIS, 500)]
    family.expect(family.open(L_LIMIT, fields), frames.DONE)
    made = groups(family, "late")
    assert len(made) in (1, 3)
    inside = {line for path in made for line in open(os.path.join(path, "cgroup.procs"))}
    assert len(inside) == 3, "agent, runtime and the command"
    assert hog(client, 200 * MIB).signal == signal.SIGKILL
    family.destroy("late")
    assert groups(family, "late") == []


def test_a_limit_that_the_kernel_refuses_fails_one_child(family: Launcher) -> None:  # noqa: F811
    outcome, = family.outcomes(family.open_fork(["refused"], cpu_millis=1))
    assert outcome.text(frames.KIND) == "invalid"
    assert groups(family, "refused") == []
    family.fork(["refused"])
    family.destroy("refused")


def test_a_batch_that_is_refused_whole_is_answered_at_once(family: Launcher) -> None:  # noqa: F811
    names = ["refused-%d" % i for i in range(40)]
    outcomes = family.outcomes(family.open_fork(names, cpu_millis=1), within=20)
    assert [outcome.text(frames.KIND) for outcome in outcomes] == ["invalid"] * 40


def test_limits_of_a_template(family: Launcher) -> None:  # noqa: F811
    script = "b = bytearray(300 << 20)"
    with pytest.raises(AgentError, match="for want of memory before") as caught:
        family.template("fat", warm={"imports": [], "script": script, "script_name": "fat.py"},
                        memory_bytes=100 * MIB, pids_max=50, uid_base=900000)
    assert caught.value.kind == "runtime"
    family.template("fit", memory_bytes=200 * MIB, pids_max=50, uid_base=900000)
    family.fork(["in-fit"], template="fit")
    family.connect("in-fit").ask(frames.PING_RUNTIME)
    # The runtime was forked in the template's group; without a limit of its own it stays there.
    family.discard("fit")


def test_many_at_once_under_limits(family: Launcher) -> None:  # noqa: F811
    names = ["many-%d" % i for i in range(30)]
    family.fork(names, memory_bytes=128 * MIB, pids_max=32, cpu_millis=2000)
    clients = [family.connect(name) for name in names]
    started = time.monotonic()
    runs = [client.start(["sh", "-c", "echo $HOME; hostname"]) for client in clients]
    for client, run, name in zip(clients, runs, names):
        assert client.finish(run).stdout.decode().split() == [name]
    assert time.monotonic() - started < 20
    family.destroy(*names)
    lost = [frame.text(frames.NAME) for frame in family.kept[0] if frame.type == RUNTIME_LOST]
    assert set(lost) & set(names) == set()

"""PING_RUNTIME, CALL and EVAL against a runtime that behaves, dies, stalls or lies."""
from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from conftest import AGENT, HERE, Agent, wait_for
from frames import (CALL, CANCEL, CODE, ERROR, ERROR_TEXT, EVAL, EXITED, GRACE_MS, KIND, MESSAGE,
                    PID, PING, PING_RUNTIME, PONG, READY, REPORT, RESTARTED, RESULT, RESULT_TEXT,
                    RT_PONG, RUNTIME, RUNTIME_ENDED, SIGNAL, SIGNAL_NUMBER, SPAWNED, STARTED,
                    TIMEOUT_MS, AgentError, Client, encode)

Start = Callable[..., Client]


@pytest.fixture
def start(workdir: Path) -> Iterator[Start]:
    agents = []

    def begin(**behaviour) -> Client:
        path = str(workdir / "agent.sock")
        agents.append(Agent(["/usr/bin/python3", str(HERE / "fake_runtime.py"),
                             json.dumps(behaviour), AGENT, "--listen", path], path))
        client = agents[0].connect()
        client.agent = agents[0]
        return client

    yield begin
    for agent in agents:
        agent.close()


def call(client: Client, code: str, **options) -> int:
    return client.start([], kind=CALL, call="code", code=code, **options)


def evaluate(client: Client, code: str, *fields) -> int:
    return client.open(EVAL, [(CODE, code)] + list(fields))


def value(client: Client, code: str):
    return client.expect(evaluate(client, code), RESULT).text(RESULT_TEXT)


def lasting_error(client: Client, ident: int) -> str:
    frame = client.expect(ident, ERROR)
    assert frame.text(KIND) == "runtime"
    return frame.text(MESSAGE)


def test_ping_reaches_the_runtime(start):
    client = start()
    pong = client.ask(PING_RUNTIME)
    assert pong.type == PONG and pong.int(RUNTIME) == 2 and pong.int(PID) > 1
    assert json.loads(pong.text(REPORT))["pid"] == pong.int(PID)


def test_everything_is_held_until_ready(start, workdir):
    client = start(late=str(workdir / "go"))
    assert client.ask(PING).int(RUNTIME) == 1
    ping, spawn, evaluation = (client.open(PING_RUNTIME), call(client, "print('spawned')"),
                               evaluate(client, "6 * 7"))
    with pytest.raises(TimeoutError):
        client.next(ping, 0.3)
    (workdir / "go").touch()
    assert client.expect(ping, PONG).int(RUNTIME) == 2
    assert client.finish(spawn).stdout == b"spawned\n"
    assert client.expect(evaluation, RESULT).text(RESULT_TEXT) == "42"
    assert client.ask(PING).int(RUNTIME) == 2


def test_timeouts_hold_while_it_starts(start, workdir):
    client = start(late=str(workdir / "never"))
    spawn = call(client, "1", timeout_ms=100)
    evaluation = evaluate(client, "1", (TIMEOUT_MS, 100))
    assert client.expect(spawn, ERROR).text(KIND) == "timeout"
    assert client.expect(evaluation, ERROR).text(KIND) == "timeout"


def test_call(start, workdir):
    client = start()
    code = "import os, sys; print(sys.argv, sorted(os.environ), os.getcwd()); sys.exit(9)"
    ident = client.start(["a", "b"], kind=CALL, call="code", code=code, env=["X=1"],
                         cwd=str(workdir))
    result = client.finish(ident)
    assert result.stdout.decode() == "['-c', 'a', 'b'] ['X'] %s\n" % workdir
    assert result.exit_code == 9 and result.pid > 1


def test_call_streams(start):
    client = start()
    ident = call(client, "import sys; data = sys.stdin.read(); sys.stderr.write(data[::-1])",
                 stdin=1)
    client.feed(ident, b"abc")
    assert client.finish(ident).stderr == b"cba"
    big = client.finish(call(client, "print('x' * 3000000)"))
    assert len(big.stdout) == 3000001


def test_call_ends_by_signal_timeout_and_cancel(start):
    client = start()
    assert client.finish(call(client, "import os; os.abort()")).signal == signal.SIGABRT
    slow = client.finish(call(client, "import time; time.sleep(100)", timeout_ms=100))
    assert slow.timed_out == 1 and slow.signal == signal.SIGTERM
    ident = call(client, "import time; time.sleep(100)")
    client.send(CANCEL, ident)
    last = client.next(ident)
    while last.type == STARTED:
        last = client.next(ident)
    assert last.type in (EXITED, ERROR)
    ident = call(client, "import time; time.sleep(100)")
    client.expect(ident, STARTED)
    client.send(SIGNAL, ident, [(SIGNAL_NUMBER, signal.SIGUSR2)])
    assert client.finish(ident).signal == signal.SIGUSR2


def test_many_calls_at_once(start):
    client = start()
    idents = [call(client, "import sys; print(%d); sys.exit(%d)" % (i, i)) for i in range(50)]
    for i, ident in enumerate(idents):
        result = client.finish(ident)
        assert result.stdout == b"%d\n" % i and result.exit_code == i


def test_call_refused(start):
    client = start()
    ident = client.start([], kind=CALL, call="module", target="no.such")
    with pytest.raises(AgentError) as caught:
        client.finish(ident)
    assert caught.value.kind == "not_found" and "module no.such" in str(caught.value)


@pytest.mark.parametrize("options", [
    {}, {"call": "thing", "target": "x"}, {"call": "module"}, {"call": "code", "target": "x"}])
def test_invalid_call(start, options):
    client = start()
    assert client.next(client.start([], kind=CALL, **options)).text(KIND) == "invalid"


def test_dropped_connection_kills_its_calls(start):
    client = start()
    other = client.agent.connect()
    pid = client.expect(call(client, "import time; time.sleep(100)"), STARTED).int(PID)
    client.close()
    wait_for(lambda: other.sh("kill -0 %d" % pid).exit_code != 0)


def test_stalled_spawn(start):
    client = start()
    ident = call(client, "stall", timeout_ms=100, grace_ms=100)
    assert client.expect(ident, ERROR).text(KIND) == "timeout"
    ident = call(client, "stall")
    client.ask(PING_RUNTIME)
    client.send(CANCEL, ident)
    assert client.expect(ident, ERROR).text(KIND) == "timeout"
    assert client.finish(call(client, "print(1)")).stdout == b"1\n"


def test_runtime_dies_while_calls_run(start):
    client = start()
    running = call(client, "import sys, time; time.sleep(0.7); print('made it'); sys.exit(5)")
    client.expect(running, STARTED)
    ping = client.open(PING_RUNTIME)
    client.expect(ping, PONG)
    doomed = call(client, "die")
    message = lasting_error(client, doomed)
    assert "SIGKILL" in message
    event = client.next(0)
    assert event.type == RUNTIME_ENDED and event.int(SIGNAL_NUMBER) == signal.SIGKILL
    # Its child is the agent's own now.
    result = client.finish(running)
    assert result.stdout == b"made it\n" and result.exit_code == 5
    assert client.ask(PING).int(RUNTIME) == 3
    for ident in client.open(PING_RUNTIME), call(client, "1"), evaluate(client, "1"):
        assert "SIGKILL" in lasting_error(client, ident)
    assert client.run(["true"]).exit_code == 0
    assert client.agent.zombies() == []


def test_runtime_that_cannot_start(start, workdir):
    client = start(refuse="setns was refused", late=str(workdir / "go"))
    ping = client.open(PING_RUNTIME)
    (workdir / "go").touch()
    event = client.next(0)
    assert event.type == RUNTIME_ENDED
    assert "setns was refused" in lasting_error(client, ping)
    assert "setns was refused" in client.ask(PING_RUNTIME).text(MESSAGE)
    assert client.agent.connect().ask(PING).int(RUNTIME) == 3


GARBAGE = {
    "length": b"\xff" * 64,
    "short": b"\x00\x00\x00\x01\x40",
    "ready again": encode(READY, 0, [(PID, 5)]),
    "overrun": b"\x00\x00\x00\x08\x42\x00\x00\x00\x01\x23\x00\x00",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_ends_the_runtime(start, workdir, garbage):
    client = start(instead=garbage.hex(), late=str(workdir / "go"))
    ping = client.open(PING_RUNTIME)
    (workdir / "go").touch()
    # Not the end of the process (the agent kills it) is the reason, but what led to it.
    assert "SIGKILL" not in lasting_error(client, ping)
    assert client.next(0).type == RUNTIME_ENDED
    assert client.ask(PING_RUNTIME).text(KIND) == "runtime"
    assert client.run(["true"]).exit_code == 0


def test_answers_nobody_asked_for_are_skipped(start):
    client = start(instead=(encode(RT_PONG, 77, [(PID, 5)]) +
                            encode(SPAWNED, 78, [(PID, 1)])).hex())
    assert client.ask(PING_RUNTIME).type == PONG


def test_mute_runtime_blocks_nobody(start):
    client = start(mute=True)
    idents = [call(client, "#" + "x" * 900_000) for _ in range(30)]
    assert client.run(["echo", "hi"]).stdout == b"hi\n"
    refused = [ident for ident in idents if client.kept.get(ident)]
    assert refused and client.next(refused[0]).text(KIND) == "exhausted"


def test_eval_keeps_state(start):
    client = start()
    first = client.expect(evaluate(client, "x = 41"), RESULT)
    assert first.text(RESULT_TEXT) is None and first.int(RESTARTED) is None
    assert value(client, "x + 1") == "42"
    error = client.expect(evaluate(client, "1 / 0"), RESULT)
    assert error.text(ERROR_TEXT) == "ZeroDivisionError: division by zero"
    assert value(client, "x") == "41"


def test_evals_queue_in_order(start):
    client = start()
    value(client, "1")
    evaluate(client, "x = 0")
    steps = [evaluate(client, "x = x + %d" % i) for i in range(50)]
    for ident in steps:
        client.expect(ident, RESULT)
    assert value(client, "x") == str(sum(range(50)))


def test_eval_queue_is_bounded(start):
    client = start()
    value(client, "1")
    hanging = evaluate(client, "hang")
    idents = [evaluate(client, "1") for _ in range(66)]
    assert client.expect(idents[-1], ERROR).text(KIND) == "exhausted"
    client.send(CANCEL, hanging)
    assert client.expect(hanging, RESULT).text(ERROR_TEXT) == "KeyboardInterrupt"
    assert client.expect(idents[0], RESULT).text(RESULT_TEXT) == "1"


def test_eval_timeout_keeps_the_state(start):
    client = start()
    evaluate(client, "x = 5")
    error = client.expect(evaluate(client, "hang", (TIMEOUT_MS, 100)), ERROR)
    assert error.text(KIND) == "timeout" and "kept" in error.text(MESSAGE)
    assert value(client, "x") == "5"


def test_eval_timeout_that_is_not_heeded_loses_the_state(start):
    client = start()
    evaluate(client, "x = 5")
    ident = evaluate(client, "deaf", (TIMEOUT_MS, 100), (GRACE_MS, 100))
    error = client.expect(ident, ERROR)
    assert error.text(KIND) == "timeout" and "lost" in error.text(MESSAGE)
    after = client.expect(evaluate(client, "'x' in globals()"), RESULT)
    assert after.text(RESULT_TEXT) == "False" and after.int(RESTARTED) == 1
    assert client.expect(evaluate(client, "1"), RESULT).int(RESTARTED) is None


def test_eval_that_waits_times_out_too(start):
    client = start()
    hanging = evaluate(client, "hang", (TIMEOUT_MS, 500))
    waiting = evaluate(client, "1", (TIMEOUT_MS, 100))
    assert client.expect(waiting, ERROR, 0.4).text(KIND) == "timeout"
    assert client.expect(hanging, ERROR).text(KIND) == "timeout"


@pytest.mark.parametrize("code, how", [
    ("crash", "was killed by SIGSEGV"), ("exit", "exited with status 3"),
    ("leave", "exited with status 4"), ("close", "was killed by SIGKILL"),
    ("garbage", "was killed by SIGKILL"), ("wrong id", "was killed by SIGKILL")])
def test_session_death(start, code, how):
    client = start()
    value(client, "1")
    lost, next_one = evaluate(client, code), evaluate(client, "2")
    assert how in client.expect(lost, RESULT).text(ERROR_TEXT)
    after = client.expect(next_one, RESULT)
    assert after.text(RESULT_TEXT) == "2" and after.int(RESTARTED) == 1


def test_session_death_while_idle(start):
    client = start()
    pid = int(value(client, "__import__('os').getpid()"))
    client.sh("kill -9 %d" % pid)
    wait_for(lambda: client.sh("kill -0 %d" % pid).exit_code != 0)
    after = client.expect(evaluate(client, "1"), RESULT)
    assert after.text(RESULT_TEXT) == "1" or "SessionEnded" in after.text(ERROR_TEXT)


def test_session_refused(start):
    client = start(no_session=True)
    assert lasting_error(client, evaluate(client, "1")) == "no session"
    assert lasting_error(client, evaluate(client, "2")) == "no session"
    assert client.ask(PING_RUNTIME).type == PONG


def test_result_as_large_as_a_frame(start):
    client = start()
    assert client.ask(EVAL, [(CODE, "huge")]).type in (RESULT, ERROR)
    assert value(client, "1") == "1"


def test_dropped_connection_interrupts_its_eval(start):
    client = start()
    other = client.agent.connect()
    assert value(other, "'ready'") == "'ready'"
    evaluate(client, "hang")
    client.ask(PING)
    client.close()
    assert value(other, "1 + 1") == "2"


def test_eval_without_code(start):
    assert start().ask(EVAL).text(KIND) == "invalid"


def test_runtime_death_fails_evals(start):
    client = start()
    value(client, "1")
    hanging, waiting = evaluate(client, "hang"), evaluate(client, "1")
    call(client, "die")
    for ident in hanging, waiting:
        assert "SIGKILL" in lasting_error(client, ident)

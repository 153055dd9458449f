"""The eval session."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any, Iterator

import pytest
from serving import Served, Session, status

from forkd_runtime import frames

SCRIPT = """
counter = 1
def bump():
    global counter
    counter += 1
    return counter
class Thing:
    pass
def fail():
    raise ValueError("in the script")
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served({"imports": ["json", "pickle"], "script": SCRIPT}) as runtime:
        assert runtime.ready
        yield runtime


@pytest.fixture()
def session(served: Served) -> Iterator[Session]:
    opened = served.session()
    yield opened
    opened.peer.channel.close()
    assert served.peer.next().type == frames.ENDED


def test_values_statements_and_state(session: Session) -> None:
    assert session.eval("1 + 1").result == "2"
    assert session.eval("_ * 5").result == "10"
    assert session.eval("x = 5").result is None
    assert session.eval("None").result is None
    assert session.eval("y = x\nfor i in range(3): y += i\ny").result == "8"
    assert session.eval("def f(a):\n    return a * x\nf(3)").result == "15"
    assert session.eval("x = 7; f(1)").result == "7"
    assert session.eval("").result is None
    assert session.eval("'a\\0b'").result == "'a\\x00b'"
    assert session.eval("print('a\\0b')").stdout == "a\ufffdb\n"


def test_names_of_the_warm_up_script(session: Session) -> None:
    assert session.eval("counter").result == "1"
    assert session.eval("bump(), counter").result == "(2, 2)"
    assert session.eval("counter = 10; bump()").result == "11"
    code = "import pickle, __main__; pickle.loads(pickle.dumps(Thing())).__class__ is Thing"
    assert session.eval(code).result == "True"
    assert session.eval("import __forkd_warm__; __forkd_warm__.counter").result == "11"
    failure = session.eval("fail()")
    assert 'File "warm.py", line 10, in fail\n    raise ValueError' in (failure.traceback or "")


def test_programs_do_not_see_the_script(served: Served) -> None:
    assert served.run("code", "counter").status == 1
    assert served.run("code", "import __forkd_warm__ as w; print(w.bump())").stdout == b"2\n"


def test_output_of_all_kinds(session: Session) -> None:
    code = (
        "import os, sys, subprocess\n"
        "print('a'); os.system('echo b'); os.write(1, b'c\\n'); print('d', file=sys.stderr)\n"
        "subprocess.run(['sh', '-c', 'echo e >&2']); print('f', end=''); 9"
    )
    result = session.eval(code)
    assert (result.stdout, result.stderr) == ("a\nb\nc\nf", "d\ne\n")
    assert (result.result, result.truncated) == ("9", False)
    assert session.eval("1").stdout == ""


def test_output_of_the_background_comes_later(session: Session) -> None:
    session.eval("import threading, os; go = threading.Event(); done = threading.Event()")
    session.eval(
        "def late():\n    go.wait(); os.write(1, b'late'); done.set()\n"
        "threading.Thread(target=late).start()"
    )
    assert session.eval("go.set(); done.wait()").stdout == "late"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_is_bounded(session: Session, stream: str) -> None:
    code = "import sys\nfor i in range(100): sys.%s.write('x' * 100000)\n'r' * 1000" % stream
    result = session.eval(code, max_output=500)
    assert getattr(result, stream) == "x" * 500
    assert result.result == "'" + "r" * 499
    assert result.truncated
    result = session.eval(code, max_output=10**9)
    assert len(getattr(result, stream)) == 262143 and result.truncated
    assert not session.eval("1").truncated


def test_output_of_a_subprocess_never_blocks(session: Session) -> None:
    result = session.eval("import os; os.system('head -c 30000000 /dev/zero | tr \"\\\\0\" x')")
    assert result.truncated and set(result.stdout or "") == {"x"}


def test_output_that_is_not_text(session: Session) -> None:
    result = session.eval("import os; os.write(1, b'\\xff' * 300000)", max_output=300000)
    assert result.truncated
    assert set(result.stdout or "") == {"\ufffd"}
    assert session.eval("print('\\udcff')").stdout == "\\udcff\n"


def test_errors(session: Session) -> None:
    result = session.eval("def f():\n    return 1 / 0\nf()")
    assert result.error == "ZeroDivisionError: division by zero"
    assert (result.traceback or "").startswith(
        'Traceback (most recent call last):\n  File "<eval-1>", line 3, in <module>\n    f()\n'
    )
    assert "forkd_runtime" not in (result.traceback or "")
    assert "return 1 / 0" in (session.eval("f()").traceback or "")
    assert session.eval("import json; json.loads('{')").error.startswith("json.decoder.JSON")
    assert session.eval("def (").error.startswith("SyntaxError: ")
    assert session.eval("raise KeyError").error == "KeyError"
    assert session.eval("class E(BaseException): pass\nraise E('b')").error == "E: b"
    assert session.eval("f.__name__").result == "'f'"


def test_leaving_is_an_error_and_no_exit(session: Session) -> None:
    session.eval("x = 1")
    assert session.eval("import sys; sys.exit(3)").error == "SystemExit: 3"
    assert session.eval("raise SystemExit").error == "SystemExit"
    assert session.eval("x").result == "1"


def test_what_cannot_be_printed(session: Session) -> None:
    session.eval("class R:\n    def __repr__(self): raise ValueError('no repr')")
    result = session.eval("R()")
    assert (result.result, result.error) == (None, "ValueError: no repr")
    session.eval("class E(Exception):\n    def __str__(self): raise ValueError('no str')")
    assert session.eval("raise E").error == "E: <exception str() failed>"
    session.eval("class W:\n    def __repr__(self): return 5")
    assert (session.eval("W()").error or "").startswith("TypeError: __repr__ returned")
    assert session.eval("1").result == "1"


def test_recursion_and_memory(session: Session) -> None:
    assert (session.eval("def f(): f()\nf()").error or "").startswith("RecursionError")
    assert (session.eval("'a' * (1 << 60)").error or "").startswith("MemoryError")
    result = session.eval("def g(n): 1/0 if n == 0 else g(n - 1)\nraise ValueError('m' * 99999)")
    assert len(result.error or "") == 16384 and result.truncated


def test_an_interrupt_ends_the_eval_and_keeps_the_state(session: Session, tmp_path: Any) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    session.eval("x = 42")
    session.send(
        "import time\nprint('started')\nopen(%r, 'w').close()\nwhile True: time.sleep(60)" % fifo
    )
    open(fifo).close()  # returns when the other end is opened, too
    os.kill(session.pid, signal.SIGINT)
    result = session.receive()
    assert (result.error, result.stdout) == ("KeyboardInterrupt", "started\n")
    assert session.eval("x").result == "42"


def test_an_interrupt_that_comes_a_moment_too_early_is_not_lost(session: Session) -> None:
    session.eval("x = 42")
    os.kill(session.pid, signal.SIGINT)
    started = time.monotonic()
    assert session.eval("import time; time.sleep(60)").error == "KeyboardInterrupt"
    assert time.monotonic() - started < 30
    assert session.eval("x").result == "42"


def test_an_interrupt_that_comes_too_late_is_taken_back(session: Session) -> None:
    session.eval("x = 42")
    for _ in range(50):
        os.kill(session.pid, signal.SIGINT)
        session.peer.channel.send(frames.CALM, 0)
        assert session.eval("x").result == "42"


def test_a_system_call_does_not_outlast_an_interrupt(session: Session, tmp_path: Any) -> None:
    """As if it had come between the interpreter's last look and the call: a thread gets it."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    session.send(
        "import signal, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "open(%r, 'w').close()\n"
        "time.sleep(60)" % fifo
    )
    open(fifo).close()
    os.kill(session.pid, signal.SIGINT)
    done = threading.Event()

    def nudge() -> None:
        while not done.wait(0.05):
            os.kill(session.pid, signal.SIGURG)

    thread = threading.Thread(target=nudge)
    thread.start()
    try:
        assert session.receive().error == "KeyboardInterrupt"
    finally:
        done.set()
        thread.join()


def test_an_interrupt_between_evals_is_harmless(session: Session) -> None:
    session.eval("x = 1")
    for _ in range(50):
        os.kill(session.pid, signal.SIGINT)
        result = session.eval("x")
        assert result.result == "1" or result.error == "KeyboardInterrupt"
    assert session.eval("x").result == "1"


def test_a_crash_is_reported_and_a_new_session_starts(served: Served) -> None:
    crashed = served.session()
    crashed.send("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert status(served.peer.next()) == -signal.SIGSEGV
    left = served.session()
    left.send("import os; os._exit(3)")
    assert status(served.peer.next()) == 3
    fresh = served.session()
    assert fresh.eval("1").result == "1"
    fresh.peer.channel.close()
    assert status(served.peer.next()) == 0


def test_two_sessions_are_apart(served: Served, session: Session) -> None:
    other = served.session()
    session.eval("x = 'mine'")
    assert (other.eval("x").error or "").startswith("NameError")
    other.peer.channel.close()
    assert served.peer.next().type == frames.ENDED


def test_a_fork_that_comes_back_is_ended(session: Session) -> None:
    assert session.eval("import os; pid = os.fork(); pid > 0").result == "True"
    assert session.eval("os.waitpid(pid, 0)[1]").result == "0"


def test_the_process_looks_ordinary(session: Session) -> None:
    assert session.eval("__name__").result == "'__main__'"
    assert session.eval("import sys; sys.argv, sys.path[0]").result == "([''], '')"
    assert session.eval("open('/dev/null').fileno()").result == "3"
    assert session.eval("input()").error == "EOFError: EOF when reading a line"
    assert session.eval("import threading; threading.active_count()").result == "1"
    assert session.eval("import os; os.getpid() == os.getpgrp()").result == "True"
    assert session.eval("import gc; gc.isenabled()").result == "True"


def test_hostile_sessions_do_not_stop_the_runtime(served: Served) -> None:
    hostile = served.session()
    hostile.send(
        "import os\nfor fd in os.listdir('/proc/self/fd'):\n"
        "    if int(fd) > 500:\n"
        "        try:\n            for i in range(20000): os.write(int(fd), b'c' * 100)\n"
        "        except OSError: pass\n"
    )
    for _ in range(5):
        assert served.run("code", "print(1)").stdout == b"1\n"
    os.kill(hostile.pid, signal.SIGKILL)
    assert status(served.peer.next()) == -signal.SIGKILL
    hostile.peer.channel.close()


def test_future_imports_persist(session: Session) -> None:
    session.eval("from __future__ import annotations")
    assert session.eval("def f(x: undefined): pass\nf.__annotations__['x']").result == "'undefined'"


def test_a_round_trip_takes_well_under_a_millisecond(session: Session) -> None:
    session.eval("1")
    times = []
    for _ in range(200):
        started = time.perf_counter()
        session.eval("1 + 1")
        times.append(time.perf_counter() - started)
    assert sorted(times)[20] < 0.001


def test_imported_modules_are_bound_by_name() -> None:
    with Served({"imports": ["os.path", "numpy"]}) as runtime:
        opened = runtime.session()
        assert opened.eval("numpy.arange(5).sum() == np.arange(5).sum()").error is None
        assert opened.eval("os.path.basename('/a/b')").result == "'b'"
        assert "NameError" in (opened.eval("json").error or "")

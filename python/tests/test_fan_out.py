"""forkd_pytest against plain pytest: verdicts, exit codes, crashes, hazards."""

from __future__ import annotations

from pathlib import Path

import pytest
from fan_out import fork, plain, project

MIXED = """
import pytest

@pytest.fixture(scope="module")
def shared():
    yield [1]

@pytest.mark.parametrize("n", range(20))
def test_numbers(n, shared):
    assert n != 7

def test_skips():
    pytest.skip("because")

@pytest.mark.xfail
def test_expected():
    assert 0

@pytest.fixture
def broken():
    raise ValueError("in setup")

def test_setup_fails(broken):
    pass

@pytest.fixture
def leaves():
    yield
    raise ValueError("in teardown")

def test_teardown_fails(leaves):
    pass

class TestClass:
    @pytest.mark.parametrize("text", ["a b", "x::y", "[", "new\\nline", "\\u00e9", "q" * 10000])
    def test_ids(self, text):
        pass
"""

CRASHES = """
import os, signal, time
import pytest

def test_first(): pass
def test_exit(): os._exit(0)
def test_second(): pass

@pytest.fixture
def segv():
    yield
    os.kill(os.getpid(), signal.SIGSEGV)

def test_teardown(segv): pass
def test_third(): pass
def test_killed(): os.kill(os.getpid(), signal.SIGKILL)
def test_parent(): os.kill(os.getppid(), 0)
def test_last(): pass
"""


@pytest.mark.parametrize(
    "workers, by", [(1, "auto"), (2, "auto"), (3, "test"), (2, "file"), (3, "scope")]
)
def test_verdicts_are_those_of_pytest(tmp_path: Path, workers: int, by: str) -> None:
    suite = project(tmp_path, test_mixed=MIXED, test_other=MIXED)
    expected = plain(suite)
    got = fork(suite, workers=workers, by=by)
    assert got.code == expected.code == 1
    assert got.verdicts == expected.verdicts
    assert got.err == ""


def test_one_worker_says_what_pytest_says(tmp_path: Path) -> None:
    suite = project(tmp_path, test_mixed=MIXED)
    expected = plain(suite, "-v", "-rA", "--durations=0", "--durations-min=100")
    got = fork(suite, "-v", "-rA", "--durations=0", "--durations-min=100", workers=1)

    def lines(text: str) -> "list[str]":
        return [line for line in text.splitlines() if " in 0." not in line and " in 1." not in line]

    assert lines(got.out) == lines(expected.out)


@pytest.mark.parametrize(
    "args, code",
    [
        (["-k", "nothing"], 5),
        (["missing.py"], 4),
        (["--bogus"], 4),
        (["-x"], 1),
        (["--maxfail=2"], 1),
        (["--co", "-q"], 0),
        (["--version"], 0),
        (["-k", "numbers", "--deselect", "test_mixed.py::test_numbers[7]"], 0),
    ],
)
def test_exit_codes(tmp_path: Path, args: "list[str]", code: int) -> None:
    suite = project(tmp_path, test_mixed=MIXED)
    assert plain(suite, *args).code == code
    assert fork(suite, *args).code == code


@pytest.mark.parametrize(
    "module",
    [
        "import missing_module\n",
        "import pytest\ndef test_a(): pytest.exit('enough', 42)\n",
        "def test_a(): raise KeyboardInterrupt\n",
        "def test_a(): raise SystemExit(0)\n",
        "import pytest\npytest.exit('at import', 9)\n",
    ],
)
def test_exit_codes_of_modules(tmp_path: Path, module: str) -> None:
    suite = project(tmp_path, test_module=module)
    assert fork(suite).code == plain(suite).code != 0


def test_a_hook_decides_the_exit_code(tmp_path: Path) -> None:
    hook = "def pytest_sessionfinish(session): session.exitstatus = 77\n"
    suite = project(tmp_path, conftest=hook, test_a="def test_a(): pass\n")
    assert plain(suite).code == fork(suite).code == 77


@pytest.mark.parametrize("workers", [1, 2])
def test_every_crash_has_one_verdict(tmp_path: Path, workers: int) -> None:
    suite = project(tmp_path, test_crash=CRASHES)
    got = fork(suite, workers=workers)
    assert got.code == 1
    failed = {"test_exit", "test_teardown", "test_killed"}
    assert got.verdicts == {
        "test_crash::" + name: ["failure" if name in failed else "passed"]
        for name in (
            "test_first",
            "test_exit",
            "test_second",
            "test_teardown",
            "test_third",
            "test_killed",
            "test_parent",
            "test_last",
        )
    }
    assert "exit code 0 in call" in got.out
    assert "SIGSEGV in teardown" in got.out
    assert 'in segv' in got.out  # the stack
    assert got.out.count("crashed again") == 3


def test_a_hang_is_a_timeout_with_its_stack(tmp_path: Path) -> None:
    hang = "import time\ndef test_hangs(): time.sleep(60)\ndef test_goes_on(): pass\n"
    suite = project(tmp_path, test_hang=hang)
    got = fork(suite, workers=1, timeout=1)
    assert got.verdicts["test_hang::test_hangs"] == ["failure"]
    assert got.verdicts["test_hang::test_goes_on"] == ["passed"]
    assert "more than 1 s in call" in got.out
    assert "in test_hangs" in got.out


def test_a_crash_that_does_not_repeat_is_told(tmp_path: Path) -> None:
    once = """
import os, pathlib
def test_once():
    mark = pathlib.Path("mark")
    if not mark.exists():
        mark.write_text("x")
        os._exit(3)
"""
    got = fork(project(tmp_path, test_once=once), workers=1)
    assert got.code == 1
    assert "did not crash when it was run alone" in got.out


def test_retries_tell_flaky_from_failed(tmp_path: Path) -> None:
    flaky = """
import pathlib
def test_flaky():
    mark = pathlib.Path("mark")
    if not mark.exists():
        mark.write_text("x")
        assert False
def test_fails(): assert False
"""
    suite = project(tmp_path, test_flaky=flaky)
    got = fork(suite, retries=2)
    assert got.verdicts["test_flaky::test_flaky"] == ["passed"]
    assert got.verdicts["test_flaky::test_fails"] == ["failure"]
    assert "Failed in 3 attempts" in got.out


def test_isolated_tests_do_not_see_each_other(tmp_path: Path) -> None:
    one = "def test_%d():\n    assert not hasattr(sys, 'mark')\n    sys.mark = 1\n"
    seen = "import sys\n" + "".join(one % n for n in range(5))
    suite = project(tmp_path, test_seen=seen)
    assert fork(suite, workers=1).code == 1
    assert fork(suite, workers=1, isolate="test").code == 0


def test_workers_have_the_names_that_xdist_gives(tmp_path: Path) -> None:
    names = """
import os
def test_a(worker_id, testrun_uid, request):
    assert worker_id == os.environ["PYTEST_XDIST_WORKER"] == request.config.workerinput["workerid"]
    assert worker_id in ("gw0", "gw1")
    assert os.environ["PYTEST_XDIST_WORKER_COUNT"] == "2"
    assert testrun_uid == os.environ["PYTEST_XDIST_TESTRUNUID"]
"""
    assert fork(project(tmp_path, test_names=names)).code == 0


def test_locks_groups_and_serial_tests(tmp_path: Path) -> None:
    locks = """
import os, time, pytest

def alone(name):
    os.mkdir(name)  # fails when it is there
    time.sleep(0.05)
    os.rmdir(name)

@pytest.mark.forkd_lock("db")
@pytest.mark.parametrize("n", range(4))
def test_lock(n): alone("db")

@pytest.mark.xdist_group("g")
@pytest.mark.parametrize("n", range(3))
def test_group(n, worker_id):
    with open("group", "a") as file: file.write(worker_id + "\\n")

@pytest.mark.forkd_serial
@pytest.mark.parametrize("n", range(2))
def test_serial(n): alone("serial")

@pytest.mark.parametrize("n", range(10))
def test_free(n): time.sleep(0.01)
"""
    suite = project(tmp_path, test_locks=locks)
    got = fork(suite, "--strict-markers", "-p", "no:xdist")
    assert got.code == 0, got.out
    assert len(set((suite / "group").read_text().split())) == 1


def test_output_that_is_not_captured_is_passed_on(tmp_path: Path) -> None:
    talks = """
import os
def test_a():
    print('from print')
    os.system('echo from a child')
"""
    got = fork(project(tmp_path, test_talks=talks), "-s", workers=1)
    assert "from print" in got.out and "from a child" in got.out


@pytest.mark.parametrize(
    "body",
    [
        "os.close(1); os.close(2)",
        "sys.stdout.close()",
        "os.chdir('/'); os.environ.clear()",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "os.write(1, b'x' * 1000000)",
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    ],
)
def test_harm_to_the_own_process_is_what_it_is_in_pytest(tmp_path: Path, body: str) -> None:
    head = "import os, signal, sys, threading, time\n"
    module = head + "def test_a():\n    %s\ndef test_b(): pass\n" % body
    suite = project(tmp_path, test_hostile=module)
    got = fork(suite, workers=1)
    assert len(got.verdicts) == 2, got.out + got.err
    assert got.verdicts == plain(suite).verdicts


def test_a_seed_set_at_import_holds(tmp_path: Path) -> None:
    seeded = """
import random
random.seed(5)
EXPECTED = random.Random(5).random()
def test_first_number():
    assert random.random() == EXPECTED
"""
    suite = project(tmp_path, test_seeded=seeded)
    assert plain(suite).code == fork(suite, workers=1).code == 0


def test_duplicate_ids_are_all_run(tmp_path: Path) -> None:
    suite = project(tmp_path, test_a="def test_a(): pass\n")
    args = ("--keep-duplicates", "test_a.py", "test_a.py", "test_a.py")
    expected, got = plain(suite, *args), fork(suite, *args)
    assert got.verdicts == expected.verdicts
    assert "3 passed" in got.out


def test_warnings_of_workers_are_told(tmp_path: Path) -> None:
    warns = """
import warnings
class Own(UserWarning):
    def __init__(self, a, b): super().__init__("%s and %s" % (a, b))
def test_a(): warnings.warn("plain one")
def test_b(): warnings.warn(Own(1, 2))
"""
    suite = project(tmp_path, test_warns=warns)
    got = fork(suite)
    assert "UserWarning: plain one" in got.out
    assert "1 and 2" in got.out
    assert "2 warnings" in got.out

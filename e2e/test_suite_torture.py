"""`forkd test` on suites that are hard to fork: hazards in the parent, harm done by tests."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict

import pytest
from conftest import HOME, Installation
from host import eventually
from suites import project, run  # noqa: F401 (project: a fixture)


def verdicts(installation: Installation, project: Path, *args: str, **env: str) -> Dict[str, str]:
    lines = project / "lines.jsonl"
    done = run(installation, project, "--json-lines", str(lines), *args, **env)
    assert lines.exists(), done.stderr
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    lines.unlink()
    found = {row["id"].partition("::")[2]: row["verdict"] for row in rows}
    assert len(found) == len(rows)
    return found


PARENTS = {
    "openmp": """
import numpy
from sklearn.ensemble import HistGradientBoostingRegressor as Regressor

def fit():
    return Regressor(max_iter=3).fit(numpy.random.rand(200, 4), numpy.random.rand(200))

fit()  # a pool of threads in the parent: the next region in a fork would hang for ever
def test_a(): fit()
def test_b(): fit()
""",
    "asyncio": """
import asyncio

async def answer():
    await asyncio.sleep(0)
    return 42

loop = asyncio.new_event_loop()
assert loop.run_until_complete(answer()) == 42
loop.close()
asyncio.set_event_loop(None)
def test_a(): assert asyncio.run(answer()) == 42
def test_b(): assert asyncio.run(answer()) == 42
""",
    "atexit": """
import atexit, os, pathlib, tempfile, weakref
directory = tempfile.TemporaryDirectory()
pathlib.Path(directory.name, "file").write_text("kept")
atexit.register(pathlib.Path(directory.name, "ended").write_text, "x")

def look():
    assert pathlib.Path(directory.name, "file").read_text() == "kept"
    assert not pathlib.Path(directory.name, "ended").exists()

def test_a(): look()
def test_b(): look()
def test_c(): look()
""",
    "sqlite": """
import sqlite3, pathlib
path = pathlib.Path(__file__).with_name("rows.db")
with sqlite3.connect(path) as made:
    made.execute("create table if not exists rows (n integer)")
made.close()

def write(n):
    with sqlite3.connect(path) as db:
        db.execute("insert into rows values (?)", (n,))
    assert db.execute("select count(*) from rows").fetchone()[0] >= 1

def test_a(): write(1)
def test_b(): write(2)
""",
    "logging": """
import logging
log = logging.getLogger("own")
log.addHandler(logging.FileHandler("run.log"))
log.warning("collected")

def look(text):
    log.warning(text)
    lines = open("run.log").read().split()  # of this worker, whatever others write
    assert lines[0] == "collected" and lines[-1] == text and lines.count(text) == 1

def test_a(): look("a")
def test_b(): look("b")
""",
}


@pytest.mark.parametrize("name", sorted(PARENTS))
@pytest.mark.parametrize("isolate", ["child", "test"])
def test_what_collection_leaves_behind(
    installation: Installation, rest, project: Path, name: str, isolate: str
) -> None:
    (project / "test_parent.py").write_text(PARENTS[name])
    options = ("-n", "2", "--by", "test", "--isolate", isolate, "--timeout", "30")
    found = verdicts(installation, project, *options, OMP_NUM_THREADS="2")
    assert set(found.values()) == {"passed"}, found


def test_a_thread_of_collection_is_refused(
    installation: Installation, rest, project: Path
) -> None:
    (project / "test_thread.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,), name='watcher', daemon=True).start()\n"
        "def test_a(): pass\n"
    )
    refused = run(installation, project)
    assert refused.returncode == 125
    assert b"watcher" in refused.stderr and b"thread" in refused.stderr
    assert run(installation, project, "--allow", "thread").returncode == 0


HARM = """
import ctypes, os, signal, socket, sys, tempfile, pathlib
import pytest

@pytest.fixture
def breaks():
    yield
    ctypes.string_at(0)

def test_00(): pass
def test_01_exit(): os._exit(0)
def test_02(): pass
def test_03_teardown(breaks): pass
def test_04(): pass
def test_05_killed(): os.kill(os.getpid(), signal.SIGKILL)
def test_06(): pass
def test_07_abort(): os.abort()
def test_08(): pass
def test_09_parent(): os.kill(os.getppid(), signal.SIGKILL)
def test_10(): pass
def test_13_stdout():
    os.close(1); os.close(2)
def test_14(): pass
def test_15_output(): os.write(1, b"x" * (1 << 20))
def test_16(): pass
@pytest.mark.parametrize(
    "name", ["a b", "x::y", "[", "new\\nline", "\\u00e9", "q" * 10000, "", "a|b"]
)
def test_17(name): pass
def test_18_recursion(): (lambda f: f(f))(lambda f: f(f))
def test_19(): pass
"""


@pytest.mark.parametrize("workers", ["1", "3"])
def test_harm_has_one_verdict_each(
    installation: Installation, rest, project: Path, workers: str
) -> None:
    (project / "test_harm.py").write_text(HARM)
    found = verdicts(installation, project, "-n", workers, "--by", "test")
    crashed = {name for name, verdict in found.items() if verdict == "crashed"}
    assert crashed >= {"test_01_exit", "test_03_teardown", "test_05_killed", "test_07_abort"}
    # Who kills its keeper takes the sandbox along; nobody else is blamed for that.
    assert crashed <= {"test_01_exit", "test_03_teardown", "test_05_killed", "test_07_abort",
                       "test_09_parent"}  # fmt: skip
    assert found.pop("test_18_recursion") == "failed"
    assert {v for name, v in found.items() if name not in crashed} == {"passed"}
    assert len(found) == 24


def test_a_fork_bomb_is_its_own_affair(installation: Installation, rest, project: Path) -> None:
    (project / "test_bomb.py").write_text(
        "import os, subprocess\n"
        "def test_bomb():\n"
        "    bomb = 'while :; do sleep 100 & done'\n"
        "    assert subprocess.run(['sh', '-c', bomb], stderr=-3).returncode != 0\n"
        "def test_after(): assert os.system('true') == 0\n"
    )
    found = verdicts(installation, project, "-n", "1", "--isolate", "test", "--timeout", "60")
    assert found["test_after"] == "passed"
    assert run(installation, project, "--", "-k", "after").returncode == 0


def test_places_of_one_worker_are_not_those_of_another(
    installation: Installation, rest, project: Path
) -> None:
    (project / "test_places.py").write_text(
        "import os, pathlib, socket, tempfile, time, pytest\n"
        "from multiprocessing import shared_memory\n"
        "@pytest.mark.parametrize('n', range(6))\n"
        "def test_place(n, tmp_path):\n"
        "    pathlib.Path('/tmp/pid').open('x').close()\n"
        "    pathlib.Path('here').open('x').close()\n"
        "    memory = shared_memory.SharedMemory('forkd-e2e', create=True, size=64)\n"
        "    with socket.socket() as s:\n"
        "        s.bind(('127.0.0.1', 8000)); s.listen(1); time.sleep(0.1)\n"
        "    memory.close(); memory.unlink()\n"
        "    os.remove('/tmp/pid'); os.remove('here')\n"
    )
    found = verdicts(installation, project, "-n", "3", "--by", "test")
    assert set(found.values()) == {"passed"}, found


def test_interrupts_end_a_run(installation: Installation, rest, project: Path) -> None:
    (project / "test_slow.py").write_text(
        "import time, pytest\n"
        "@pytest.mark.parametrize('n', range(50))\n"
        "def test_slow(n): time.sleep(1)\n"
    )
    assert run(installation, project, "--", "-k", "nothing").returncode == 5  # it is collected

    def interrupted(times: int) -> "tuple[int, bytes, float]":
        running = subprocess.Popen(
            [str(HOME / "forkd"), "test", "-n", "2", "--", "-v", "-k", "slow"],
            cwd=project,
            env=installation.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert running.stdout is not None
        out = b""
        while b"PASSED" not in out:
            data = os.read(running.stdout.fileno(), 4096)
            assert data, out
            out += data
        began = time.monotonic()
        for _ in range(times):
            running.send_signal(signal.SIGINT)
        rest_of_it, _ = running.communicate(timeout=60)
        return running.returncode, out + rest_of_it, time.monotonic() - began

    code, out, seconds = interrupted(1)
    assert code == 2 and b"KeyboardInterrupt" in out and seconds < 20, out
    code, out, seconds = interrupted(2)
    assert code != 0 and seconds < 20
    eventually("the sandboxes of the run end", lambda: rest.ok("GET", "/v1/sandboxes") == [])

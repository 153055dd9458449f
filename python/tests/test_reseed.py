"""Children of one parent draw different numbers, unless a seed is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from serving import ENVIRONMENT, Served, needs

PYTHON = Path(__file__).resolve().parents[1]
DRAWS = """
import random, secrets, tempfile, uuid, os
import multiprocessing as mp
print(random.random())
print(secrets.token_hex(8))
print(uuid.uuid4())
print(next(tempfile._get_candidate_names()))
print(mp.current_process().authkey.hex())
"""
NUMPY = "import numpy as np\nprint(np.random.random(), np.random.randint(1 << 30))\n"
WARM_UP = """
import random, tempfile, uuid, secrets, multiprocessing
random.seed(5); random.random(); tempfile.mktemp(); uuid.uuid1(); uuid.getnode()
"""


def draws(served: Served, code: str, env: Optional[Dict[str, str]] = None) -> List[bytes]:
    return served.run("code", code, env={**ENVIRONMENT, **(env or {})}).stdout.splitlines()


def test_everything_differs_between_children() -> None:
    with Served({"script": WARM_UP}) as served:
        columns = list(zip(*(draws(served, DRAWS) for _ in range(4))))
        assert len(columns) == 5
        assert all(len(set(column)) == 4 for column in columns)


def test_sessions_differ_as_well() -> None:
    with Served({"script": WARM_UP}) as served:
        sessions = [served.session() for _ in range(4)]
        assert len({session.eval("random.random()").result for session in sessions}) == 4


def test_numpy_global_generator() -> None:
    needs("numpy")
    with Served({"imports": ["numpy"], "script": "import numpy; numpy.random.seed(1)"}) as served:
        assert len({draws(served, NUMPY)[0] for _ in range(4)}) == 4
        same = {draws(served, NUMPY, {"FORKD_SEED": "7"})[0] for _ in range(3)}
        assert same == {draws(served, "import numpy\nnumpy.random.seed(7)\n" + NUMPY)[0]}


@pytest.mark.parametrize("how", ["recipe", "environment"])
def test_a_seed_makes_children_equal(how: str) -> None:
    spec: Dict[str, Any] = {"script": WARM_UP, "seed": 11 if how == "recipe" else None}
    env = {} if how == "recipe" else {"FORKD_SEED": "11"}
    with Served(spec) as served:
        code = "import random; print(random.random())"
        expected = draws(served, "import random; random.seed(11); print(random.random())")
        assert draws(served, code, env) == draws(served, code, env) == expected
        assert draws(served, code, {"FORKD_SEED": "12"}) != expected


def test_the_seeding_of_a_program_is_its_own() -> None:
    with Served({"script": WARM_UP}) as served:
        code = "import random; random.seed(3); print(random.random())"
        assert draws(served, code) == draws(served, code)


SAME_PID = """
import ctypes, os, ssl, sys
from forkd_runtime import reseed
def in_new_pid_namespace(work):
    assert ctypes.CDLL(None).unshare(0x20000000) == 0
    pid = os.fork()
    if pid == 0:
        assert os.getpid() == 1
        work()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
def draw():
    if sys.argv[1] == "reseed":
        reseed.reseed(None)
    print(ssl.RAND_bytes(16).hex(), flush=True)
def parent():
    ssl.RAND_bytes(1)
    for _ in range(2):
        child = os.fork()
        if child == 0:
            in_new_pid_namespace(draw)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
in_new_pid_namespace(parent)
"""


@pytest.mark.parametrize("how", ["left", "reseed"])
def test_openssl_draws_its_own_numbers_where_the_pid_is_the_same(how: str) -> None:
    """OpenSSL notices a fork by the pid: without a cure two processes of one pid draw the same."""
    done = subprocess.run([sys.executable, "-c", SAME_PID, how], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(PYTHON)}, timeout=60)
    assert done.returncode == 0, done.stderr
    one, two = done.stdout.split()
    assert (one == two) == (how == "left")

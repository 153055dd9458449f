"""Forking, the pool, memory and round trips of sandboxes."""
import contextlib
import os
import subprocess
import time
from typing import Dict, Iterator, List

from daemon import RECIPES, Daemon, children
from figures import Figure, Section, timed

RECIPE = "ci-parallel-pytest"
TAG = "bench"
BATCHES = (1, 4, 16, 100)
BOUND_FACTOR = 2.5
BOUND_MS = 10.0
POOL = 4
POOL_DEADLINE = 60.0
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class BareFork:
    """bare_fork.py as a process that is asked for one batch at a time."""

    def __init__(self) -> None:
        here = os.path.dirname(os.path.abspath(__file__))
        recipe = os.path.join(RECIPES, RECIPE)
        beside = {"PYTHONPATH": os.path.join(os.path.dirname(here), "python"), **THREADS}
        self._process = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(here, "bare_fork.py"), recipe],
            cwd=recipe,  # the warm-up script collects the tests that are there
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, **beside),
        )
        if self._read() != "warm":
            raise RuntimeError("the bare interpreter did not get warm")

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def fork(self, n: int) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("%d\n" % n)
        self._process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        self._process.communicate()


@contextlib.contextmanager
def bare_fork() -> Iterator[BareFork]:
    bare = BareFork()
    try:
        yield bare
    finally:
        bare.close()


def batch(daemon: Daemon, tag: str, n: int) -> float:
    """Milliseconds from the request to the reply: by then all n have answered."""
    client = daemon.client()
    client.request("GET", "/healthz")  # connected before the clock starts
    start = time.perf_counter()
    with children(client, tag, n):
        return (time.perf_counter() - start) * 1000


def forks(daemon: Daemon, rounds: int) -> Section:
    section = Section("Fork: from the request until all n children have answered")
    with bare_fork() as bare:
        for n in BATCHES:
            count = rounds if n < 100 else max(3, rounds // 3)
            ours: List[float] = []
            floor: List[float] = []
            batch(daemon, TAG, n)
            bare.fork(n)
            for _ in range(count):  # in turn, so that a busy moment of the machine meets both
                ours.append(batch(daemon, TAG, n))
                floor.append(bare.fork(n))
            reference = section.add(Figure("bare os.fork() x %d" % n, "ms", floor))
            bound = BOUND_FACTOR * reference.median() + BOUND_MS
            figure = Figure("forkd fork n=%d" % n, "ms", ours, reference.name)
            figure.holds = figure.median() <= bound
            figure.bound = "%s: %.1f x bare + %.0f ms = %.1f ms" % (
                "holds" if figure.holds else "BROKEN",
                BOUND_FACTOR,
                BOUND_MS,
                bound,
            )
            section.add(figure)
    return section


def pool(daemon: Daemon, rounds: int) -> Section:
    section = Section("Pool: a batch of %d that are forked ahead" % POOL)
    daemon.snapshot(RECIPE, "bench-pool", "\npool: %d\n" % POOL)
    values = []
    for _ in range(rounds):
        await_parked(daemon, POOL)
        values.append(batch(daemon, "bench-pool", POOL))
    section.add(Figure("forkd fork n=%d from the pool" % POOL, "ms", values))
    daemon.client().request("DELETE", "/v1/snapshots/bench-pool?force=true")
    return section


def await_parked(daemon: Daemon, n: int) -> None:
    deadline = time.monotonic() + POOL_DEADLINE
    while daemon.gauge("forkd_sandboxes_parked") < n:
        if time.monotonic() > deadline:
            raise RuntimeError("the pool is not full after %.0f s" % POOL_DEADLINE)
        time.sleep(0.01)


def private_kib(sandbox_pid: int) -> float:
    """Private memory of every process in the pid namespace of a sandbox's agent."""
    namespace = os.readlink("/proc/%d/ns/pid" % sandbox_pid)
    total = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink("/proc/%s/ns/pid" % name) == namespace:
                total += _private(name)
        except OSError:
            continue  # it ended while we looked
    return float(total)


def _private(pid: str) -> int:
    with open("/proc/%s/smaps_rollup" % pid) as file:
        fields = [line.split() for line in file]
    return sum(int(f[1]) for f in fields if f[0] in ("Private_Clean:", "Private_Dirty:"))


def memory(daemon: Daemon, count: int) -> Section:
    section = Section("Memory: private to one child (agent and all its processes)")
    client = daemon.client()
    with children(client, TAG, count) as ids:
        pids: Dict[str, int] = {
            sandbox: client.request("GET", "/v1/sandboxes/" + sandbox)["pid"] for sandbox in ids
        }
        idle = [private_kib(pid) / 1024 for pid in pids.values()]
        section.add(Figure("idle child, %d at once" % count, "MiB", idle))
        for sandbox in ids:
            client.eval(sandbox, "import numpy; numpy.zeros(5).sum()")
        used = [private_kib(pid) / 1024 for pid in pids.values()]
        section.add(Figure("after an eval with numpy", "MiB", used))
    return section


def round_trips(daemon: Daemon, rounds: int) -> Section:
    section = Section("Round trips over a connection that is kept")
    client = daemon.client()
    with children(client, TAG, 1) as (sandbox,):
        path = "/v1/sandboxes/%s" % sandbox
        evals = {
            "eval 1+1": "1+1",
            "eval numpy.zeros(5).sum()": "numpy.zeros(5).sum()",
        }
        client.eval(sandbox, "import numpy")
        for name, code in evals.items():
            client.eval(sandbox, code)
            values = [timed(lambda code=code: client.eval(sandbox, code)) for _ in range(rounds)]
            section.add(Figure(name, "ms", values))
        runs = {
            "ping": ("ping", {}),
            "call -c pass (a fork of the warm runtime)": ("call", {"code": "pass"}),
            "exec /bin/true (a new process)": ("exec", {"args": ["/bin/true"]}),
        }
        for name, (verb, body) in runs.items():
            values = []
            for _ in range(rounds):
                values.append(timed(lambda: client.request("POST", path + "/" + verb, body)))
            section.add(Figure(name, "ms", values))
    return section

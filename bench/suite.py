"""The demo suite in the usual ways and in forkd; every way must run the same tests."""
import contextlib
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from typing import Callable, Dict, List, NamedTuple, Optional

from containers import Bubblewrap, Crun, Peer
from daemon import RECIPES, Daemon
from figures import Figure, Section
from forks import RECIPE, TAG, THREADS

DIRECTORY = os.path.join(RECIPES, RECIPE)
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
WORKERS = (1, 2, 4, 5)
SLICES = 4
COLD_STRIDE = 3
TIMEOUT = 300.0
COLD = "python3 -m pytest"
CACHED = COLD + ", bytecode of the tests cached"
# Asked of the fan-out: so many times faster than cold.
WITH_SLICES, AT_BEST = 6.0, 8.0


def _demo():
    """The recipe's demo as a module: its plan and its fan-out are what a user gets."""
    spec = importlib.util.spec_from_file_location("demo", os.path.join(DIRECTORY, "demo.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    return module


def environment(bytecode: str = "") -> Dict[str, str]:
    """As in the recipe; compiled tests are kept in `bytecode`, or not at all."""
    more = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPYCACHEPREFIX": bytecode}
    return dict(os.environ, PYTHONDONTWRITEBYTECODE="" if bytecode else "1", **THREADS, **more)


class Checked:
    """Runs commands at the same time and sees that together they ran the whole suite."""

    def __init__(self, demo, expected: Dict[str, int]) -> None:
        self._demo = demo
        self._expected = expected

    def run(
        self, name: str, peer: Peer, slices: List[List[str]], more: List[str], bytecode: str = ""
    ) -> None:
        started = [
            subprocess.Popen(
                peer.command(PYTEST + more + ["tests/" + f for f in files]),
                cwd=DIRECTORY,
                env=environment(bytecode),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                **peer.options(),
            )
            for files in slices
        ]
        outputs = [p.communicate(timeout=TIMEOUT)[0].decode("utf-8", "replace") for p in started]
        ran = [self._demo.Ran([], p.returncode, o, 0) for p, o in zip(started, outputs)]
        self.check(name, ran)

    def fan_out(self, daemon: Daemon, slices: List) -> float:
        """Milliseconds until the last test has ended; the sandboxes are destroyed after that."""
        done = self._demo.fan_out(daemon.client(), TAG, slices)
        self.check("forkd", done.ran)
        return done.total_ms

    def check(self, name: str, ran: List) -> None:
        counts = self._demo.total_counts(ran)
        if any(one.status for one in ran) or counts != self._expected:
            output = "\n".join(one.output for one in ran)
            raise RuntimeError(
                "%s ran %s, not %s:\n%s" % (name, counts, self._expected, output[-2000:])
            )


class Way(NamedTuple):
    """One way of running the suite; the slow ones are run in every `stride`-th round.

    `run` may tell when the tests had ended, in milliseconds: then the rest was clearing up.
    """

    name: str
    run: Callable[[], Optional[float]]
    stride: int
    tests_ms: List[float]
    wall_ms: List[float]
    cpu_ms: List[float]


def suite(daemon: Daemon, rounds: int) -> List[Section]:
    wall = Section("Suite: 32 tests over numpy, pandas and scikit-learn")
    cpu = Section("Suite: CPU time of all processes of the same runs")
    demo = _demo()
    files = demo.suite()
    first = demo.cold(files)
    checked = Checked(demo, first.counts())
    checked.check(COLD, [first])
    # Weights that were measured: the plan that a user's second run gets.
    with demo.children(daemon.client(), TAG, 1) as (ids, _):
        weight = demo.durations(daemon.client(), ids[0], files)
    plan = {n: demo.plan(files, weight, n) for n in WORKERS}
    with contextlib.ExitStack() as peers_alive:
        ways = []
        for name, peer, slices, more in peers(wall, files, [s.files for s in plan[SLICES]]):
            peers_alive.callback(peer.close)
            run = functools.partial(checked.run, name, peer, slices, more)
            ways.append(Way(name, run, COLD_STRIDE, [], [], []))
        bytecode = peers_alive.enter_context(tempfile.TemporaryDirectory())
        cached = functools.partial(checked.run, CACHED, Peer(), [files], [], bytecode)
        ways.insert(1, Way(CACHED, cached, COLD_STRIDE, [], [], []))
        for n in WORKERS:
            run = functools.partial(checked.fan_out, daemon, plan[n])
            ways.append(Way(forkd(n), run, 1, [], [], []))
        take_turns(daemon, ways, rounds)
    for way in ways:
        reference = "" if way.name == COLD else COLD
        wall.add(Figure(way.name, "ms", way.tests_ms or way.wall_ms, reference))
        if way.tests_ms:
            wall.add(Figure(way.name + ", until they are destroyed", "ms", way.wall_ms, COLD))
        if way.name.startswith(Bubblewrap.NAME):
            cpu.skip(way.name + ": it does not wait for its processes, so nobody learns their time")
        else:
            cpu.add(Figure(way.name, "ms", way.cpu_ms, reference))
    judge(wall)
    return [wall, cpu]


def forkd(n: int) -> str:
    return "forkd, %d child%s" % (n, "" if n == 1 else "ren")


def judge(wall: Section) -> None:
    """Holds the figures of forkd against what is asked of them."""
    by_name = {figure.name: figure for figure in wall.figures}
    cold = by_name[COLD].median()
    fan_outs = [by_name[forkd(n)] for n in WORKERS]
    best = min(fan_outs, key=Figure.median)
    for figure, times in ((by_name[forkd(SLICES)], WITH_SLICES), (best, AT_BEST)):
        figure.bound = "%.0f times faster than cold" % times
        figure.holds = cold / figure.median() >= times


def take_turns(daemon: Daemon, ways: List[Way], rounds: int) -> None:
    """A busy moment of the machine meets all ways; the first time of each is not counted."""
    for way in ways:
        way.run()
    for number in range(rounds):
        for way in ways:
            if number % way.stride == 0:
                before = cpu_ms(daemon)
                start = time.perf_counter()
                tests_ms = way.run()
                way.wall_ms.append((time.perf_counter() - start) * 1000)
                way.cpu_ms.append(cpu_ms(daemon) - before)
                if tests_ms is not None:
                    way.tests_ms.append(tests_ms)


def cpu_ms(daemon: Daemon) -> float:
    """CPU time so far of this process, its children that ended, and the daemon with all it made."""
    own = os.times()
    mine = own.user + own.system + own.children_user + own.children_system
    return mine * 1000 + daemon.cpu_ms()


def peers(section: Section, files: List[str], slices: List[List[str]]):
    """Every way without forkd that this machine has: name, peer, slices, more arguments."""
    yield COLD, Peer(), [files], []
    if importlib.util.find_spec("xdist"):
        yield "pytest -n 4 (xdist)", Peer(), [files], ["-p", "xdist.plugin", "-n", "4"]
    else:
        section.skip("pytest -n 4: xdist is not installed (apt-get install python3-pytest-xdist)")
    for kind in (Bubblewrap, Crun):
        if not kind.is_installed():
            section.skip("%s is not installed (apt-get install %s)" % (kind.NAME, kind.NAME))
            continue
        yield "%s, one container" % kind.NAME, kind(DIRECTORY), [files], []
        yield "%s, %d containers in parallel" % (kind.NAME, SLICES), kind(DIRECTORY), slices, []

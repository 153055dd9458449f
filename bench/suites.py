"""`forkd test` on real suites, beside plain pytest, xdist and forks without sandboxes.

Every way must come to the same verdict of every test, or this is an error. The control is
`python3 -m forkd_pytest`: the same collected session, forked in place; what forkd takes more than
it is the price of the sandboxes.
"""
import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple
from xml.etree import ElementTree

import account
from daemon import HOME, RECIPES, Daemon
from figures import Figure, Section

PYTHON = "/usr/bin/python3"
WORKERS = 2
TIMEOUT = 400.0
PLAIN, XDIST = "pytest", "xdist -n %d" % WORKERS
ALONE, COLLECTED, WARM = "forkd --no-daemon", "forkd, collected", "forkd, warm"
CONTROL = "control"


class Suite(NamedTuple):
    """Tests that nobody here wrote, and what has to be installed for them."""

    name: str
    needs: str
    arguments: List[str]


SUITES = (
    Suite("recipe", "sklearn", ["tests"]),
    Suite("sklearn -k test_pipeline", "sklearn", ["--pyargs", "sklearn", "-k", "test_pipeline"]),
    Suite("sklearn.preprocessing", "sklearn", ["--pyargs", "sklearn.preprocessing"]),
    Suite("networkx.classes", "networkx", ["--pyargs", "networkx.classes"]),
    Suite("sympy.core -k test_add", "sympy", ["--pyargs", "sympy.core", "-k", "test_add"]),
)


NAMES = [suite.name for suite in SUITES]


class Taken(NamedTuple):
    """What one run took."""

    wall: float
    cpu: float
    mib: float


def verdicts(path: Path) -> Dict[str, List[str]]:
    found: Dict[str, List[str]] = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        name = "%s::%s" % (case.get("classname"), case.get("name"))
        found.setdefault(name, []).append(kinds[0] if kinds else "passed")
    return found


class Bench:
    """A project directory, a daemon, and the ways to run a suite."""

    def __init__(self, place: Path, daemon: Daemon, cpu: account.Cpu) -> None:
        self.project = place
        (place / "pytest.ini").write_text("[pytest]\n")
        shutil.copytree(os.path.join(RECIPES, "ci-parallel-pytest", "tests"), place / "tests")
        self._junit = place / "junit.xml"
        self._daemon = daemon
        self.cpu = cpu
        self._changes = 0
        forkd = [daemon.command, "test", "-n", str(WORKERS)]
        pytest = [PYTHON, "-m", "pytest"]
        control = [PYTHON, "-m", "forkd_pytest", "-n", str(WORKERS), "--"]
        self.ways: Dict[str, Callable[[List[str], bool], Taken]] = {
            PLAIN: self._way(pytest),
            XDIST: self._way([*pytest, "-n", str(WORKERS)]),
            CONTROL: self._way(control, PYTHONPATH=os.path.join(HOME, "python")),
            ALONE: self._way([*forkd, "--no-daemon", "--"], FORKD_RUN_DIR=str(place / "none")),
            COLLECTED: self._collected([*forkd, "--"]),
            WARM: self._way([*forkd, "--"]),
        }

    def _way(self, command: List[str], **more: str) -> Callable[[List[str], bool], Taken]:
        return lambda suite, memory: self._measure([*command, *suite], more, memory)

    def _collected(self, command: List[str]) -> Callable[[List[str], bool], Taken]:
        def run(suite: List[str], memory: bool) -> Taken:
            self._changes += 1
            (self.project / "changed.txt").write_text(str(self._changes))
            return self._measure([*command, *suite], {}, memory)

        return run

    def _measure(self, command: List[str], more: Dict[str, str], memory: bool) -> Taken:
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        env = {**self._daemon.environment(), **threads, **more}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        self._junit.unlink(missing_ok=True)
        peak = account.Peak([self._daemon.pid()])
        before, began = self.cpu.seconds(), time.monotonic()
        with peak if memory else contextlib.nullcontext():
            done = subprocess.run(
                [*command, "-q", "-p", "no:cacheprovider", "--junitxml=%s" % self._junit],
                cwd=self.project,
                env=env,
                preexec_fn=self.cpu.enter,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
            )
        wall = time.monotonic() - began
        if done.returncode not in (0, 1):
            output = done.stdout.decode("utf-8", "replace")
            raise RuntimeError("%s ended with %d:\n%s" % (command, done.returncode, output[-3000:]))
        account.settle()
        return Taken(wall, self.cpu.seconds() - before, peak.mib)

    def run(self, name: str, suite: Suite, memory: bool, expected: Dict[str, List[str]]) -> Taken:
        """One run; what it came to must be what is expected, or becomes that."""
        taken = self.ways[name](suite.arguments, memory)
        found = verdicts(self._junit)
        if not expected:
            expected.update(found)
        if found != expected:
            both = {*found, *expected}
            names = sorted(key for key in both if found.get(key) != expected.get(key))
            raise RuntimeError("%s: %s: other verdicts: %s" % (suite.name, name, names[:20]))
        return taken


def suites(command: str, rounds: int, only: List[str]) -> Iterator[Section]:
    """A section for each suite, each with a daemon of its own: templates of others take memory."""
    for suite in SUITES:
        if not only or suite.name in only:
            with _bench(command) as bench:
                yield _suite(bench, suite, rounds)


@contextlib.contextmanager
def _bench(command: str) -> Iterator[Bench]:
    cpu = account.Cpu()
    daemon = Daemon(command, cpu.enter)
    # Not below /tmp: every sandbox has one of its own.
    place = Path(tempfile.mkdtemp(prefix="forkd-suites-", dir="/var/lib"))
    place.chmod(0o755)  # what only the host's root may search, a sandbox may not
    try:
        daemon.start()
        cpu.roots.append(daemon.pid())
        yield Bench(place, daemon, cpu)
    finally:
        daemon.stop()
        shutil.rmtree(place)
        cpu.close()


def _suite(bench: Bench, suite: Suite, rounds: int) -> Section:
    section = Section("Suite %s (CPU seconds by %s)" % (suite.name, bench.cpu.kind()))
    ways = list(bench.ways)
    for module, way in ((suite.needs, ""), ("xdist", XDIST)):
        if importlib.util.find_spec(module) is None:
            section.skip("%s %s: %s is not installed" % (suite.name, way, module))
            ways = [name for name in ways if way and name != way]
    taken: Dict[str, List[Taken]] = {name: [] for name in ways}
    expected: Dict[str, List[str]] = {}
    peaks = {name: bench.run(name, suite, True, expected).mib for name in ways}  # not timed
    for _ in range(rounds):
        for name in ways:
            taken[name].append(bench.run(name, suite, False, expected))
    section.title += ", %d tests" % len(expected)
    for what, unit, field in (("wall", "s", 0), ("CPU", "s", 1)):
        figures = {
            name: Figure("%s: %s" % (what, name), unit, [one[field] for one in taken[name]])
            for name in ways
        }
        _compare(figures, what)
        for figure in figures.values():
            section.add(figure)
    for name, mib in peaks.items():
        section.add(Figure("peak memory (Pss): %s" % name, "MiB", [mib]))
    return section


def _compare(figures: Dict[str, Figure], what: str) -> None:
    """References, and the bounds that hold for every suite."""
    reference = XDIST if what == "wall" and XDIST in figures else PLAIN
    for name, figure in figures.items():
        if name != reference:
            figure.reference = "%s: %s" % (what, reference)
    if what == "wall" and reference == XDIST:
        _at_most(figures, COLLECTED, XDIST, 1.0)
        _at_most(figures, WARM, XDIST, 1.0)
    if what == "CPU" and WARM in figures:
        _at_most(figures, WARM, PLAIN, 1.15)


def _at_most(figures: Dict[str, Figure], name: str, other: str, factor: float) -> None:
    limit = factor * figures[other].median()
    figure = figures[name]
    figure.holds = figure.median() <= limit
    word = "holds" if figure.holds else "broken"
    figure.bound = "%s: at most %.2f x %s = %.2f s" % (word, factor, other, limit)

"""`forkd test` on real suites, beside plain pytest, xdist and forks without sandboxes.

    bench/suites.py [--only NAME]... [--rounds N] [--workers N]

Every way must come to the same verdict of every test, or this ends with an error. The control is
`python3 -m forkd_pytest`: the same collected session, forked in place, without isolation; what
forkd takes more than it is the price of the sandboxes; its CPU seconds lack those of its workers,
which it does not wait for. Else they are those of the whole process tree; forkd's are read from
/proc of its daemon and everything below it.
"""
import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple
from xml.etree import ElementTree

HOME = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
RECIPE = HOME / "recipes" / "ci-parallel-pytest" / "tests"
SUITES: Dict[str, List[str]] = {
    "recipe": ["tests"],
    "sklearn -k test_pipeline": ["--pyargs", "sklearn", "-k", "test_pipeline"],
    "sklearn.preprocessing": ["--pyargs", "sklearn.preprocessing"],
    "networkx.classes": ["--pyargs", "networkx.classes"],
    "sympy.core -k test_add": ["--pyargs", "sympy.core", "-k", "test_add"],
}
TICKS = os.sysconf("SC_CLK_TCK")


class Taken(NamedTuple):
    """What one run took."""

    wall: float
    cpu: float


def verdicts(path: Path) -> Dict[str, List[str]]:
    found: Dict[str, List[str]] = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        name = "%s::%s" % (case.get("classname"), case.get("name"))
        found.setdefault(name, []).append(kinds[0] if kinds else "passed")
    return found


def tree(root: int) -> float:
    """CPU seconds of a process, all below it, and those of them that have ended."""
    parents: Dict[int, int] = {}
    spent: Dict[int, float] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry)] = int(fields[1])
            spent[int(entry)] = sum(map(int, fields[11:15])) / TICKS
    total = 0.0
    for pid in spent:
        at = pid
        while at not in (0, root):
            at = parents.get(at, 0)
        total += spent[pid] if at == root else 0.0
    return total


class Bench:
    """A project directory, a daemon, and the ways to run a suite."""

    def __init__(self, place: Path, workers: int) -> None:
        self.project = place / "project"
        self.project.mkdir()
        (self.project / "pytest.ini").write_text("[pytest]\n")
        shutil.copytree(RECIPE, self.project / "tests")
        self.workers = workers
        self.junit = self.project / "junit.xml"
        self.env = dict(
            os.environ,
            FORKD_STATE_DIR=str(place / "state"),
            FORKD_BIND="none",
            OMP_NUM_THREADS="1",
            OPENBLAS_NUM_THREADS="1",
        )
        self.env.pop("PYTHONDONTWRITEBYTECODE", None)

    def pytest(self, *more: str) -> List[str]:
        return [PYTHON, "-m", "pytest", *more]

    def measure(self, command: List[str], suite: List[str], daemon: int = 0) -> Taken:
        common = ["-q", "-p", "no:cacheprovider", "--junitxml=%s" % self.junit]
        env = dict(self.env)
        if "forkd_pytest" in command:
            env["PYTHONPATH"] = str(HOME / "python")
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        before = usage.ru_utime + usage.ru_stime
        served = tree(daemon) if daemon else 0.0
        began = time.monotonic()
        done = subprocess.run(
            [*command, *common, *suite],
            cwd=self.project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=580,
        )
        wall = time.monotonic() - began
        if done.returncode not in (0, 1):
            raise SystemExit(done.stdout.decode("utf-8", "replace"))
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = usage.ru_utime + usage.ru_stime - before
        return Taken(wall, cpu + (tree(daemon) - served if daemon else 0.0))

    def forkd(self, *args: str) -> List[str]:
        return [str(HOME / "forkd"), "test", "-n", str(self.workers), *args, "--"]

    def daemon(self) -> int:
        subprocess.run([HOME / "forkd", "images"], env=self.env, check=True, stdout=-3, stderr=-3)
        place = Path(self.env["FORKD_STATE_DIR"], "run", "daemon.pid")
        return int(place.read_text().split()[0])

    def suite(self, arguments: List[str], rounds: int) -> Dict[str, List[Taken]]:
        daemon = self.daemon()
        ways: List[Tuple[str, List[str], int]] = [
            ("pytest", self.pytest(), 0),
            ("xdist", self.pytest("-n", str(self.workers)), 0),
            ("control", [PYTHON, "-m", "forkd_pytest", "-n", str(self.workers), "--"], 0),
            ("forkd, collected", self.forkd(), daemon),
            ("forkd, warm", self.forkd(), daemon),
        ]
        taken: Dict[str, List[Taken]] = {name: [] for name, _, _ in ways}
        expected: Dict[str, List[str]] = {}
        for number in range(rounds):
            (self.project / "changed.txt").write_text(str(number))  # so it is collected anew
            for name, command, pid in ways:
                self.junit.unlink(missing_ok=True)
                taken[name].append(self.measure(command, arguments, pid))
                found = verdicts(self.junit)
                expected = expected or found
                if found != expected:
                    both = {*found, *expected}
                    names = sorted(k for k in both if found.get(k) != expected.get(k))
                    raise SystemExit("%s: other verdicts than pytest: %s" % (name, names[:20]))
        taken["tests"] = [Taken(len(expected), 0.0)]
        return taken


def row(suite: str, taken: Dict[str, List[Taken]]) -> str:
    cells = [suite, "%d" % taken.pop("tests")[0].wall]
    for times in taken.values():
        wall = statistics.median(one.wall for one in times)
        cpu = statistics.median(one.cpu for one in times)
        cells.append("%.1f / %.1f" % (wall, cpu))
    return "| %s |" % " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(SUITES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="forkd-suites-", dir="/var/lib"))
    place.chmod(0o755)  # what only the host's root may search, a sandbox may not
    bench = Bench(place, asked.workers)
    print("load before: %.1f %.1f %.1f" % os.getloadavg())
    print("| suite | tests | pytest | xdist | control | forkd, collected | forkd, warm |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    results = {}
    try:
        for name in asked.only or SUITES:
            results[name] = bench.suite(SUITES[name], asked.rounds)
            print(row(name, dict(results[name])), flush=True)
        print("load after: %.1f %.1f %.1f" % os.getloadavg())
        print(json.dumps(results))
    finally:
        subprocess.run([HOME / "forkd", "stop"], env=bench.env, stdout=-3, stderr=-3)
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())

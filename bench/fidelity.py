"""Verdicts of `forkd test` with 1, 2 and 4 workers beside those of a plain pytest, id by id.

    python3 bench/fidelity.py [--only NAME]... [--path DIR]

Suites are those of installed Debian packages; `--path` is added to PYTHONPATH (hypothesis, which
tests of pandas need, may be unpacked there). Exit code 1: some verdict differs. Verdicts are
pytest's own words, xfailed and xpassed included.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

import suites
from daemon import HOME, Daemon

PANDAS = "/usr/lib/python3/dist-packages/pandas"
IN_PANDAS = ["--rootdir=" + PANDAS, "--confcutdir=" + PANDAS]
SUITES: Dict[str, List[str]] = {
    "sklearn.preprocessing": ["--pyargs", "sklearn.preprocessing"],
    "sklearn.linear_model": ["--pyargs", "sklearn.linear_model.tests.test_ridge"],
    "networkx.classes": ["--pyargs", "networkx.classes"],
    "networkx.algorithms.tree": ["--pyargs", "networkx.algorithms.tree"],
    "sympy.core": ["--pyargs", "sympy.core", "-k", "not test_args"],
    "sympy.logic": ["--pyargs", "sympy.logic", "sympy.sets"],
    "numpy.lib": ["--pyargs", "numpy.lib", "-m", "not slow"],
    "scipy.spatial": ["--pyargs", "scipy.spatial"],
    "pandas.frame.indexing": [*IN_PANDAS, PANDAS + "/tests/frame/indexing"],
    "pandas.groupby": [*IN_PANDAS, PANDAS + "/tests/groupby/aggregate"],
    "pandas.io.json": [*IN_PANDAS, PANDAS + "/tests/io/json"],
}
PLUGIN = """
import json, os
_told = {}

def pytest_runtest_logreport(report):
    word = (report.when, report.outcome, hasattr(report, "wasxfail"))
    _told.setdefault(report.nodeid, []).append(word)

def pytest_sessionfinish(session):
    if getattr(session.config, "workerinput", None) is None:
        with open("told.json", "w", encoding="utf-8") as file:
            json.dump(_told, file)
"""


def told(place: Path, command: List[str], env: Dict[str, str]) -> Dict[str, object]:
    path = place / "told.json"
    path.unlink(missing_ok=True)
    done = subprocess.run(
        [*command, "-q", "-p", "no:cacheprovider", "-p", "told"],
        cwd=place,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=590,
    )
    if done.returncode not in (0, 1) or not path.exists():
        raise SystemExit("%s:\n%s" % (command, done.stdout.decode("utf-8", "replace")[-3000:]))
    return json.loads(path.read_text(encoding="utf-8"))


def compare(name: str, place: Path, command: str, env: Dict[str, str]) -> int:
    """Differences, printed as a row and a line for each."""
    arguments = SUITES[name]
    expected = told(place, [suites.PYTHON, "-m", "pytest", *arguments], env)
    differ: Dict[str, List[str]] = {}
    for workers in ("1", "2", "4"):
        found = told(place, [command, "test", "-n", workers, "--", *arguments], env)
        for nodeid in {*expected, *found}:
            if expected.get(nodeid) != found.get(nodeid):
                line = "n=%s: %s, plain %s" % (workers, found.get(nodeid), expected.get(nodeid))
                differ.setdefault(nodeid, []).append(line)
    print("| %s | %d | %d |" % (name, len(expected), len(differ)), flush=True)
    for nodeid, lines in sorted(differ.items()):
        print("  %s\n    %s" % (nodeid, "\n    ".join(lines)), flush=True)
    return len(differ)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(SUITES))
    parser.add_argument("--path", default="")
    asked = parser.parse_args()
    daemon = Daemon(os.path.join(HOME, "forkd"))
    place = Path(tempfile.mkdtemp(prefix="forkd-fidelity-", dir="/var/lib"))
    place.chmod(0o755)
    (place / "pytest.ini").write_text("[pytest]\n")
    (place / "told.py").write_text(PLUGIN)
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    path = os.pathsep.join(part for part in (str(place), asked.path) if part)
    env = {**os.environ, **daemon.environment(), **threads, "PYTHONPATH": path}
    differences = 0
    try:
        daemon.start()
        print("| suite | tests | differ |\n|---|---:|---:|", flush=True)
        for name in asked.only or SUITES:
            differences += compare(name, place, daemon.command, env)
    finally:
        daemon.stop()
        shutil.rmtree(place)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

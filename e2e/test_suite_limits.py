"""`forkd test`: memory of a test, seeds, coverage: what one test must not change for another."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest
from conftest import Installation
from suites import project, run  # noqa: F401 (project: a fixture)

COVERED = {
    "pkg/__init__.py": "import sys\nNAME = 'three' if sys.version_info > (3,) else 'two'\n",
    "pkg/work.py": """
def grade(n):
    if n > 90:
        return "a"
    elif n > 50:
        return "b"
    for number in range(n):
        if number > 10:
            break
    else:
        return "z"
    return "c"

def unused():
    return 1
""",
    "test_a.py": """
import pytest
from pkg.work import grade

@pytest.mark.parametrize("n", [95, 60, 5, 30])
def test_grade(n): assert grade(n)
""",
    "test_b.py": "import pkg.work\ndef test_b(): pkg.work.grade(3)\n",
    "pytest.ini": "[pytest]\n",
}


def rows(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_out_of_memory_is_one_verdict(installation: Installation, rest, project: Path) -> None:
    (project / "test_memory.py").write_text(
        "def test_before(): pass\n"
        "def test_takes_all():\n"
        "    taken = []\n"
        "    while True:\n"
        "        taken.append(bytearray(b'x' * (8 << 20)))\n"
        "def test_after(): pass\n"
    )
    lines = project / "lines.jsonl"
    options = ("-n", "1", "--memory", "256", "--json-lines", str(lines))
    done = run(installation, project, *options)
    assert done.returncode == 1, done.stderr
    assert {row["id"].partition("::")[2]: row["verdict"] for row in rows(lines)} == {
        "test_before": "passed",
        "test_takes_all": "crashed",
        "test_after": "passed",
    }
    assert b"killed by SIGKILL in call" in done.stdout
    assert b"out of memory: a worker may have 256 MiB" in done.stdout
    assert b"peak memory 2" in done.stdout


SEEDED = """
import random, numpy, pathlib, pytest

@pytest.mark.parametrize("n", range(6))
def test_draw(n, record_property):
    record_property("drawn", "%.9f %.9f" % (random.random(), numpy.random.random()))
"""


def drawn(path: Path) -> Dict[str, str]:
    from xml.etree import ElementTree

    return {
        str(case.get("name")): str(case.find("properties/property").get("value"))  # type: ignore
        for case in ElementTree.parse(path).getroot().iter("testcase")
    }


def test_seeds_do_not_depend_on_order_or_number(
    installation: Installation, rest, project: Path
) -> None:
    (project / "test_seeded.py").write_text(SEEDED)
    junit = project / "junit.xml"
    seen = []
    for options, seed in (("-n1", "7"), ("-n3", "7"), ("--isolate=test", "7"), ("-n1", "8")):
        done = run(installation, project, options, "--by=test", "--seed", seed, "--",
                     "--junitxml=%s" % junit)  # fmt: skip
        assert done.returncode == 0, done.stderr
        seen.append(drawn(junit))
    assert seen[0] == seen[1] == seen[2] != seen[3]
    assert len(set(seen[0].values())) == 6


def covered(project: Path) -> Dict[str, Any]:
    subprocess.run(
        ["/usr/bin/python3", "-m", "coverage", "json", "-q", "-o", "coverage.json"],
        cwd=project,
        check=True,
    )
    files = json.loads((project / "coverage.json").read_text())["files"]
    os.remove(project / ".coverage")
    return files


@pytest.mark.parametrize("branch", [[], ["--cov-branch"]])
def test_coverage_is_that_of_a_plain_run(
    installation: Installation, rest, project: Path, branch: List[str]
) -> None:
    (project / "pkg").mkdir()
    for name, text in COVERED.items():
        (project / name).write_text(text)
    args = ["-q", "-p", "no:cacheprovider", "--cov=pkg", "--cov-report=term", *branch]
    plain = subprocess.run(
        ["/usr/bin/python3", "-m", "pytest", *args], cwd=project, capture_output=True
    )
    assert plain.returncode == 0, plain.stdout
    expected = covered(project)
    for workers in ("1", "2", "3"):
        done = run(installation, project, "-n", workers, "--by", "test", "--", *args)
        assert done.returncode == 0, done.stdout + done.stderr
        assert covered(project) == expected
    told = [line for line in plain.stdout.splitlines() if line.startswith((b"pkg", b"TOTAL"))]
    assert all(line in done.stdout for line in told) and len(told) == 3

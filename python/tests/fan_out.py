"""Runs suites through forkd_pytest with local forks, and through plain pytest, for comparison."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple
from xml.etree import ElementTree

PYTHON = Path(__file__).resolve().parents[1]


class Outcome(NamedTuple):
    """What a run came to."""

    code: int
    out: str
    err: str
    verdicts: Dict[str, List[str]]  # by name of the test: all that JUnit says of it


def environment() -> Dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return {**env, "PYTHONPATH": str(PYTHON), "PYTHONDONTWRITEBYTECODE": "1"}


def fork(project: Path, *args: str, workers: int = 2, **settings: object) -> Outcome:
    """The suite in forks of one collected session."""
    code = (
        "import json, os, sys\n"
        "from forkd_pytest import controller, parent\n"
        "from forkd_pytest.link import LocalLink\n"
        "parent.collect(sys.argv[2:])\n"
        "held = parent.held()\n"
        "if not isinstance(held, parent.Held):\n"
        "    os.execv(sys.executable, [sys.executable, '-m', 'pytest', *sys.argv[2:]])\n"
        "code = controller.run(LocalLink(json.loads(sys.argv[1])), held)\n"
        "sys.stderr.flush()\n"
        "os._exit(code)\n"
    )
    wanted = json.dumps({"workers": workers, "fixed": True, **settings})
    return _run(project, [sys.executable, "-c", code, wanted], args)


def plain(project: Path, *args: str) -> Outcome:
    """The suite in pytest as it is."""
    return _run(project, [sys.executable, "-m", "pytest"], args)


def _run(project: Path, command: List[str], args: "tuple[str, ...]") -> Outcome:
    junit = project / "junit.xml"
    if junit.exists():
        junit.unlink()
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--junitxml=%s" % junit, *args],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=120,
        text=True,
        errors="replace",
    )
    return Outcome(done.returncode, done.stdout, done.stderr, verdicts(junit))


def verdicts(junit: Path) -> Dict[str, List[str]]:
    found: Dict[str, List[str]] = {}
    if not junit.exists():
        return found
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        name = "%s::%s" % (case.get("classname"), case.get("name"))
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found.setdefault(name, []).append(kinds[0] if kinds else "passed")
    return found


def project(directory: Path, **files: str) -> Path:
    """A project of those modules; `conftest="..."` is conftest.py."""
    (directory / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        (directory / (name + ".py")).write_text(text)
    return directory

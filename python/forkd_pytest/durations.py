"""How long tests took, kept in `.forkd/durations.json` below the root directory.

Also read: pytest-split's `.test_durations`, and a JUnit file.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, Optional
from xml.etree import ElementTree

FILE = ".forkd/durations.json"
IGNORE_FILE = ".forkd/.gitignore"
IGNORE = b"# made by forkd: what it knows of this machine's test runs\n*\n"
SPLIT_FILE = ".test_durations"
_VERSION = 1
_WEIGHT = 0.5  # of the newest of several times
_KEPT_RUNS = 30  # a test that has not been seen for so many runs is forgotten


class Durations:
    """Seconds by node id."""

    def __init__(self, data: Optional[bytes]) -> None:
        self._run = 0
        self._tests: Dict[str, Any] = {}
        try:
            known = json.loads(data.decode("utf-8")) if data else {}
            if isinstance(known, dict) and known.get("version") == _VERSION:
                self._run = int(known["run"])
                self._tests = {
                    str(name): [float(row[0]), int(row[1])]
                    for name, row in known["tests"].items()
                }
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            self._run, self._tests = 0, {}  # damaged: it is a cache, and begins anew

    def seconds(self) -> Dict[str, float]:
        return {name: row[0] for name, row in self._tests.items()}

    def learn(self, others: Mapping[str, float]) -> None:
        """Takes what is not known yet."""
        for name, seconds in others.items():
            self._tests.setdefault(name, [seconds, self._run])

    def update(self, measured: Mapping[str, float]) -> None:
        """After a run."""
        self._run += 1
        for name, seconds in measured.items():
            old = self._tests.get(name)
            value = seconds if old is None else old[0] + _WEIGHT * (seconds - old[0])
            self._tests[name] = [round(value, 4), self._run]
        oldest = self._run - _KEPT_RUNS
        self._tests = {name: row for name, row in self._tests.items() if row[1] > oldest}

    def text(self) -> str:
        """The file's content."""
        known = {"version": _VERSION, "run": self._run, "tests": self._tests}
        return json.dumps(known, indent=0, sort_keys=True) + "\n"


def of_split(data: bytes) -> Dict[str, float]:
    """pytest-split's file: an object of seconds, or (older) a list of pairs."""
    try:
        known = json.loads(data.decode("utf-8"))
        pairs = known.items() if isinstance(known, dict) else known
        return {str(name): float(seconds) for name, seconds in pairs}
    except (ValueError, TypeError):
        return {}


def of_junit(data: bytes) -> Dict[str, float]:
    """A JUnit file as pytest writes it: the node id from `file` (xunit1) or `classname`."""
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError:
        return {}
    found: Dict[str, float] = {}
    for case in root.iter("testcase"):
        parts = case.get("classname", "").split(".")
        file = case.get("file") or ""
        classes = parts[len(file[:-3].split("/")) :] if file else []
        if not file:
            at = next((i for i, p in enumerate(parts) if p[:1].isupper()), len(parts))
            file, classes = "/".join(parts[:at]) + ".py", parts[at:]
        name = "::".join([file, *classes, case.get("name", "")])
        try:
            found[name] = found.get(name, 0.0) + float(case.get("time", "0"))
        except ValueError:
            continue
    return found

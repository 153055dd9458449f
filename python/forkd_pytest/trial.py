"""`forkd test --try`: a plain pytest, then forks, and every difference explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional

from forkd_pytest.dispatch import Dispatch
from forkd_pytest.journal import verdict
from forkd_pytest.lab import Lab
from forkd_pytest.link import Link
from forkd_pytest.options import Options

_EXPLAINED = 10  # differences that are looked into: each takes runs of its own
# As text: files of forkd are not seen in a sandbox.
_WITNESS = """
import json, os
_told = {}

def pytest_runtest_logreport(report):
    outcome = (report.when, report.outcome, hasattr(report, "wasxfail"))
    _told.setdefault(report.nodeid, []).append(outcome)

def pytest_sessionfinish():
    with open(os.environ["FORKD_WITNESS"], "w", encoding="utf-8") as file:
        json.dump(_told, file)
"""
ANYWHERE = (
    "it differs in every fork: look for what it sees there: a /tmp, a network and processes of "
    "its own, no terminal, PYTEST_XDIST_WORKER, random state of collection"
)
NEEDS = (
    "it needs what tests before it leave behind: keep them together with xdist_group or --by file"
)
ORDER = "it depends on what ran before it in its worker, or on chance: --bisect it, --grind it"


class _Outcome:
    """As much of a report as its verdict takes."""

    def __init__(self, when: str, outcome: str, expected_to_fail: bool) -> None:
        self.when = when
        self.outcome = outcome
        self.failed, self.skipped = outcome == "failed", outcome == "skipped"
        self.user_properties: List[Any] = []
        if expected_to_fail:
            self.wasxfail = ""


class Plain(NamedTuple):
    """What a plain pytest came to."""

    code: int
    seconds: float
    verdicts: Dict[str, str]
    tail: str


def plain(args: List[str]) -> Plain:
    """Runs one in this sandbox, cold and alone."""
    with tempfile.TemporaryDirectory() as directory:
        told = os.path.join(directory, "verdicts")
        with open(os.path.join(directory, "forkd_witness.py"), "w", encoding="utf-8") as file:
            file.write(_WITNESS)
        path = os.pathsep.join(p for p in (directory, os.environ.get("PYTHONPATH", "")) if p)
        env = {**os.environ, "FORKD_WITNESS": told, "PYTHONPATH": path, "FORKD_COLD": "1"}
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "forkd_witness", *args],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        seconds = time.monotonic() - began
        verdicts: Dict[str, str] = {}
        if os.path.exists(told):
            with open(told, encoding="utf-8") as file:
                for nodeid, outcomes in json.load(file).items():
                    verdicts[nodeid] = verdict([_Outcome(*one) for one in outcomes])
        tail = done.stdout[-2000:].decode("utf-8", "replace")
        return Plain(done.returncode, seconds, verdicts, tail)


class Trial:
    """One comparison."""

    def __init__(self, session: Any, link: Link, options: Options) -> None:
        self._session = session
        self._link = link
        self._options = options
        self.dispatch = Dispatch(session, link, options)
        self._lab: Optional[Lab] = None

    def run(self, args: List[str]) -> None:
        """Both ways; the session's results are those of forks."""
        self._say("a plain pytest first")
        known = plain(args)
        began = time.monotonic()
        try:
            self.dispatch.run()
        finally:
            self._compare(known, time.monotonic() - began)

    def _compare(self, known: Plain, seconds: float) -> None:
        found = self.dispatch.journal.verdicts()
        self._link.show("\n")  # the line of dots has not ended
        self._say(
            "plain pytest: %d tests, exit code %d, %.1f s; forks: %d tests, %.1f s"
            % (len(known.verdicts), known.code, known.seconds, len(found), seconds)
        )
        differing = sorted(
            nodeid
            for nodeid in {*found, *known.verdicts}
            if found.get(nodeid) != known.verdicts.get(nodeid)
        )
        if not differing:
            self._say("the same verdict of every test")
            return
        if not known.verdicts:
            self._say("plain pytest did not come to its end:\n%s" % known.tail)
        for nodeid in differing[:_EXPLAINED]:
            before, now = known.verdicts.get(nodeid), found.get(nodeid)
            self._say("%s: plain %s, forks %s" % (nodeid, before or "not run", now or "not run"))
            self._say("  " + self._why(nodeid, before, now))
        if len(differing) > _EXPLAINED:
            self._say("and %d more that differ" % (len(differing) - _EXPLAINED))

    def _why(self, nodeid: str, before: Optional[str], now: Optional[str]) -> str:
        if before is None:
            return "plain pytest ended before it"
        if now is None:
            return "the run ended before it"
        index = [item.nodeid for item in self._session.items].index(nodeid)
        alone = self._verdict([index], "test")
        after = self._verdict(list(range(index + 1)), "child")
        return explain(before, alone, after)

    def _verdict(self, indices: List[int], isolate: str) -> Optional[str]:
        if self._lab is None:
            made = self.dispatch.made()
            self._lab = Lab(self._session, self._link, self._options, made)
        results = dict(self._lab.results([indices], isolate))
        return verdict(results[indices[-1]]) if indices[-1] in results else None

    def _say(self, text: str) -> None:
        self._link.show("forkd try: %s\n" % text)


def explain(before: str, alone: Optional[str], after: Optional[str]) -> str:
    """Why a test does not do as in a plain run: by what it did alone in a fresh fork, and in one
    worker after all tests that come before it."""
    if alone == before:
        return ORDER
    return NEEDS if after == before else ANYWHERE

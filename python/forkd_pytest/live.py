"""What a person at a terminal sees while tests run: a bar with what runs now, failures at once.

The host draws; this side tells it what, a few times a second. pytest's dots would move below a bar,
so they are left out where there is one; its lines (-v) stay.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Dict, Iterable, Iterator, List, Tuple

import pytest

from forkd_pytest.crew import Worker
from forkd_pytest.link import Link
from forkd_pytest.options import Options

_EVERY = 0.15  # seconds between two messages
_SHOWN = 16  # tests that run; the host shows what fits


class _Dots:
    """The plugin that takes the place of pytest's dots while a verdict is replayed."""

    def __init__(self) -> None:
        self.hidden = False

    @pytest.hookimpl(hookwrapper=True)
    def pytest_report_teststatus(self) -> Iterator[None]:
        outcome = yield
        if self.hidden:
            category, _, _ = outcome.get_result()  # type: ignore[attr-defined]
            outcome.force_result((category, "", ""))  # type: ignore[attr-defined]


class Live:
    """One run. Does nothing where the host wants no display, or another plugin has one."""

    def __init__(self, session: Any, link: Link, options: Options) -> None:
        config = session.config
        reporter = config.pluginmanager.getplugin("terminalreporter")
        self._session = session
        self._link = link
        self._dots = _Dots()
        self._on = options.display and type(reporter).__module__ == "_pytest.terminal"
        self._quiet = self._on and config.option.verbose <= 0  # pytest has no line for a test
        self._markup = bool(self._on and reporter._tw.hasmarkup)
        if self._quiet:
            reporter.showfspath = False
            reporter._show_progress_info = False
            config.pluginmanager.register(self._dots, "forkd_dots")
        self._remaining: Dict[int, float] = {}
        self._expected = 0.0  # of the tests that are done: as estimated, and as they were
        self._took = 0.0
        self._total = 0
        self._failed = 0
        self._began: Dict[int, Tuple[int, float]] = {}  # by worker: its item, and since when
        self._told = 0.0

    def begin(self, estimates: Dict[int, float]) -> None:
        """Seconds that each test of the run is likely to take."""
        self._remaining = dict(estimates)
        self._total = len(estimates)

    @contextlib.contextmanager
    def verdict(self, index: int, reports: List[Any]) -> Iterator[None]:
        """Around the replay of a test's reports."""
        self._dots.hidden = self._quiet
        try:
            yield
        finally:
            self._dots.hidden = False
            self._expected += self._remaining.pop(index, 0.0)
            self._took += sum(report.duration for report in reports)
            failed = [report for report in reports if report.outcome == "failed"]
            self._failed += bool(failed)
            if failed and self._quiet:
                self._link.show(self._line(failed[0]))

    def _line(self, report: Any) -> str:
        word = "FAILED" if report.when == "call" else "ERROR"
        if self._markup:
            word = "\033[31m%s\033[0m" % word
        lines = _reason(report).splitlines()
        return "%s %s%s\n" % (word, report.nodeid, " - " + lines[0] if lines else "")

    def tell(self, workers: Iterable[Worker]) -> None:
        """To the host, when it is time."""
        now = time.monotonic()
        if not self._on or now - self._told < _EVERY:
            return
        self._told = now
        running = self._running(workers, now)
        self._link.status({
            "done": self._total - len(self._remaining),
            "total": self._total,
            "failed": self._failed,
            "left": round(self._left(running, len(running)), 1),
            "running": [
                [self._session.items[index].nodeid, round(since, 1)]
                for index, since in running[:_SHOWN]
            ],
        })

    def _running(self, workers: Iterable[Worker], now: float) -> List[Tuple[int, float]]:
        """Items and for how long, the longest first."""
        began = {}
        for worker in workers:
            if worker.sent:
                index = worker.sent[0]
                known = self._began.get(worker.number)
                began[worker.number] = known if known and known[0] == index else (index, now)
        self._began = began
        return sorted(
            ((index, now - since) for index, since in began.values()), key=lambda one: -one[1]
        )

    def _left(self, running: List[Tuple[int, float]], workers: int) -> float:
        """Seconds: no less than what the longest test that is left takes. Estimates, which are
        guesses in the first run, are corrected by what came of them so far."""
        factor = self._took / self._expected if self._expected else 1.0
        left = {index: seconds * factor for index, seconds in self._remaining.items()}
        for index, since in running:
            if index in left:
                left[index] = max(0.0, left[index] - since)
        return max(sum(left.values()) / max(1, workers), max(left.values(), default=0.0))

    def end(self) -> None:
        """Takes the bar away."""
        if self._on:
            self._link.status({})
            self._on = False


def _reason(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr or "")

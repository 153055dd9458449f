"""Second chances: failures that may be flaky, and crashes that are to be confirmed alone."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from forkd_pytest.options import Options

_CONFIRMED_MOST = 20  # crashes that are run again: past that, the machine is the matter
_MOST = 200  # failures that are run again in one run


class _First(NamedTuple):
    """What came of an item before it is run again."""

    reports: List[Any]
    worker: int
    crashed: bool


class Retries:
    """Holds verdicts back until they are final. Iterating gives what to run, round by round."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._first: Dict[int, _First] = {}
        self._open: List[int] = []
        self._last: Dict[int, _First] = {}
        self._attempts: Dict[int, int] = {}
        self.rounds = 0

    def wanted(self) -> bool:
        return bool(self._open)

    def take(self, index: int, reports: List[Any], worker: int, crashed: bool) -> bool:
        """Whether the verdict waits."""
        failed = any(report.outcome == "failed" for report in reports)
        result = _First(reports, worker, crashed)
        if index in self._first:
            self._last[index] = result
            self._attempts[index] += 1
            if failed and self._attempts[index] < self._limit(index):
                self._open.append(index)
            return True
        if not failed or not self._is_for_again(crashed):
            return False
        self._first[index] = result
        self._attempts[index] = 0
        self._open.append(index)
        return True

    def _is_for_again(self, crashed: bool) -> bool:
        if self._options.retries:
            return len(self._first) < _MOST
        return crashed and len(self._first) < _CONFIRMED_MOST

    def _limit(self, index: int) -> int:
        return self._options.retries or 1

    def __iter__(self) -> Iterator[List[int]]:
        while self._open:
            batch, self._open = sorted(self._open), []
            self.rounds += 1
            yield batch

    def verdicts(self, replayer: Any) -> Iterator[Tuple[int, List[Any], int]]:
        """What is final now."""
        for index, first in sorted(self._first.items()):
            last = self._last.get(index)
            if last is None:
                yield index, first.reports, first.worker
                continue
            again = any(report.outcome == "failed" for report in last.reports)
            if first.crashed and not self._options.retries:
                note = "crashed again" if again else "did not crash when it was run alone"
                _note(first.reports, "Run again in a fresh fork, alone: %s." % note)
                yield index, first.reports, first.worker
            elif again or self._options.flaky == "fail":
                final = last if again else first
                tries = self._attempts[index] + 1
                _note(final.reports, "Failed in %d attempts." % (tries if again else tries - 1))
                yield index, final.reports, final.worker
            else:
                for report in last.reports:
                    report.user_properties.append(("forkd_flaky", self._attempts[index] + 1))
                yield index, last.reports, last.worker


def _note(reports: List[Any], text: str) -> None:
    for report in reports:
        if report.outcome == "failed":
            report.sections.append(("forkd", text))

"""One test many times, or the test that poisons another: questions that cheap forks answer.

Both run in forks of the collected state, so no run sees what an earlier one left behind.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence

Probe = Callable[[Sequence[int]], bool]
_SHOWN = 3  # failures of a grind that are shown in full


def find(session: Any, nodeid: str) -> Optional[int]:
    """The index of an item, by its id or the end of it."""
    ids = [item.nodeid for item in session.items]
    if nodeid in ids:
        return ids.index(nodeid)
    ends = [index for index, known in enumerate(ids) if known.endswith(nodeid)]
    return ends[0] if len(ends) == 1 else None


def bisect(before: Sequence[int], fails_after: Probe) -> Optional[List[int]]:
    """The fewest items found that make a test fail when they run before it; None when even all
    of them do not. Delta debugging: about n log n probes at worst, log n for a single culprit."""
    suspects = list(before)
    if not fails_after(suspects):
        return None
    parts = 2
    while len(suspects) > 1:
        size = -(-len(suspects) // parts)
        pieces = [suspects[at : at + size] for at in range(0, len(suspects), size)]
        smaller = next((piece for piece in pieces if fails_after(piece)), None)
        if smaller is None and parts > 2:
            rests = [[i for i in suspects if i not in piece] for piece in pieces]
            smaller = next((rest for rest in rests if fails_after(rest)), None)
        if smaller is not None:
            suspects, parts = smaller, 2
        elif size == 1:
            break
        else:
            parts = min(len(suspects), parts * 2)
    return suspects


class Tally:
    """What came of the runs of a grind."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.passed = 0
        self.failed: List[List[Any]] = []

    def add(self, reports: List[Any]) -> None:
        if any(report.outcome == "failed" for report in reports):
            self.failed.append(reports)
        else:
            self.passed += 1

    def done(self) -> int:
        return self.passed + len(self.failed)

    def text(self, nodeid: str) -> str:
        return "grind: %s: %d of %d runs failed" % (nodeid, len(self.failed), self.times)

    def shown(self) -> List[List[Any]]:
        return self.failed[:_SHOWN]

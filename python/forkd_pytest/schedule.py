"""Which worker runs what next. Pure: no clock, no pipes.

Units are runs of items that belong together. They are handed out longest first, those that failed
last time before all others, and cut as the work runs out, so that workers end together.
"""

from __future__ import annotations

import collections
from typing import Deque, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set

UNKNOWN = 0.01  # seconds that a test is taken to last when none of the suite has been timed
_AHEAD = 0.2  # seconds of work that a worker holds besides the item that it runs


class Item(NamedTuple):
    """What scheduling knows of a collected item."""

    index: int
    unit: str  # items with the same text, one after the other, are one unit
    splittable: bool  # whether a unit of several workers is allowed
    seconds: Optional[float]  # as recorded; None: never timed
    failed: bool  # the last time that it ran
    locks: Sequence[str] = ()  # no two items with a lock in common run at the same time
    together: bool = False  # all items with this unit's name, wherever they are, are one unit


class Unit:
    """Items that go to one worker in order."""

    def __init__(self, items: List[Item], estimates: Dict[int, float]) -> None:
        self.items = items
        self.indices = [item.index for item in items]  # all, whatever was handed out
        self.estimates = estimates
        self.locks: Set[str] = {lock for item in items for lock in item.locks}
        self.failed = any(item.failed for item in items)
        self.splittable = all(item.splittable for item in items)

    @property
    def seconds(self) -> float:
        return sum(self.estimates[item.index] for item in self.items)

    def take(self, seconds: float) -> List[int]:
        """The first items, as many as fit, at least one; all of what must not be split."""
        if not self.splittable:
            taken, self.items = self.items, []
            return [item.index for item in taken]
        taken, total = [], 0.0
        while self.items and (not taken or total + self.estimates[self.items[0].index] <= seconds):
            item = self.items.pop(0)
            total += self.estimates[item.index]
            taken.append(item)
        return [item.index for item in taken]


def estimates(items: Sequence[Item]) -> Dict[int, float]:
    """Seconds of every item: as recorded, else the median of its unit, else of all."""
    by_unit: Dict[str, List[float]] = {}
    for item in items:
        if item.seconds is not None:
            by_unit.setdefault(item.unit, []).append(item.seconds)
    everything = [seconds for known in by_unit.values() for seconds in known]
    usual = _median(everything) if everything else UNKNOWN
    medians = {unit: _median(known) for unit, known in by_unit.items()}
    return {
        item.index: medians.get(item.unit, usual) if item.seconds is None else item.seconds
        for item in items
    }


def _median(values: List[float]) -> float:
    return sorted(values)[len(values) // 2]


def units(items: Sequence[Item], seconds: Dict[int, float]) -> List[Unit]:
    """Runs of items with the same unit; items that must be together wherever they are."""
    found: List[List[Item]] = []
    together: Dict[str, List[Item]] = {}
    for item in items:
        if item.together:
            if item.unit not in together:
                together[item.unit] = []
                found.append(together[item.unit])
            together[item.unit].append(item)
        elif found and found[-1] and found[-1][-1].unit == item.unit:
            found[-1].append(item)
        else:
            found.append([item])
    return [Unit(run, seconds) for run in found]


def workers_wanted(all_units: Sequence[Unit], most: int, small: float) -> int:
    """One where the work is small; never more than there are pieces of work."""
    total = sum(unit.seconds for unit in all_units)
    pieces = sum(len(unit.items) if unit.splittable else 1 for unit in all_units)
    if total < small:
        return 1
    return max(1, min(most, pieces, int(total / small) + 1))


class Queue:
    """Hands out units. `finished` and `lost` tell it what became of the items."""

    def __init__(self, all_units: Sequence[Unit], workers: int) -> None:
        order = sorted(
            all_units, key=lambda unit: (not unit.failed, -round(unit.seconds, 3))
        )
        self._units: Deque[Unit] = collections.deque(order)
        self._workers = workers
        self._left = sum(unit.seconds for unit in order)
        self._locks: Dict[int, Set[str]] = {}
        self._items = {item.index: item for unit in order for item in unit.items}
        self._estimates = {i: s for unit in order for i, s in unit.estimates.items()}

    def empty(self) -> bool:
        return not self._units

    def remaining(self) -> List[int]:
        """Indices that were not handed out."""
        return sorted(item.index for unit in self._units for item in unit.items)

    def clear(self) -> None:
        self._units.clear()

    def next(self, worker: int, holds: bool) -> List[int]:
        """More work for a worker; none when there is none that it may have now. One that still
        `holds` items gets no unit with a lock: the lock would be held while it only waits."""
        for unit in self._units:
            if unit.locks and (holds or self._taken(unit.locks)):
                continue
            size = max(_AHEAD, self._left / (2 * self._workers))
            indices = unit.take(size if not unit.locks else float("inf"))
            if unit.locks:
                self._locks[worker] = set(unit.locks)
            if not unit.items:
                self._units.remove(unit)
            self._left -= sum(unit.estimates[index] for index in indices)
            return indices
        return []

    def released(self, worker: int) -> None:
        """The worker holds nothing any more."""
        self._locks.pop(worker, None)

    def holds(self, worker: int) -> bool:
        """Whether the worker was given a unit with a lock."""
        return worker in self._locks

    def give_back(self, indices: List[int]) -> None:
        """Items of a worker that is gone: they come next."""
        items = [self._items[index] for index in indices]
        for unit in reversed(units(items, self._estimates)):
            self._units.appendleft(unit)
            self._left += unit.seconds

    def _taken(self, locks: Iterable[str]) -> bool:
        return any(not held.isdisjoint(locks) for held in self._locks.values())

"""Coverage of forks: each measures on from what the parent has seen, the controller unites."""

from __future__ import annotations

import os
import sys
from typing import Any, Iterable, Optional


def _current() -> Any:
    module = sys.modules.get("coverage")
    return module.Coverage.current() if module is not None else None


def forked() -> None:
    """In a runner: its data goes to a file of its own."""
    running = _current()
    if running is not None:
        data = running.get_data()
        # An inherited connection to the parent's data file must not be written to. The pid, by
        # which coverage notices a fork, may be the same in another sandbox.
        data._pid = -1
        data._suffix = "forkd.%d" % os.getpid()


def measured() -> Optional[bytes]:
    """In a runner, at its end: what it measured."""
    running = _current()
    if running is None:
        return None
    running.stop()
    return running.get_data().dumps()


def unite(found: Iterable[bytes]) -> None:
    """In the controller: what the runners measured becomes part of its own data."""
    running = _current()
    if running is None:
        return
    from coverage import CoverageData

    for blob in found:
        other = CoverageData(no_disk=True) if _knows_no_disk() else CoverageData(".coverage.part")
        other.loads(blob)
        running.get_data().update(other)


def _knows_no_disk() -> bool:
    from coverage import version_info

    return version_info >= (6, 0)

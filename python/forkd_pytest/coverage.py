"""Coverage of forks: each measures on from what the parent has seen, the controller unites."""

from __future__ import annotations

import os
import sys
from typing import Any, Iterable, Optional

from forkd_pytest.link import Link


def _current() -> Any:
    module = sys.modules.get("coverage")
    return module.Coverage.current() if module is not None else None


def park() -> None:
    """In the parent: no tracer is left behind that a fork would not have."""
    running = _current()
    if running is not None:
        running._collector.pause()


def forked(config: Any) -> None:
    """In a runner: measures on, into memory that its controller asks for."""
    running = _current()
    if running is None:
        return
    data = running.get_data()
    # An inherited connection to the parent's data file must not be written to. The pid, by which
    # coverage notices a fork, may be the same in another sandbox.
    data._pid = -1
    data._suffix = "forkd.%d" % os.getpid()
    plugin = config.pluginmanager.getplugin("_cov")
    if plugin is not None:
        plugin.pid = os.getpid()  # or pytest-cov starts a measurement of its own for each test
    running._collector.resume()


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


def refresh(config: Any, link: Link) -> None:
    """In the controller: what `--cov-append` is to be added to, as it is now."""
    running = _current()
    if running is None or not getattr(config.option, "cov_append", False):
        return
    path = os.path.abspath(running.config.data_file)
    data = link.read(path)
    if data is not None:
        with open(path, "wb") as file:
            file.write(data)


def _knows_no_disk() -> bool:
    from coverage import version_info

    return version_info >= (6, 0)

"""What marks, fixtures and places of items say about how they may be scheduled."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Set

from forkd_pytest.schedule import Item

SERIAL = "forkd_serial"
LOCK = "forkd_lock"
GROUP = "xdist_group"


def register(config: Any) -> None:
    """Makes the marks known, so that --strict-markers accepts them."""
    for line in (
        "forkd_serial: no other test of the run runs at the same time as one with this mark",
        "forkd_lock(name): tests with the same name do not run at the same time",
        "xdist_group(name): tests with the same name run in the same worker",
    ):
        config.addinivalue_line("markers", line)


def describe(
    items: Sequence[Any], by: str, seconds: Dict[str, float], failed: Set[str]
) -> List[Item]:
    """The scheduler's view of collected items; `by` is auto, test, file, scope or group."""
    return [
        _describe(index, item, by, seconds.get(item.nodeid), item.nodeid in failed)
        for index, item in enumerate(items)
    ]


def _describe(index: int, item: Any, by: str, seconds: Optional[float], failed: bool) -> Item:
    locks = [str(mark.args[0]) for mark in item.iter_markers(LOCK) if mark.args]
    if item.get_closest_marker(SERIAL) is not None or item.get_closest_marker("serial"):
        locks.append(SERIAL)
    group = item.get_closest_marker(GROUP)
    if group is not None and by in ("auto", "group"):
        name = group.args[0] if group.args else group.kwargs.get("name", "default")
        return Item(index, "@%s" % name, False, seconds, failed, locks, True)
    file = item.nodeid.split("::", 1)[0]
    if by in ("test", "group"):
        return Item(index, "%s#%d" % (file, index), True, seconds, failed, locks)
    if by == "file":
        return Item(index, file, False, seconds, failed, locks, True)
    if by == "scope":
        scope = item.nodeid.rsplit("::", 1)[0] if "::" in item.nodeid else file
        return Item(index, scope.split("[", 1)[0], False, seconds, failed, locks, True)
    return Item(index, file if not locks else "%s#%d" % (file, index), True, seconds, failed, locks)

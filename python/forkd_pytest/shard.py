"""One part of a suite that several machines share.

Every machine cuts the same suite in the same way: by recorded times where they are the same
everywhere (a durations file in the repository), else by number. Files stay whole, so that the
fixtures of a module are set up once.
"""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List, Sequence, Tuple

from forkd_pytest.schedule import Item, estimates


def part(items: Sequence[Item], which: Tuple[int, int], session: Any) -> List[Item]:
    """Those of shard `i` of `n`; the others are told as deselected."""
    number, of = which
    if of == 1:
        return list(items)
    shards = cut(items, of, [item.nodeid.split("::", 1)[0] for item in session.items])
    mine = {item.index for item in shards[number - 1]}
    others = [item for index, item in enumerate(session.items) if index not in mine]
    session.config.hook.pytest_deselected(items=others)
    session.testscollected = len(mine)
    names = "\n".join(item.nodeid for item in session.items)
    digest = hashlib.sha256(names.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(
            "shard %d/%d: %d of %d tests (collection %s)"
            % (number, of, len(mine), len(session.items), digest)
        )
    return [item for item in items if item.index in mine]


def cut(items: Sequence[Item], of: int, files: Sequence[str]) -> List[List[Item]]:
    """Longest file first, each to the shard that has least to do. Pure, so the same everywhere."""
    seconds = estimates(items)
    by_file: Dict[str, List[Item]] = {}
    for item in items:
        by_file.setdefault(files[item.index], []).append(item)
    order = sorted(
        by_file.items(),
        key=lambda pair: (-round(sum(seconds[item.index] for item in pair[1]), 3), pair[0]),
    )
    shards: List[List[Item]] = [[] for _ in range(of)]
    loads = [0.0] * of
    for _, file in order:
        least = min(range(of), key=lambda index: (loads[index], index))
        shards[least].extend(file)
        loads[least] += sum(seconds[item.index] for item in file)
    return shards

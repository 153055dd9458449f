"""One part of a suite that several machines share.

Every machine cuts the same suite in the same way: by recorded times where they are the same
everywhere (a durations file in the repository), else by number. Files stay whole, so that the
fixtures of a module are set up once. A plan file keeps the cut for a job that is run again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from forkd_pytest.link import Link
from forkd_pytest.options import Options
from forkd_pytest.schedule import Item, estimates

_VERSION = 1


class Plan(NamedTuple):
    """Which part each file of one collection belongs to."""

    collection: str
    of: int
    files: Dict[str, int]

    def text(self) -> str:
        fields = {"version": _VERSION, **self._asdict()}
        return json.dumps(fields, indent=0, sort_keys=True) + "\n"

    @staticmethod
    def read(data: bytes) -> "Plan":
        """ValueError when it is none."""
        fields = json.loads(data.decode("utf-8"))
        if not isinstance(fields, dict) or fields.get("version") != _VERSION:
            raise ValueError("its version is not %d" % _VERSION)
        files = {str(name): int(part) for name, part in fields["files"].items()}
        return Plan(str(fields["collection"]), int(fields["of"]), files)


def collection(session: Any) -> str:
    """A digest of what was collected: equal on machines that can share it."""
    names = "\n".join(item.nodeid for item in session.items)
    return hashlib.sha256(names.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def part(items: Sequence[Item], options: Options, session: Any, link: Link) -> List[Item]:
    """Those of shard `i` of `n`; the others are told as deselected."""
    number, of = options.shard
    if of == 1:
        return list(items)
    plan = _plan(items, options, session, link)
    files = [file_of(item) for item in session.items]
    mine = {item.index for item in items if plan.files.get(files[item.index]) == number}
    others = [item for index, item in enumerate(session.items) if index not in mine]
    session.config.hook.pytest_deselected(items=others)
    session.testscollected = len(mine)
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(
            "shard %d/%d: %d of %d tests (collection %s)"
            % (number, of, len(mine), len(session.items), plan.collection)
        )
    return [item for item in items if item.index in mine]


def file_of(item: Any) -> str:
    return str(item.nodeid.split("::", 1)[0])


def _plan(items: Sequence[Item], options: Options, session: Any, link: Link) -> Plan:
    from _pytest.config import UsageError

    digest, of = collection(session), options.shard[1]
    known: Optional[bytes] = link.read(options.plan) if options.plan else None
    if known is not None:
        try:
            plan = Plan.read(known)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError("--plan: %s is no plan: %s" % (options.plan, error)) from None
        if (plan.collection, plan.of) != (digest, of):
            raise UsageError(
                "--plan: %s is for %d shards of collection %s, this is %d of %s: remove it, or "
                "run what it was made for"
                % (options.plan, plan.of, plan.collection, of, digest)
            )
        return plan
    shards = cut(items, of, [file_of(item) for item in session.items])
    files = {
        file_of(session.items[item.index]): number + 1
        for number, shard in enumerate(shards)
        for item in shard
    }
    plan = Plan(digest, of, files)
    if options.plan:
        link.write(options.plan, plan.text().encode())
    return plan


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

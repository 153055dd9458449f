"""Session fixtures that are set up once, before the fork, because the user asked for it.

Every worker has what they made, copy-on-write. Their teardown belongs to the controller, which is
a fork, too, and runs it once at the end of its session; in a worker it never runs.
"""

from __future__ import annotations

import os
import threading
import traceback
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

ALL = "all"
_NOT_THE_USERS = ("_pytest.", "forkd_pytest.")


class Refused(Exception):
    """A fixture has left behind what a fork does not carry over."""


class _Held(NamedTuple):
    """What this process has open that forks would share, or not have."""

    threads: Set[str]
    sockets: Set[str]
    children: Set[str]

    @staticmethod
    def now() -> "_Held":
        return _Held(
            {thread.name for thread in threading.enumerate()},
            {link for _, link in _descriptors() if link.startswith("socket:")},
            set(_children()),
        )

    def words(self, before: "_Held") -> List[str]:
        """What has come since then."""
        kinds = (("thread", "threads"), ("socket", "sockets"), ("child process", "children"))
        return [
            "%s %s" % (kind, name)
            for kind, field in kinds
            for name in sorted(getattr(self, field) - getattr(before, field))
        ]


def _descriptors() -> Iterator[Tuple[str, str]]:
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield fd, os.readlink("/proc/self/fd/" + fd)
        except OSError:
            continue  # that of the listing itself


def _children() -> Iterator[str]:
    for task in os.listdir("/proc/self/task"):
        with open("/proc/self/task/%s/children" % task, encoding="ascii") as file:
            yield from file.read().split()


def set_up(session: Any, names: Sequence[str], say: Callable[[str], Any]) -> List[Any]:
    """In the parent, after collection; the definitions of the fixtures that are set up.

    One that fails, or skips, or has parameters, is left to the workers, and that is said. Raises
    `Refused`, and ValueError for a name that no test uses.
    """
    chosen = _chosen(session, names)
    if not chosen:
        return []
    stack = session._setupstate.stack
    if not isinstance(stack, dict):
        raise ValueError("fixtures can be shared with pytest 7 or newer")
    if session not in stack:
        session.setup()
        stack[session] = ([session.teardown], None)
    made = []
    for definition, item in chosen.items():
        if definition.params:
            say("fixture %s has parameters: workers set it up" % definition.argname)
        elif _made(definition, item, say):
            made.append(definition)
    return made


def keep(definitions: Sequence[Any]) -> None:
    """In a worker: what they made stays, and is not torn down."""
    for definition in definitions:
        definition._finalizers.clear()


def tear_down(session: Any, definitions: Sequence[Any], show: Callable[[str], Any]) -> None:
    """In the controller, when all tests are done. A teardown that fails fails the run."""
    if not definitions:
        return
    try:
        session._setupstate.teardown_exact(None)
    except BaseException:
        session.testsfailed += 1
        show("\nERROR at teardown of session fixtures\n%s\n" % traceback.format_exc())


def _chosen(session: Any, names: Sequence[str]) -> Dict[Any, Any]:
    """Definitions, each with a test that uses it."""
    found: Dict[Any, Any] = {}
    unused = set(names) - {ALL}
    for item in session.items:
        info = getattr(item, "_fixtureinfo", None)
        for name, definitions in (info.name2fixturedefs if info is not None else {}).items():
            definition = definitions[-1]
            theirs = not definition.func.__module__.startswith(_NOT_THE_USERS)
            if definition.scope != "session" or not theirs:
                continue
            unused.discard(name)
            if name in names or ALL in names:
                found.setdefault(definition, item)
    if unused:
        raise ValueError("no test uses a session fixture %s" % ", ".join(sorted(unused)))
    return found


def _made(definition: Any, item: Any, say: Callable[[str], Any]) -> bool:
    from _pytest.outcomes import OutcomeException

    before = _Held.now()
    try:
        item._request.getfixturevalue(definition.argname)
    except (Exception, OutcomeException) as error:
        definition.cached_result = None  # otherwise the workers would be told this one
        say("fixture %s: %s: workers set it up" % (definition.argname, type(error).__name__))
        return False
    finally:
        item._initrequest()
    left = _Held.now().words(before)
    if left:
        raise Refused(
            "session fixture %s cannot be set up once for all workers: it holds %s, which a fork "
            "does not have or would share; leave it out of --share-fixtures"
            % (definition.argname, ", ".join(left))
        )
    return True

"""A running eval session becomes the zygote of a new template.

The session forks a copy of itself, which settles what a fork cannot carry over, as the end of
warm-up does, and pauses for good. The launcher then makes another process, in namespaces of its
own, the copy's twin: memory and registers are the copy's, all that the kernel keeps (descriptors,
namespaces, credentials, signal handlers) is its own. It goes on where the copy pauses.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import time
from typing import Any, Callable, Dict, List, NamedTuple, Set, Tuple, Union

from forkd_runtime.evaluate import Evaluator
from forkd_runtime.hazards import descriptors, memory, native, processes, state
from forkd_runtime.hazards.census import living
from forkd_runtime.hazards.model import Hazard, refused, warned
from forkd_runtime.inherit import Inheritance
from forkd_runtime.warmed import Warmed

_PATIENCE = 20.0  # seconds until the copy has looked at itself
_LIFETIME_MAX = 3600  # seconds after which a copy that nobody took ends by itself
_TOLD_MAX = 64  # hazards that are told one by one
_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
# Cured, but not by carrying them over: whoever asked for the branch has to know.
_LOST = frozenset(("signal", "timer", "asyncio", "atexit"))
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Frozen(NamedTuple):
    """What the session tells: `pid` of the copy, 0 when there is none."""

    pid: int
    report: str  # JSON: refused, warnings


class _Kept(NamedTuple):
    """State of the process, not of its memory."""

    umask: int
    limits: List[Tuple[int, Tuple[int, int]]]


def freeze(
    warmed: Warmed,
    evaluator: Evaluator,
    ours: Tuple[int, ...],
    release: Callable[[], None],
    lifetime_ms: int,
) -> Union[Frozen, Warmed]:
    """In the session. Returns a second time in the twin, then with what it is to serve.

    `ours` are the session's own descriptors, `release` closes them and all that refers to them. A
    copy that nobody takes within its lifetime ends by itself.
    """
    own = os.getpid()
    try:
        return _freeze(warmed, evaluator, ours, release, lifetime_ms)
    except Exception as error:
        if os.getpid() != own:
            os._exit(70)
        return Frozen(0, _report([refused("copy", "it cannot be made: %s" % error)]))


def _freeze(
    warmed: Warmed,
    evaluator: Evaluator,
    ours: Tuple[int, ...],
    release: Callable[[], None],
    lifetime_ms: int,
) -> Union[Frozen, Warmed]:
    if warmed.zygote is None:
        return Frozen(0, _report([refused("engine", "this runtime cannot be branched")]))
    found = warmed.policy.judge(_look_around())
    if _refusals(found):
        return Frozen(0, _report(found))
    read_end, write_end = os.pipe()
    known = {0, 1, 2, *ours, read_end, write_end}
    try:
        middle = os.fork()
    except OSError:
        os.close(read_end)
        os.close(write_end)
        raise
    if middle:
        os.close(write_end)
        return _await(middle, read_end)
    try:
        # A child of a child: the session's own user code must never find it among its children.
        if os.fork():
            os._exit(0)
        copy = _Copy(warmed, evaluator, found)
        twin = copy.settle(known, release)
        copy.pause(write_end, min(lifetime_ms // 1000 + 1, _LIFETIME_MAX))
    except BaseException as error:
        os.write(write_end, _message(0, [refused("copy", "it cannot be made: %r" % error)]))
        os._exit(70)
    return twin


def _look_around() -> List[Hazard]:
    """What the copy would not see any more, since a fork loses it."""
    found = processes.python_threads() + processes.children() + _others()
    found += native.pause_new()
    for timer in _TIMERS:
        if any(signal.getitimer(timer)):
            found.append(warned("timer", "interval timer %d runs in the source only" % timer))
    return found


def _others() -> List[Hazard]:
    """Other programs of the sandbox, which stay with the source."""
    known = {1, os.getppid(), os.getpid()}
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in known or _parent(int(name)) == os.getpid():
            continue
        command = processes.command(int(name))
        found.append(warned("process", "%s (pid %s) is not carried over" % (command, name)))
    return found


def _parent(pid: int) -> int:
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _refusals(found: List[Hazard]) -> List[Hazard]:
    return [hazard for hazard in found if hazard.action == "refused"]


def _report(found: List[Hazard]) -> str:
    told = [
        "%s: %s" % (hazard.name, hazard.detail)
        for hazard in found
        if hazard.action == "warned" or (hazard.action == "cured" and hazard.name in _LOST)
    ]
    refusals = ["%s: %s" % (hazard.name, hazard.detail) for hazard in _refusals(found)]
    return json.dumps({"refused": refusals[:_TOLD_MAX], "warnings": told[:_TOLD_MAX]})


def _message(pid: int, found: List[Hazard]) -> bytes:
    return b"%d %s\n" % (pid, _report(found).encode("utf-8", "backslashreplace"))


def _await(middle: int, read_end: int) -> Frozen:
    """In the session: what the copy says of itself."""
    with contextlib.suppress(ChildProcessError):  # the user may have told the kernel to reap
        os.waitpid(middle, 0)
    deadline = time.monotonic() + _PATIENCE
    told = b""
    try:
        while not told.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([read_end], [], [], left)[0]:
                return Frozen(0, _report([refused("copy", "it did not answer in time")]))
            chunk = os.read(read_end, 65536)
            if not chunk:
                return Frozen(0, _report([refused("copy", "it ended before it was frozen")]))
            told += chunk
    finally:
        os.close(read_end)
    pid, _, report = told.decode("utf-8").partition(" ")
    return Frozen(int(pid), report.rstrip("\n"))


class _Copy:
    """In the copy."""

    def __init__(self, warmed: Warmed, evaluator: Evaluator, found: List[Hazard]) -> None:
        self._old = warmed
        self._evaluator = evaluator
        self._found = found

    def settle(self, known: Set[int], release: Callable[[], None]) -> Warmed:
        """What the twin is to serve."""
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        inheritance = self._inherit(known, release)
        return self._describe(inheritance)

    def pause(self, told: int, lifetime: int) -> None:
        """Tells the session how it went. Returns in the twin only."""
        if _refusals(self._found):
            os.write(told, _message(0, self._found))
            os._exit(0)
        mask = os.umask(0o077)
        os.umask(mask)
        kept = _Kept(mask, [(limit, resource.getrlimit(limit)) for limit in _LIMITS])
        message = _message(os.getpid(), self._found)
        signal.alarm(lifetime)
        os.write(told, message)
        os.close(told)
        signal.pause()
        _restore(kept)

    def _inherit(self, known: Set[int], release: Callable[[], None]) -> Inheritance:
        old = self._old.inheritance
        inheritance = Inheritance()
        inheritance.exit_callbacks = list(old.exit_callbacks)
        inheritance.faulthandler = old.faulthandler
        found = state.release_event_loop() + state.reset_signals()
        state.flush_streams(living(state.STREAMS))
        found += descriptors.settle(known, inheritance)
        release()
        found += memory.settle(inheritance)
        self._found = self._found + self._old.policy.judge(found)
        return inheritance

    def _describe(self, inheritance: Inheritance) -> Warmed:
        old = self._old
        report: Dict[str, Any] = dict(old.report)
        report["hazards"] = [hazard._asdict() for hazard in self._found]
        inheritance.collects_garbage = gc.isenabled()
        twin = old.twin(report, os.getcwd(), inheritance)
        twin.evaluator = self._evaluator
        # As at the end of warm-up: a collection in a child would copy all of it.
        gc.collect()
        gc.freeze()
        gc.disable()
        return twin


def _restore(kept: _Kept) -> None:
    """In the twin, which has them from the zygote."""
    os.umask(kept.umask)
    for limit, (soft, hard) in kept.limits:
        now = resource.getrlimit(limit)
        if now == (soft, hard):
            continue
        try:
            resource.setrlimit(limit, (soft, now[1]))
        except (OSError, ValueError):
            continue  # above the hard limit that a zygote has

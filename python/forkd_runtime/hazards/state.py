"""State of the interpreter itself: signals, timers, hooks, buffers, event loops, generators."""

from __future__ import annotations

import faulthandler
import gc
import io
import linecache
import random
import signal
import sys
import types
import warnings
from typing import Any, Iterable, List, Tuple

from forkd_runtime import syscalls
from forkd_runtime.hazards.census import living
from forkd_runtime.hazards.model import Hazard, cured, refused, warned
from forkd_runtime.inherit import Inheritance

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)  # by the interpreter itself
STREAMS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_HOOKS = ("excepthook", "displayhook", "unraisablehook", "breakpointhook")


def release_event_loop() -> List[Hazard]:
    """An idle loop that nobody but asyncio holds is closed; any other is refused."""
    events: Any = sys.modules.get("asyncio.events")
    if events is None:
        return []
    if events._get_running_loop() is not None:
        return [refused("asyncio", "an event loop is running")]
    before = len(_open_loops())
    if getattr(events, "_event_loop_policy", None) is not None:
        events._event_loop_policy._local = type(events._event_loop_policy._local)()
    if not before:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    left = _open_loops()
    found = [refused("asyncio", "an event loop is still referenced: %s" % loop) for loop in left]
    if before > len(left):
        found.append(cured("asyncio", "idle event loops were closed: %d" % (before - len(left))))
    return found


def _open_loops() -> List[str]:
    base: Any = sys.modules["asyncio.base_events"]
    loops = living((base.BaseEventLoop,))
    return [repr(candidate) for candidate in loops if not candidate.is_closed()]


def reset_interpreter(inheritance: Inheritance) -> List[Hazard]:
    """Hooks, tracing and caches as in a fresh interpreter."""
    found = []
    inheritance.faulthandler = faulthandler.is_enabled()
    if inheritance.faulthandler:
        faulthandler.disable()
        found.append(cured("faulthandler", "enabled anew in each child, on its own stderr"))
    changed = [name for name in _HOOKS if _reset_hook(name)]
    if sys.gettrace() is not None or sys.getprofile() is not None:
        sys.settrace(None)
        sys.setprofile(None)
        changed.append("trace")
    if changed:
        found.append(cured("hook", "reset to the default: sys.%s" % ", sys.".join(changed)))
    linecache.clearcache()
    _forget_warnings()
    return found


def _reset_hook(name: str) -> bool:
    original = getattr(sys, "__%s__" % name)
    if getattr(sys, name) is original:
        return False
    setattr(sys, name, original)
    return True


def _forget_warnings() -> None:
    """A child shows a warning once, although warm-up has shown it already."""
    registry: Any = getattr(warnings, "onceregistry", None)
    if registry is not None:
        registry.clear()
    for module in list(sys.modules.values()):
        if isinstance(module, types.ModuleType):
            vars(module).pop("__warningregistry__", None)


def reset_signals() -> List[Hazard]:
    """Default dispositions, nothing blocked, no timer."""
    found = []
    changed = [number for number in signal.valid_signals() if _reset_signal(number)]
    if changed:
        names = ", ".join(signal.Signals(number).name for number in sorted(changed))
        found.append(cured("signal", "handlers reset to the default: %s" % names))
    if signal.set_wakeup_fd(-1) != -1:
        found.append(cured("signal", "the wakeup descriptor is no longer used"))
    if signal.pthread_sigmask(signal.SIG_SETMASK, ()):
        found.append(cured("signal", "blocked signals are let through again"))
    for timer in _TIMERS:
        if any(signal.setitimer(timer, 0)):
            found.append(cured("timer", "interval timer %d was stopped" % timer))
    return found


def _reset_signal(number: int) -> bool:
    if number in (signal.SIGKILL, signal.SIGSTOP):
        return False
    wanted: Any = signal.SIG_IGN if number in _IGNORED else signal.SIG_DFL
    if number == signal.SIGINT:
        wanted = signal.default_int_handler
    if signal.getsignal(number) == wanted:
        return False
    try:
        signal.signal(number, wanted)
    except (OSError, ValueError):
        return False  # a real-time signal that the C library keeps for itself
    return True


def settle_objects() -> List[Hazard]:
    """Streams, names and random generators that the heap holds."""
    generators, sequences = _generators(), _name_sequences()
    objects = living((*STREAMS, *generators, *sequences))
    flush_streams([one for one in objects if isinstance(one, STREAMS)])
    for one in objects:
        if isinstance(one, sequences):
            vars(one).clear()
    return _shared_generators([one for one in objects if isinstance(one, generators)])


def flush_streams(streams: Iterable[Any]) -> None:
    """Text that is still buffered would be written by the parent and by every child."""
    for stream in streams:
        try:
            stream.flush()
        except Exception:  # closed, read-only or detached: it holds nothing
            continue
    syscalls.flush_c_streams()


def _generators() -> Tuple[type, ...]:
    kinds: List[type] = [random.Random]
    if "numpy.random.mtrand" in sys.modules:
        kinds.append(vars(sys.modules["numpy.random.mtrand"])["RandomState"])
        kinds.append(vars(sys.modules["numpy.random"])["Generator"])
    return tuple(kinds)


def _shared_generators(found: Iterable[Any]) -> List[Hazard]:
    """Generator objects of the user: re-seeding them behind the user's back would be wrong."""
    mtrand: Any = sys.modules.get("numpy.random.mtrand")
    own = {id(random.__dict__.get("_inst")), id(getattr(mtrand, "_rand", None))}
    count = sum(id(one) not in own and not isinstance(one, random.SystemRandom) for one in found)
    if not count:
        return []
    detail = "%d random generators made by warm-up give the same numbers in every child" % count
    return [warned("rng", detail)]


def _name_sequences() -> Tuple[type, ...]:
    """Names of semaphores and temporary files: made by generators that each process re-creates
    when its pid is new, but pids repeat over pid namespaces."""
    tempfile: Any = sys.modules.get("tempfile")
    return () if tempfile is None else (tempfile._RandomNameSequence,)

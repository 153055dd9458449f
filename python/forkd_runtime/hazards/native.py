"""Threads of native libraries: found out by a fork that is only a test.

libgomp's workers are gone in a child, and its next parallel region waits for them for ever:
pausing the pool before each fork cures that. OpenBLAS ends its own threads by pthread_atfork.
Whatever thread is still there when the test fork has happened would be lost in every child.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import sys
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Set

from forkd_runtime.hazards.model import Hazard, cured, refused

_OPENMP = re.compile(r"/lib(?:gomp|omp|iomp5)[^/]*\.so[^/]*$")
_THREADED = re.compile(
    r"/lib(gomp|omp|iomp5|openblas|mkl_\w+|tbb|arrow|grpc|torch_cpu|tensorflow\w*|polars)"
    r"[^/]*\.so[^/]*$"
)
_PAUSE_HARD = 2  # omp_pause_hard: the pool's threads end
_PROBE_SECONDS = 10.0
_SETTLE_SECONDS = 1.0
_paused: Set[str] = set()  # OpenMP libraries that are taken care of


class Probe(NamedTuple):
    """What a test fork showed."""

    answered: bool
    threads_left: Set[int]


def settle() -> List[Hazard]:
    libraries = _loaded_libraries()
    found = _end_numexpr() + _pause_openmp(libraries)
    before = _native_threads()
    probe = _fork_probe()
    if not probe.answered:
        detail = "a forked child did not answer within %.0f s" % _PROBE_SECONDS
        return [*found, refused("probe", detail)]
    ended = len(before - probe.threads_left)
    names = _threaded_names(libraries) or "unknown libraries"
    if ended:
        found.append(cured("native_thread", "%d of %s end before each fork" % (ended, names)))
    for thread in sorted(probe.threads_left):
        detail = "thread %d (%s) of one of: %s" % (thread, _name(thread), names)
        found.append(refused("native_thread", detail))
    return found


def _loaded_libraries() -> List[str]:
    paths = set()
    with open("/proc/self/maps", "r", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(None, 5)
            if len(fields) == 6 and ".so" in fields[5]:
                paths.add(fields[5].rstrip("\n"))
    return sorted(paths)


def _threaded_names(libraries: List[str]) -> str:
    matches = (_THREADED.search(path) for path in libraries)
    return ", ".join(sorted({"lib" + match.group(1) for match in matches if match}))


def pause_new() -> List[Hazard]:
    """The pools of libraries that were loaded since, and what threads there are."""
    libraries = _loaded_libraries()
    _pause_openmp(libraries)
    return []


def _pause_openmp(libraries: List[str]) -> List[Hazard]:
    pauses: Dict[str, Callable[[int], int]] = {}
    for path in libraries:
        if not _OPENMP.search(path) or path in _paused:
            continue
        _paused.add(path)
        pause = getattr(ctypes.CDLL(path), "omp_pause_resource_all", None)
        if pause is not None:  # OpenMP 5.0; an older pool with threads shows in the test fork
            pauses[os.path.basename(path)] = pause
    if not pauses:
        return []
    functions = tuple(pauses.values())

    def pause_all() -> None:
        for pause in functions:
            pause(_PAUSE_HARD)

    os.register_at_fork(before=pause_all)
    return [cured("openmp", "paused before each fork: %s" % ", ".join(sorted(pauses)))]


def _end_numexpr() -> List[Hazard]:
    """Its pool notices a fork by the pid, and pids repeat over pid namespaces."""
    numexpr: Any = sys.modules.get("numexpr")
    if numexpr is None or numexpr.set_num_threads(1) <= 1:
        return []
    detail = "numexpr uses one thread; numexpr.set_num_threads(n) in a child gives it more"
    return [cured("native_thread", detail)]


def _native_threads() -> Set[int]:
    """Threads that Python does not know."""
    known = {thread.native_id for thread in threading.enumerate()}
    return {int(name) for name in os.listdir("/proc/self/task")} - known


def _name(thread: int) -> str:
    try:
        with open("/proc/self/task/%d/comm" % thread, "rb") as file:
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return "ended"


def _fork_probe() -> Probe:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write_end, b".")
        os._exit(0)
    os.close(write_end)
    answered = bool(select.select([read_end], [], [], _PROBE_SECONDS)[0])
    answered = answered and os.read(read_end, 1) == b"."
    os.close(read_end)
    if not answered:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return Probe(answered, _threads_that_stay())


def _threads_that_stay() -> Set[int]:
    # A pool tells its threads to end and does not wait for them; the kernel has no event that
    # would tell us of it.
    deadline = time.monotonic() + _SETTLE_SECONDS
    left = _native_threads()
    while left and time.monotonic() < deadline:
        select.select([], [], [], 0.005)
        left = _native_threads()
    return left

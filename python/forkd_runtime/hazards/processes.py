"""Threads that Python knows, and processes that warm-up started."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, List

from forkd_runtime.hazards.model import Hazard, cured, refused

_TRACKERS = (
    ("multiprocessing.resource_tracker", "_resource_tracker"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker"),
    ("multiprocessing.forkserver", "_forkserver"),
)


def python_threads() -> List[Hazard]:
    """A fork takes only the forking thread along; the locks of the others stay taken."""
    current = threading.current_thread()
    return [
        refused("thread", "%s%s" % (thread.name, " (daemon)" if thread.daemon else ""))
        for thread in threading.enumerate()
        if thread is not current
    ]


def stop_trackers() -> List[Hazard]:
    """The helper processes of multiprocessing: a child starts its own when it needs one."""
    found = []
    for module, attribute in _TRACKERS:
        tracker: Any = getattr(sys.modules.get(module), attribute, None)
        if tracker is None or _descriptor(tracker) is None or not hasattr(tracker, "_stop"):
            continue
        tracker._stop()
        found.append(cured("resource_tracker", "%s was stopped" % module))
    return found


def _descriptor(tracker: Any) -> Any:
    return getattr(tracker, "_fd", None) or getattr(tracker, "_forkserver_alive_fd", None)


def children() -> List[Hazard]:
    """Processes that are still there."""
    path = "/proc/self/task/%d/children" % threading.get_native_id()
    try:
        with open(path, "rb") as file:
            pids = [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []  # a kernel without CONFIG_PROC_CHILDREN
    return [
        refused("child_process", "%s (pid %d)" % (command(pid), pid))
        for pid in pids
        if not _reaped(pid)
    ]


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def command(pid: int) -> str:
    """Its name, for people."""
    try:
        with open("/proc/%d/comm" % pid, "rb") as file:
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return "a process"

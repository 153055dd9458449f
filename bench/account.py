"""What a command, and everything that it starts or a daemon starts for it, takes of the machine."""
import os
import threading
import time
from typing import Dict, List, Optional, Set

TICKS = os.sysconf("SC_CLK_TCK")
_GROUPS = "/sys/fs/cgroup/cpuacct"
_SAMPLE_SECONDS = 0.1


def _parents() -> Dict[int, int]:
    found: Dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as file:
                found[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended while we looked
    return found


def descendants(roots: List[int]) -> Set[int]:
    """The processes and all below them."""
    parents = _parents()
    below: Dict[int, List[int]] = {}
    for pid, parent in parents.items():
        below.setdefault(parent, []).append(pid)
    found: Set[int] = set()
    queue = [pid for pid in roots if pid in parents]
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            queue += below.get(pid, [])
    return found


class Cpu:
    """CPU seconds of all processes that began in here, whoever waits for them.

    A control group counts them (cgroup v1); elsewhere the tree of processes below this one and the
    daemon is looked at, which misses what ended without being waited for.
    """

    def __init__(self) -> None:
        self._group: Optional[str] = None
        if os.path.isdir(_GROUPS):
            self._group = os.path.join(_GROUPS, "forkd-bench-%d" % os.getpid())
            os.mkdir(self._group)
        self.roots: List[int] = [os.getpid()]

    def kind(self) -> str:
        return "control group" if self._group else "tree of processes"

    def enter(self) -> None:
        """In a child before it runs its program."""
        if self._group:
            with open(os.path.join(self._group, "tasks"), "w") as file:
                file.write("0")

    def seconds(self) -> float:
        if self._group:
            with open(os.path.join(self._group, "cpuacct.usage")) as file:
                return int(file.read()) / 1e9
        total = 0.0
        for pid in descendants(self.roots):
            try:
                with open("/proc/%d/stat" % pid) as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(map(int, fields[11:15])) / TICKS
        return total

    def close(self) -> None:
        if self._group:
            os.rmdir(self._group)


class Peak:
    """The most memory (Pss, so that shared pages count once) that processes had together."""

    def __init__(self, roots: List[int]) -> None:
        self._roots = roots
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.mib = 0.0

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        own = os.getpid()
        while not self._done.wait(_SAMPLE_SECONDS):
            pids = descendants([own, *self._roots]) - {own}
            self.mib = max(self.mib, sum(map(_pss_kib, pids)) / 1024)


def _pss_kib(pid: int) -> int:
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        return 0  # it ended
    return 0


def settle() -> None:
    """The daemon ends sandboxes a moment after the command: their time belongs to it."""
    time.sleep(0.3)

"""What is measured, as values: figures, their statistics, and the machine they were taken on."""
import os
import platform
import statistics
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List


@dataclass
class Figure:
    """One measured thing.

    `reference` names the figure that this one is compared with; `bound` is text for people.
    """

    name: str
    unit: str
    values: List[float]
    reference: str = ""
    bound: str = ""
    holds: bool = True

    def median(self) -> float:
        return statistics.median(self.values)

    def least(self) -> float:
        return min(self.values)

    def p90(self) -> float:
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]


@dataclass
class Section:
    """Figures that belong together, and what could not be measured."""

    title: str
    figures: List[Figure] = field(default_factory=list)
    skipped: List[str] = field(default_factory=list)

    def add(self, figure: Figure) -> Figure:
        self.figures.append(figure)
        print("  %-52s %s" % (figure.name, shown(figure)), flush=True)
        return figure

    def skip(self, what: str) -> None:
        self.skipped.append(what)
        print("  skipped: %s" % what, flush=True)


def shown(figure: Figure) -> str:
    return "median %.2f  least %.2f  p90 %.2f %s  n=%d" % (
        figure.median(),
        figure.least(),
        figure.p90(),
        figure.unit,
        len(figure.values),
    )


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that an action takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def machine() -> Dict[str, object]:
    """What of this machine the figures depend on; no names, no paths."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(_field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "system": _field("/etc/os-release", "PRETTY_NAME", "=").strip('"'),
        "cgroup": "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1 or none",
        "transparent_hugepage": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        "python": platform.python_version(),
    }


def _field(path: str, name: str, separator: str = ":") -> str:
    with open(path) as file:
        for line in file:
            key, found, value = line.partition(separator)
            if found and key.strip() == name:
                return value.strip()
    return "unknown"


def _chosen(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().partition("[")[2].partition("]")[0]
    except OSError:
        return "unknown"

"""Memory of this process alone."""

from __future__ import annotations

import contextlib
import resource


def private_mib() -> int:
    """What would come back if it ended; 0 where the kernel does not tell."""
    total = 0
    with contextlib.suppress(OSError):
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Private_"):
                    total += int(line.split()[1])
    return total >> 10


def resident_kib() -> int:
    """What is in memory of it, shared or not."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def prefer_to_end_this() -> None:
    """When memory runs out, this process is the one to go: its keeper tells what it was doing."""
    with contextlib.suppress(OSError):
        with open("/proc/self/oom_score_adj", "wb") as file:
            file.write(b"900")

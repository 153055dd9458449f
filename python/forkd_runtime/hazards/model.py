"""What a hazard is, and what is done about one that cannot be cured."""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple

REMEDIES: Dict[str, str] = {
    "thread": "stop the thread before warm-up ends (shut down executors, close clients)",
    "native_thread": "warm up with one thread (OMP_NUM_THREADS=1 and the like), or import only",
    "child_process": "end the process before warm-up ends",
    "socket": "close the connection before warm-up ends and open it in the child",
    "pipe": "close the pipe before warm-up ends",
    "event_fd": "close the event loop, watcher or timer before warm-up ends",
    "asyncio": "do not keep an event loop from warm-up: make one in the child",
    "file": "close the file before warm-up ends, or open it for appending",
    "device": "close the device before warm-up ends",
    "cuda": "do not touch the GPU in warm-up (CUDA_VISIBLE_DEVICES= while warming)",
    "shared_mapping": "do not create shared memory or writable file mappings in warm-up",
    "probe": "something that warm-up imported cannot be forked: import less",
}


class Hazard(NamedTuple):
    """`action`: cured (nothing to do), refused (warm-up fails) or warned (goes on all the same)."""

    name: str
    detail: str
    action: str


def cured(name: str, detail: str) -> Hazard:
    return Hazard(name, detail, "cured")


def warned(name: str, detail: str) -> Hazard:
    return Hazard(name, detail, "warned")


def refused(name: str, detail: str) -> Hazard:
    return Hazard(name, detail, "refused")


class Policy:
    """Which hazards the recipe tolerates: by name, or all of them (`unsafe`: warn)."""

    def __init__(self, unsafe: str, allow: Iterable[str]) -> None:
        self._all = unsafe == "warn"
        self._allowed = frozenset(allow)

    def allows(self, name: str) -> bool:
        return self._all or name in self._allowed

    def names(self, name: str) -> bool:
        """Allowed by its very name."""
        return name in self._allowed

    def judge(self, found: Iterable[Hazard]) -> List[Hazard]:
        """Turns refusals that the recipe tolerates into warnings."""
        return [
            hazard._replace(action="warned")
            if hazard.action == "refused" and self.allows(hazard.name)
            else hazard
            for hazard in found
        ]


def explain(found: Iterable[Hazard]) -> str:
    """Message of a refusal: each hazard with its name and remedy."""
    lines = ["warm-up left behind what a fork cannot carry over:"]
    names = []
    for hazard in found:
        remedy = REMEDIES.get(hazard.name, "avoid it in warm-up")
        lines.append("  %s: %s -> %s" % (hazard.name, hazard.detail, remedy))
        names.append(hazard.name)
    allowed = ", ".join('"%s"' % name for name in dict.fromkeys(names))
    lines.append("To fork all the same, allow %s." % allowed)
    return "\n".join(lines)

"""`forkd test --doctor`: what of the collected state is unsafe or wasteful to fork."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Sequence

from forkd_pytest.parent import Held

_SHOWN = 12
_REMEDY = {
    "thread": "start it in a session fixture, not at import",
    "native_thread": "set OMP_NUM_THREADS=1 (or the library's own variable) for the test run",
    "child_process": "start it in a session fixture: forks do not have it as a child",
    "socket": "connect in a fixture: two workers that share a connection mix their bytes",
    "pipe": "open it in a fixture",
    "event_fd": "open it in a fixture",
    "device": "open it in a fixture",
    "file": "open it in a fixture, or for appending: workers share one offset",
    "asyncio": "make the loop in a fixture, or asyncio.run in the test",
    "shared_mapping": "map it in a fixture",
    "cuda": "hide the device while collecting: CUDA_VISIBLE_DEVICES=",
    "rng": "--seed, or make generators in fixtures: all workers draw the same numbers",
}
_OWN = ("PYTEST_XDIST_", "FORKD_")


def environment(held: Held) -> List[str]:
    """Variables of one worker that modules have read before there was one."""
    return [
        "%s was read by %s at import: a worker's own value came later; read it in a fixture"
        % (key, module)
        for key, module in sorted(held.reads)
        if key.startswith(_OWN)
    ]


def imported(held: Held) -> List[str]:
    """In a runner, at its end: modules that it had to import itself."""
    return sorted(
        name
        for name in set(sys.modules) - set(held.modules)
        if not name.startswith(("forkd_pytest", "forkd_runtime"))
    )


class Findings:
    """What runners and the template tell; lines for the terminal."""

    def __init__(self, held: Held, hazards: Sequence[Dict[str, Any]]) -> None:
        self._held = held
        self._hazards = hazards
        self._imports: List[List[str]] = []
        self._growth: List[int] = []

    def add(self, modules: List[str], growth_mib: int) -> None:
        self._imports.append(modules)
        self._growth.append(growth_mib)

    def lines(self) -> List[str]:
        found = [self._hazard(one) for one in self._hazards]
        found += ["unsafe: " + line for line in environment(self._held)]
        found += self._lazy()
        if self._growth:
            found.append("a worker came to have %d MiB for itself" % max(self._growth))
        return found or ["nothing"]

    def _hazard(self, one: Dict[str, Any]) -> str:
        name, action, detail = (str(one.get(k, "")) for k in ("name", "action", "detail"))
        if action == "cured":
            return "cured: %s: %s" % (name, detail)
        return "unsafe: %s: %s. %s" % (name, detail, _REMEDY.get(name, "see docs/fork-hazards.md"))

    def _lazy(self) -> List[str]:
        counts: Dict[str, int] = {}
        for modules in self._imports:
            for name in modules:
                counts[name] = counts.get(name, 0) + 1
        if not counts:
            return []
        names = sorted(counts, key=lambda name: (-counts[name], name))
        tops = [name for name in names if name.rpartition(".")[0] not in counts]
        return [
            "wasteful: %d modules were imported in workers, each anew: import in conftest.py: %s"
            % (len(names), ", ".join(tops[:_SHOWN]) + (", ..." if len(tops) > _SHOWN else ""))
        ]

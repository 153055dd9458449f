"""What a warmed process holds that fork(2) does not carry over safely.

`settle` cures what can be cured in the parent, notes in an Inheritance what each child has to
replace, and names the rest.
"""

from __future__ import annotations

import gc
from typing import List

from forkd_runtime import reseed
from forkd_runtime.hazards import descriptors, exits, memory, native, processes, state
from forkd_runtime.hazards.exits import ExitLedger
from forkd_runtime.hazards.model import Hazard, Policy, explain
from forkd_runtime.inherit import Inheritance

__all__ = ["Hazard", "Ledger", "Policy", "explain", "settle"]


class Ledger:
    """What the process held before user code ran. Made before anything else is imported."""

    def __init__(self) -> None:
        self.exits = ExitLedger()
        self.descriptors = descriptors.open_descriptors()

    def start(self) -> None:
        """Right before warm-up: what is open now is ours."""
        self.descriptors = descriptors.open_descriptors()


def settle(ledger: Ledger, inheritance: Inheritance, policy: Policy) -> List[Hazard]:
    """All hazards, judged. Order matters: a cure may close what a later look would find."""
    found: List[Hazard] = []
    found += state.release_event_loop()
    found += processes.stop_trackers()
    found += state.reset_interpreter(inheritance)
    found += state.reset_signals()
    found += exits.settle(ledger.exits, inheritance, policy)
    reseed.forget_names()
    gc.collect()
    found += state.settle_objects()
    found += processes.python_threads()
    found += processes.children()
    found += native.settle()
    found += descriptors.settle(ledger.descriptors, inheritance)
    found += memory.settle(inheritance)
    return policy.judge(found)

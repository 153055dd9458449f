"""What the user asked of a run: the JSON that the host sends first."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple


class Options(NamedTuple):
    """One run of a collected suite."""

    workers: int = 2  # at most
    fixed: bool = False  # exactly so many, however small the work
    by: str = "auto"  # units: auto, test, file, scope, group
    isolate: str = "child"  # or "test"
    memory: int = 0  # MiB of each worker at the most; 0: no limit
    seed: str = ""  # each test's generators are seeded with it and the test's id
    timeout: float = 0.0  # seconds of a test; 0: no limit
    retries: int = 0
    flaky: str = "pass"  # what a test that passes in a retry counts as: pass or fail
    shard: Tuple[int, int] = (1, 1)
    plan: str = ""  # file that keeps the cut into shards
    part: str = ""  # file that tells `forkd test --merge` what became of this shard
    clock: bool = False  # tell where the time went
    trial: bool = False  # a plain pytest first, and what differs from it
    doctor: bool = False  # tell what is unsafe or wasteful to fork
    hazards: Tuple[Dict[str, Any], ...] = ()  # what the template's warm-up found
    small: float = 0.5  # seconds of work that are not worth a second worker
    uid: str = "forkd"
    keep: bool = False  # bring back what tests have written to the working tree
    lines: Optional[str] = None  # path of a file of JSON lines
    grind: str = ""  # id of a test to run `times` times
    times: int = 100
    bisect: str = ""  # id of a test that fails after others
    display: bool = False  # a person looks: tell the host what to draw
    debug: bool = False  # --pdb: who fails gets the user's terminal
    github: bool = False  # annotations for GitHub's runner, and a summary

    @staticmethod
    def of(settings: Dict[str, Any]) -> "Options":
        known = {name: settings[name] for name in Options._fields if name in settings}
        if "shard" in known:
            known["shard"] = tuple(known["shard"])
        return Options(**known)

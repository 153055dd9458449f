"""A running sandbox becomes a snapshot: the whole request, and how long the sandbox stood still."""
import time
from typing import List, Tuple

import forks
from daemon import Daemon, children
from figures import Figure, Section

STATES = (
    ("small state", "x = 1"),
    ("70 MB of new state", "x = __import__('os').urandom(70 << 20)"),
)


def _branch(daemon: Daemon, sandbox: str, tag: str) -> Tuple[float, float]:
    client = daemon.client()
    start = time.perf_counter()
    made = client.request("POST", "/v1/sandboxes/%s/branch" % sandbox, {"tag": tag})
    return (time.perf_counter() - start) * 1000, float(made["pause_ms"])


def branches(daemon: Daemon, rounds: int) -> Section:
    section = Section("Branch: from the request until the snapshot can be forked")
    client = daemon.client()
    for what, code in STATES:
        whole: List[float] = []
        pause: List[float] = []
        grandchild: List[float] = []
        with children(client, forks.TAG, 1) as (source,):
            client.request("POST", "/v1/sandboxes/%s/eval" % source, {"code": code})
            for n in range(rounds):
                tag = "bench-branch-%d" % n
                took, still = _branch(daemon, source, tag)
                whole.append(took)
                pause.append(still)
                forks.batch(daemon, tag, 1)
                grandchild.append(forks.batch(daemon, tag, 1))
                client.request("DELETE", "/v1/snapshots/%s?force=true" % tag)
        section.add(Figure("branch, %s" % what, "ms", whole))
        section.add(Figure("pause, %s" % what, "ms", pause))
        section.add(Figure("fork n=1 of the branch, %s" % what, "ms", grandchild))
    return section

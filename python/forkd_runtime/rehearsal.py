"""Runs what every child runs, once in the parent before the fork.

The interpreter specialises code while it runs and fills caches inside code objects and types.
Done in the parent, that is shared; done in a child, each of those writes copies a page.
"""

from __future__ import annotations

import builtins
import linecache
import socket

from forkd_runtime import frames, reseed
from forkd_runtime.channel import Channel
from forkd_runtime.evaluate import Evaluator
from forkd_runtime.runtime import Runtime
from forkd_runtime.warmed import Warmed

_TIMES = 20  # beyond the interpreter's own thresholds for specialising code
_EVALS = ("1 + 1", "x = 1", "1 / 0")


def rehearse(warmed: Warmed) -> None:
    """Leaves no trace but warm code."""
    reseed.prepare()
    for _ in range(_TIMES):
        _serve_once(warmed)
        _evaluate_once()


def _serve_once(warmed: Warmed) -> None:
    ours, theirs = socket.socketpair()
    runtime = Runtime(Channel(theirs.detach()), warmed)
    peer = Channel(ours.detach())
    runtime.announce()
    peer.send(frames.PING, 1)
    runtime.round()
    runtime.close()
    peer.close()


def _evaluate_once() -> None:
    evaluator = Evaluator({})
    before = getattr(builtins, "_", None)
    for code in _EVALS:
        evaluator.evaluate(code)
    for number in range(len(_EVALS)):
        linecache.cache.pop("<eval-%d>" % (number + 1), None)
    if before is None:
        del builtins._  # type: ignore[attr-defined]
    else:
        builtins._ = before  # type: ignore[attr-defined]

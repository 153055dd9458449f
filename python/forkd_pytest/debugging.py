"""Who of the workers has the user's terminal: one debugger at a time, the others wait."""

from __future__ import annotations

import collections
from typing import Deque, NamedTuple

from forkd_pytest import debugger
from forkd_pytest.link import Debugged, Link


class _Request(NamedTuple):
    worker: int
    socket: str


class Debugging:
    """The controller's side of `--pdb`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: Deque[_Request] = collections.deque()  # at most one of each worker

    def ask(self, worker: int, socket: str) -> None:
        """A test has failed there, and its process waits at that socket of its sandbox."""
        self._waiting.append(_Request(worker, socket))
        if len(self._waiting) == 1:
            self._next()

    def ended(self, event: Debugged) -> None:
        """The terminal is free again."""
        if event.trouble:
            raise RuntimeError("no debugger: %s" % event.trouble)
        self._waiting.popleft()
        if self._waiting:
            self._next()

    def _next(self) -> None:
        first = self._waiting[0]
        self._link.debug(first.worker, debugger.VISITOR, first.socket)

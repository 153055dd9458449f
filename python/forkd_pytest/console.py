"""Where pytest's reporters write: recorded while nobody listens, passed on later.

The reporters keep the stream that they were given when the session was configured. That happens
in the template, long before there is a terminal to write to.
"""

from __future__ import annotations

import io
from typing import Callable, List, Optional

_BOUND = 1 << 24


class Console(io.TextIOBase):
    """A text stream that says it is a terminal when the user's one is."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._recorded: List[str] = []
        self._size = 0
        self._target: Optional[Callable[[str], None]] = None

    def isatty(self) -> bool:
        return self._terminal

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._target is not None:
            self._target(text)
        elif self._size < _BOUND:
            self._recorded.append(text)
            self._size += len(text)
        return len(text)

    def flush(self) -> None:
        return None

    def connect(self, target: Callable[[str], None]) -> None:
        """From now on text goes there, what was recorded first."""
        for text in self._recorded:
            target(text)
        self._recorded = []
        self._target = target

    def mute(self) -> None:
        """In a worker: its reporters are not the ones that the user sees."""
        self._recorded = []
        self._target = _nowhere


def _nowhere(text: str) -> None:
    return None

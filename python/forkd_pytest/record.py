"""What a runner is doing, in memory that it shares with its keeper: it outlives the runner."""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

_FORM = struct.Struct("qqdd")
PHASES = ("setup", "call", "teardown")
NOTHING = -1


class Doing(NamedTuple):
    """An item's index, the phase it is in, when it began and when it must have ended (0: never),
    both as time.monotonic() tells."""

    index: int
    phase: int
    began: float
    deadline: float


class Record:
    """Written by the runner before it acts."""

    def __init__(self) -> None:
        self._area = mmap.mmap(-1, mmap.PAGESIZE)
        self.write(Doing(NOTHING, 0, 0.0, 0.0))

    def write(self, doing: Doing) -> None:
        _FORM.pack_into(self._area, 0, *doing)

    def phase(self, number: int) -> None:
        struct.pack_into("q", self._area, 8, number)

    def read(self) -> Doing:
        return Doing(*_FORM.unpack_from(self._area, 0))

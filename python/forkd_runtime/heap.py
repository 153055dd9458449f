"""One contiguous heap of huge pages for what warm-up imports.

fork(2) copies a page table entry for each page of the parent: 512 times fewer when the heap is
made of huge pages. The kernel only makes them inside one mapping, but the interpreter gets its
memory as many small mappings in between those of shared libraries. So while modules are imported
its arenas come from the C library's heap, which is one mapping, and that is collapsed into huge
pages afterwards. A child that writes still copies 4 kB, not 2 MB.

Only with glibc and from Linux 6.1 on; elsewhere nothing happens. FORKD_HUGE_PAGES=0 turns it off.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Optional, Tuple

from forkd_runtime import syscalls

_HUGE = 2 * 1048576
_GROWTH_MAX = 512 * 1048576  # see Heap: arenas freed meanwhile stay allocated
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
# What glibc adjusts to by itself in a process that frees large blocks; setting any of these turns
# that adjustment off.
_USUAL = ((_M_MMAP_THRESHOLD, 4 << 20), (_M_TRIM_THRESHOLD, 8 << 20), (_M_TOP_PAD, 128 << 10))
_WARMING = ((_M_MMAP_THRESHOLD, 32 << 20), (_M_TRIM_THRESHOLD, 1 << 30), (_M_TOP_PAD, 4 << 20))


class _ArenaAllocator(ctypes.Structure):
    """PyObjectArenaAllocator of the C API: alloc(ctx, size) and free(ctx, pointer, size)."""

    _fields_ = [("ctx", ctypes.c_void_p), ("alloc", ctypes.c_void_p), ("free", ctypes.c_void_p)]


class Heap:
    """Use as a context around imports; `collapse` once at the end of warm-up.

    The functions of the C library fit as they are: realloc(NULL, size) allocates, and
    free(NULL, ...) does nothing. So an arena that becomes empty meanwhile is lost: a few MB of
    imports, but too much for a script that makes and drops large data. An arena from here that
    becomes empty later goes to munmap(2), which refuses an address inside a page, or unmaps just
    that arena.
    """

    def __init__(self) -> None:
        self._libc: Any = ctypes.CDLL(None)
        self._original: Optional[_ArenaAllocator] = None
        wanted = os.environ.get("FORKD_HUGE_PAGES") != "0"
        self._usable = wanted and hasattr(self._libc, "mallopt")
        self._start = 0

    def __enter__(self) -> "Heap":
        if self._usable:
            self._start = self._break()
            self._tune(_WARMING)
            self._original = _ArenaAllocator()
            ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(self._original))
            allocate = ctypes.cast(self._libc.realloc, ctypes.c_void_p)
            forget = ctypes.cast(self._libc.free, ctypes.c_void_p)
            self._set(_ArenaAllocator(None, allocate, forget))
        return self

    def __exit__(self, *_: object) -> None:
        if self._original is not None:
            self._set(self._original)
            self._original = None
            self._tune(_USUAL)

    def check(self) -> None:
        """After each import: gives up when this one is not like others."""
        if self._usable and self._break() - self._start > _GROWTH_MAX:
            self.__exit__()

    def collapse(self) -> int:
        """Makes huge pages of the heap; returns their kB, 0 when the kernel does not."""
        if not self._usable:
            return 0
        self._libc.malloc_trim(0)
        low, high = _heap()
        low, high = -(-low // _HUGE) * _HUGE, high // _HUGE * _HUGE
        if low >= high or not syscalls.collapse(low, high - low):
            return 0
        return (high - low) // 1024

    def _tune(self, options: Tuple[Tuple[int, int], ...]) -> None:
        for option, value in options:
            self._libc.mallopt(option, value)

    def _set(self, allocator: _ArenaAllocator) -> None:
        ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(allocator))

    def _break(self) -> int:
        sbrk = self._libc.sbrk
        sbrk.restype = ctypes.c_void_p
        return int(sbrk(0))


def _heap() -> Tuple[int, int]:
    """Address range of the C library's heap."""
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            if line.rstrip().endswith(b"[heap]"):
                low, high = line.split(None, 1)[0].split(b"-")
                return int(low, 16), int(high, 16)
    return 0, 0

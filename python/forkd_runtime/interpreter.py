"""What an interpreter fixes at its start and no Python code can change afterwards."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from typing import Any, Dict, List, Optional

from forkd_runtime import syscalls

_FLAGS = ("debug", "inspect", "interactive", "optimize", "dont_write_bytecode")
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_PR_SET_MM, _PR_SET_MM_MAP, _PR_SET_NAME = 35, 14, 15
# Fields of /proc/self/stat behind the name of the program, counted from 0
_START_CODE, _END_CODE, _START_STACK = 23, 24, 25
_START_DATA, _END_DATA, _START_BRK = 42, 43, 44
_KEPT: List[mmap.mmap] = []


def set_flag(name: str, value: int) -> None:
    """Changes a field of sys.flags, as its own option of the command line does."""
    flags: Any = sys.flags
    if getattr(flags, name) == value:
        return
    slots = id(flags) + tuple.__basicsize__ + _FLAGS.index(name) * _POINTER
    slot = ctypes.c_void_p.from_address(slots)
    new = ctypes.py_object(value)
    ctypes.pythonapi.Py_IncRef(new)
    old = ctypes.cast(slot, ctypes.py_object)
    slot.value = id(value)
    ctypes.pythonapi.Py_DecRef(old)


class _Map(ctypes.Structure):
    """struct prctl_mm_map."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "start_code",
            "end_code",
            "start_data",
            "end_data",
            "start_brk",
            "brk",
            "start_stack",
            "arg_start",
            "arg_end",
            "env_start",
            "env_end",
            "auxv",
        )
    ] + [("auxv_size", ctypes.c_uint32), ("exe_fd", ctypes.c_uint32)]


def show_command(name: str, argv: List[str], env: Dict[str, str]) -> None:
    """What ps, psutil and /proc show of this process. Only looks: a kernel that does not allow it
    leaves the template's command line there."""
    encoded = [os.fsencode(word) for word in argv]
    arguments = b"".join(word + b"\0" for word in encoded)
    variables = b"".join(os.fsencode("%s=%s\0" % pair) for pair in env.items())
    block = _memory(arguments + variables)
    if block is None:
        return
    start = ctypes.addressof(ctypes.c_char.from_buffer(block))
    try:
        _show(start, start + len(arguments), start + len(arguments) + len(variables))
        syscalls.prctl_pointer(_PR_SET_NAME, os.fsencode(name)[:15])
    except OSError:
        return
    _KEPT.append(block)


def _memory(content: bytes) -> Optional[mmap.mmap]:
    if not content:
        return None
    block = mmap.mmap(-1, len(content), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.write(content)
    return block


def _show(start: int, middle: int, end: int) -> None:
    with open("/proc/self/stat", "rb", 0) as file:
        stat = file.read().rpartition(b")")[2].split()
    plan = _Map(
        int(stat[_START_CODE]),
        int(stat[_END_CODE]),
        int(stat[_START_DATA]),
        int(stat[_END_DATA]),
        int(stat[_START_BRK]),
        syscalls.program_break(),
        int(stat[_START_STACK]),
        start,
        middle,
        middle,
        end,
        0,
        0,
        0xFFFFFFFF,
    )
    syscalls.prctl_map(_PR_SET_MM, _PR_SET_MM_MAP, plan)

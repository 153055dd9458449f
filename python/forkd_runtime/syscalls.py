"""System calls that the `os` module of Python 3.8 lacks, through the C library in the process.

Only ``ctypes.CDLL(None)``: the same with glibc and musl.
"""

from __future__ import annotations

import ctypes
import os
from typing import Tuple

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP = 1, 4, 22
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
MAP_SHARED, MAP_FIXED, MAP_ANONYMOUS, PROT_READ_WRITE = 1, 0x10, 0x20, 3
MADV_NOHUGEPAGE, MADV_COLLAPSE = 15, 25

_SYS_CLOSE_RANGE = 436  # the same number on every architecture
_SOCK_FILTER_SIZE = 8
_CAPABILITY_VERSION_3 = 0x20080522

_EAGAIN = 11
_COLLAPSE_TRIES = 20

_libc = ctypes.CDLL(None, use_errno=True)
_long = ctypes.c_long
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_setns = _libc.setns
_setns.argtypes = (ctypes.c_int, ctypes.c_int)
_capset = _libc.capset
_capset.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
_close_range = _libc.syscall
_close_range.restype = _long
_close_range.argtypes = (_long, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t) + (ctypes.c_int,) * 3 + (_long,)
_clearenv = _libc.clearenv
_clearenv.argtypes = ()
_madvise = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_sbrk = _libc.sbrk
_sbrk.restype = ctypes.c_void_p
_sbrk.argtypes = (_long,)
_fflush = _libc.fflush
_fflush.argtypes = (ctypes.c_void_p,)


class SockFprog(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


_cap_header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
_cap_none = (ctypes.c_uint32 * 6)()
_cap_header_at = ctypes.addressof(_cap_header)
_cap_none_at = ctypes.addressof(_cap_none)


def _failed(call: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, "%s: %s" % (call, os.strerror(code)))


def setns(fd: int, kinds: int) -> None:
    if _setns(fd, kinds) != 0:
        raise _failed("setns(%d, %#x)" % (fd, kinds))


def prctl(option: int, a: int = 0, b: int = 0) -> None:
    if _prctl(option, a, b, 0, 0) != 0:
        raise _failed("prctl(%d, %d)" % (option, a))


def prctl_pointer(option: int, text: bytes) -> None:
    """For options that take a text."""
    buffer = ctypes.create_string_buffer(text)
    prctl(option, ctypes.addressof(buffer))


def prctl_map(option: int, kind: int, value: ctypes.Structure) -> None:
    """PR_SET_MM_MAP: needs no privilege when it changes no executable."""
    size = ctypes.sizeof(value)
    if _prctl(option, kind, ctypes.addressof(value), size, 0) != 0:
        raise _failed("prctl(%d, %d)" % (option, kind))


def program_break() -> int:
    """The end of the heap."""
    return int(_sbrk(0))


def last_capability() -> int:
    """Highest capability that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        return int(file.read())


def drop_capabilities(last: int) -> None:
    """Bounding, ambient, permitted, effective and inheritable sets: all empty for good."""
    _limit_capabilities(last, 0, _cap_none_at)


def keep_capabilities(last: int, kept: int) -> None:
    """As above, but those of the bit mask stay permitted and effective."""
    low, high = kept & 0xFFFFFFFF, kept >> 32
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _limit_capabilities(last, kept, ctypes.addressof(sets))


def _limit_capabilities(last: int, kept: int, sets: int) -> None:
    for capability in range(last + 1):
        if kept >> capability & 1:
            continue
        if _prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise _failed("prctl(PR_CAPBSET_DROP, %d)" % capability)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    if _capset(_cap_header_at, sets) != 0:
        raise _failed("capset")


class SeccompProgram:
    """An array of struct sock_filter, made before the fork and installed after it."""

    def __init__(self, instructions: bytes) -> None:
        count, rest = divmod(len(instructions), _SOCK_FILTER_SIZE)
        if rest or not 0 < count <= 4096:
            raise ValueError("a seccomp program of %d bytes" % len(instructions))
        self._instructions = ctypes.create_string_buffer(instructions, len(instructions))
        self._program = SockFprog(count, ctypes.addressof(self._instructions))
        self._address = ctypes.addressof(self._program)

    def install(self) -> None:
        """Needs no_new_privs."""
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, self._address)


def close_from(first: int, kept: Tuple[int, ...] = ()) -> None:
    """Closes every descriptor >= first but the kept ones."""
    low = first
    for fd in sorted(kept):
        if fd < low:
            continue
        close_between(low, fd - 1)
        low = fd + 1
    close_between(low, 0x7FFFFFFF)


def close_between(low: int, high: int) -> None:
    """Closes every descriptor from low to high."""
    if low > high or _close_range(_SYS_CLOSE_RANGE, low, high, 0) == 0:
        return
    # A kernel before 5.9, or a sandbox that does not allow the call
    for name in os.listdir("/proc/self/fd"):
        if low <= int(name) <= high:
            try:
                os.close(int(name))
            except OSError:
                continue  # the descriptor that listed the directory: gone already


def replace_mapping(address: int, length: int) -> None:
    """Puts fresh shared anonymous memory with the same contents where a mapping was: shared with
    later forks of this process, with nobody else."""
    contents = ctypes.string_at(address, length)
    flags = MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS
    if _mmap(address, length, PROT_READ_WRITE, flags, -1, 0) != address:
        raise _failed("mmap(%#x, %d)" % (address, length))
    ctypes.memmove(address, contents, length)


def collapse(address: int, length: int) -> bool:
    """Huge pages, now, and no more of them later: the kernel would un-share a child's memory to
    make some. False when the kernel cannot."""
    tries = 1
    while _madvise(address, length, MADV_COLLAPSE) != 0:
        # A page of it was in use by the kernel at that moment, says madvise(2): try again.
        if ctypes.get_errno() != _EAGAIN or tries == _COLLAPSE_TRIES:
            return False
        tries += 1
    return bool(_madvise(address, length, MADV_NOHUGEPAGE) == 0)


def clear_environment() -> None:
    """The C library's environment; os.environ has a copy of its own."""
    if _clearenv() != 0:
        raise _failed("clearenv")


def flush_c_streams() -> None:
    _fflush(None)

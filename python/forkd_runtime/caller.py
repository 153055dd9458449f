"""Reads WARM_RUN: a command line of somebody inside the sandbox who started the interpreter.

The sender is the sandbox's own user, so nothing here guards a privilege; it is all bounded and
checked because a broken message must not end the runtime.
"""

from __future__ import annotations

import _signal
import fcntl
import os
import resource
import sys
from typing import Dict, FrozenSet, List, NamedTuple, Tuple

from forkd_runtime import frames, syscalls
from forkd_runtime.channel import close_all
from forkd_runtime.frames import Frame
from forkd_runtime.program import KINDS, Program

RUN, RUNNING, ENDED, COLD = 0x60, 0xE0, 0xE1, 0xE2
_DESCRIPTOR, _IGNORED, _BLOCKED, _LIMIT = 96, 97, 98, 99
_UMASK, _EXECUTABLE, _OPTIONS, _FIRST = 100, 101, 102, 103
_LIMITS = 16
_INT64 = 2**63


class Malformed(Exception):
    """No request that this runtime understands."""


class Call(NamedTuple):
    """A command line and everything that its process was given."""

    kind: str
    text: str
    argv: List[str]
    first: int
    env: Dict[str, str]
    executable: str
    options: FrozenSet[str]
    numbers: List[int]
    umask: int
    blocked: FrozenSet[int]
    ignored: FrozenSet[int]
    limits: Tuple[Tuple[int, int], ...]


def read(frame: Frame) -> Call:
    """Malformed, or frames.ProtocolError, when it is not one."""
    if frame.type != RUN or len(frame.fds) < 1:
        raise Malformed("the request is no WARM_RUN")
    kind = frame.text(frames.K_KIND)
    text = frame.text(frames.K_CODE if kind == "code" else frames.K_TARGET)
    argv = frame.texts(frames.K_ARGV)
    first = frame.integer(_FIRST, 1, 1, max(1, len(argv)))
    executable = frame.text(_EXECUTABLE) or ""
    if kind not in KINDS or text is None or not argv or not executable.startswith("/"):
        raise Malformed("the request is incomplete")
    numbers = _integers(frame, _DESCRIPTOR, 0, 65535)
    if len(numbers) != len(frame.fds) - 1 or len(set(numbers)) != len(numbers):
        raise Malformed("descriptors and their numbers do not match")
    limits = _integers(frame, _LIMIT, -1, _INT64 - 1)
    if len(limits) != 2 * _LIMITS:
        raise Malformed("there are %d limits" % len(limits))
    blocked = frame.integer(_BLOCKED, 0, -_INT64, _INT64 - 1) & (2**64 - 1)
    return Call(
        kind,
        text,
        argv,
        first,
        _environment(frame.texts(frames.K_ENV)),
        executable,
        frozenset(frame.text(_OPTIONS) or ""),
        numbers,
        frame.integer(_UMASK, 0o22, 0, 0o777),
        frozenset(number for number in range(1, 65) if blocked >> (number - 1) & 1),
        frozenset(_integers(frame, _IGNORED, 1, 64)),
        tuple(zip(limits[::2], limits[1::2])),
    )


def _integers(frame: Frame, key: int, low: int, high: int) -> List[int]:
    values = []
    for value in frame.fields.get(key, []):
        number = int.from_bytes(value, "big", signed=True)
        if len(value) != 8 or not low <= number <= high:
            raise Malformed("field %d is outside %d..%d" % (key, low, high))
        values.append(number)
    return values


def _environment(entries: List[str]) -> Dict[str, str]:
    env: Dict[str, str] = {}
    for entry in entries:
        key, separator, value = entry.partition("=")
        if not key or not separator or key in env:
            raise Malformed("the environment has an odd entry")
        env[key] = value
    return env


class Called(Program):
    """Puts a forked process into the place of the one that its caller has started."""

    def __init__(self, call: Call, fds: List[int]) -> None:
        super().__init__(call.kind, call.text, call.argv[call.first :], call.env, None, fds)
        self._call = call

    def _place(self) -> None:
        numbers = self._call.numbers
        high = max([*numbers, 2]) + 1
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high) for fd in self.fds]
        syscalls.close_between(0, high - 1)
        syscalls.close_from(high, tuple(moved))
        os.fchdir(moved[0])
        for fd, number in zip(moved[1:], numbers):
            os.dup2(fd, number, inheritable=True)
        close_all(moved)

    def _take_over(self) -> None:
        os.umask(self._call.umask)
        for number in self._call.ignored:
            try:
                _signal.signal(number, _signal.SIG_IGN)
            except (OSError, ValueError):
                continue  # kept by the C library: no Python program can tell
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._call.blocked)
        # Only those that differ: to raise one takes a privilege.
        for number, limit in enumerate(self._call.limits):
            if resource.getrlimit(number) != limit:
                resource.setrlimit(number, limit)
        sys.executable = self._call.executable
        sys._base_executable = self._call.executable  # type: ignore[attr-defined]

    def _unbuffered(self) -> bool:
        return "u" in self._call.options or super()._unbuffered()

    def _writes_no_bytecode(self) -> bool:
        return "B" in self._call.options or super()._writes_no_bytecode()

    def _set_arguments(self) -> None:
        super()._set_arguments()
        if sys.version_info >= (3, 10):
            sys.orig_argv[:] = self._call.argv

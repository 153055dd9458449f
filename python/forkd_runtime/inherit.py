"""What a fork must not share with its parent and siblings, and gets a private copy of.

A descriptor that warm-up left open shares its offset among all forks; writable shared memory
shares its contents. Both are replaced in the child, at the same number and address.
"""

from __future__ import annotations

import _signal
import atexit
import os
import signal
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from forkd_runtime import syscalls

Registered = Tuple[Callable[..., Any], Tuple[Any, ...], Dict[str, Any]]
_SIGCHLD, _SIGINT, _SIG_DFL = int(signal.SIGCHLD), int(signal.SIGINT), int(signal.SIG_DFL)


class OpenFile(NamedTuple):
    """A descriptor of the parent; `path` None stands for what no child may use."""

    fd: int
    path: Optional[str]
    flags: int
    offset: int
    required: bool  # a child that cannot open it must not start


class Mapping(NamedTuple):
    """Writable shared memory of the parent."""

    address: int
    length: int


class Inheritance:
    """All of it, found once at the end of warm-up."""

    def __init__(self) -> None:
        self.files: List[OpenFile] = []
        self.mappings: List[Mapping] = []
        self.exit_callbacks: List[Registered] = []
        self.faulthandler = False
        self.collects_garbage = True

    def restore(self) -> None:
        """In the child, when all descriptors but its own are closed."""
        for file in self.files:
            _reopen(file)
        for mapping in self.mappings:
            syscalls.replace_mapping(mapping.address, mapping.length)

    def restore_exit_callbacks(self) -> None:
        """Only the callbacks that every process of this program should run at its end."""
        atexit._clear()
        for function, args, kwargs in self.exit_callbacks:
            atexit.register(function, *args, **kwargs)


def _reopen(file: OpenFile) -> None:
    # /dev/null keeps the number taken: an object that still believes it owns the descriptor
    # would otherwise close, or write to, whatever the program opens next.
    try:
        fd = os.open(file.path or os.devnull, file.flags | os.O_CLOEXEC, 0o666)
        if file.offset:
            os.lseek(fd, file.offset, os.SEEK_SET)
    except OSError:
        if file.required:
            raise
        fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    if fd != file.fd:
        os.dup2(fd, file.fd, inheritable=True)
        os.close(fd)
    os.set_inheritable(file.fd, not file.flags & os.O_CLOEXEC)


def default_signals() -> None:
    """In a child that will run user code; all others were reset at the end of warm-up."""
    # Not by way of `signal`: its conversions to enum members copy a dozen pages.
    _signal.set_wakeup_fd(-1)
    _signal.signal(_SIGCHLD, _SIG_DFL)
    _signal.signal(_SIGINT, _signal.default_int_handler)

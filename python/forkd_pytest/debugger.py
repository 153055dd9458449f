"""`--pdb` in a worker: the process whose test has failed is kept, and gets the user's terminal.

It listens on a socket of its sandbox and tells the controller, which asks the host; the host runs
`VISITOR` in the same sandbox, at a terminal that is joined to the user's. The visitor hands that
terminal's descriptor over (SCM_RIGHTS, unix(7)) and stays until the debugger is left.
"""

from __future__ import annotations

import array
import contextlib
import io
import os
import secrets
import signal
import socket
import sys
from typing import Any, Iterator

import pytest

# Keys that mean a signal reach the processes of the visitor's session: it passes Ctrl-C on, and
# has to be ready for that before there is a prompt to type it at.
VISITOR = """\
import array, os, signal, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect("\\0" + sys.argv[1])
runner = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4)
runner = int.from_bytes(runner, sys.byteorder)
signal.signal(signal.SIGTSTP, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
signal.signal(signal.SIGINT, lambda *_: os.kill(runner, signal.SIGINT))
line.sendmsg([b"t"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
line.recv(1)
"""

PLUGIN = "forkd_debugger"


class Debugger:
    """The plugin. Registered in the keeper beside pytest's own debugger, which it wraps."""

    def __init__(self, console: Any) -> None:
        self.runner: Any = None  # set in its process
        self._console = console

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_exception_interact(self, node: Any) -> Iterator[None]:
        """Around the hook in which pytest enters pdb."""
        if self.runner is None:
            yield
            return
        capture = node.config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        self.runner.waits_for_user()
        with self._terminal():
            yield

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        with socket.socket(socket.AF_UNIX) as listener:
            name = "forkd-debugger-" + secrets.token_hex(8)
            listener.bind("\0" + name)
            listener.listen(1)
            self.runner.needs_terminal(name)
            visitor, _ = listener.accept()  # another worker's user may take hours
        with visitor, _standard_streams(_received(visitor)):
            self._console.connect(_write)
            try:
                yield
            finally:
                self._console.mute()


def register(config: Any, console: Any) -> None:
    """In the keeper: what `--pdb` on pytest's command line does, and the plugin around it."""
    from _pytest.debugging import PdbInvoke

    config.option.usepdb = True  # unittest's cases then put off their teardown
    config.pluginmanager.register(PdbInvoke(), "pdbinvoke")
    config.pluginmanager.register(Debugger(console), PLUGIN)


def _received(visitor: socket.socket) -> int:
    """The descriptor that comes with the first byte."""
    fds = array.array("i")
    _, ancillary, _, _ = visitor.recvmsg(1, socket.CMSG_SPACE(fds.itemsize))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: fds.itemsize])
    if not fds:
        raise EOFError("the debugger got no terminal: who was to bring it went away")
    return fds[0]


@contextlib.contextmanager
def _standard_streams(terminal: int) -> Iterator[None]:
    """It is standard input, output and error until then; nobody has it open afterwards: the
    visitor's program ends with the last one who has."""
    usual = [os.dup(fd) for fd in range(3)]
    stdin, interrupt = sys.stdin, signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for fd in range(3):
            os.dup2(terminal, fd)
        os.close(terminal)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # the terminal may be gone
                stream.flush()
        signal.signal(signal.SIGINT, interrupt)
        sys.stdin = stdin
        for fd, saved in enumerate(usual):
            os.dup2(saved, fd)
            os.close(saved)


def _write(text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(1, data) :]

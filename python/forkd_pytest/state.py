"""What of a pytest session must be put aside before a fork, and set up again after it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Any, NamedTuple, Optional

from forkd_pytest import coverage


class RandomState(NamedTuple):
    """The global generators as collection left them: a seed set at import must hold in a fork."""

    python: Any
    numpy: Any

    @staticmethod
    def now() -> "RandomState":
        random, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
        return RandomState(
            random.getstate() if random is not None else None,
            numpy.get_state() if numpy is not None else None,
        )

    def restore(self) -> None:
        if self.python is not None:
            sys.modules["random"].setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy.random"].set_state(self.numpy)


def park(config: Any) -> None:
    """In the parent, at the end of collection: nothing stays open that forks would share."""
    coverage.park()
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)
        capture.stop_global_capturing()
    _park_faulthandler(config)
    name_libraries()


def name_libraries() -> None:
    """Tells the loader the real path of every library that it has loaded.

    It knows a library by the name that it was loaded under, else by device and inode; these are
    others in each sandbox, whose root is a mount of its own. A program that asks for a loaded
    library by its real path (threadpoolctl does) would not find it there.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        paths = {line.split(None, 5)[5].rstrip("\n") for line in file if ".so" in line}
    for path in paths:
        if path.startswith("/"):
            with contextlib.suppress(OSError):
                ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)


def _faulthandler_key() -> Any:
    from _pytest import faulthandler as plugin

    names = ("fault_handler_stderr_fd_key", "fault_handler_stderr_key")
    return next((getattr(plugin, name) for name in names if hasattr(plugin, name)), None)


def _park_faulthandler(config: Any) -> None:
    import faulthandler

    store = getattr(config, "stash", None) or getattr(config, "_store", None)
    key = _faulthandler_key()
    faulthandler.disable()
    if store is None or key is None or key not in store:
        return
    stream = store[key]
    with contextlib.suppress(OSError):
        os.close(stream) if isinstance(stream, int) else stream.close()
    # The plugin closes what it finds there when the session ends: give it something to close.
    store[key] = -1
    del store[key]
    _quiet(config, "faulthandler")


def _quiet(config: Any, name: str) -> None:
    """The plugin's hooks expect what is parked."""
    plugin = config.pluginmanager.getplugin(name)
    if plugin is not None:
        config.pluginmanager.unregister(plugin)


def unpark(config: Any, capturing: bool) -> None:
    """In a fork. A worker captures output; the controller has nothing to capture."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None and capturing:
        capture.start_global_capturing()
        capture.suspend_global_capture(in_=False)


def enable_faulthandler(fd: int, dump_signal: Optional[int]) -> None:
    """Stacks of a crash, and of a test that takes too long, go to that descriptor."""
    import faulthandler

    faulthandler.enable(fd, all_threads=True)
    if dump_signal is not None:
        faulthandler.register(dump_signal, fd, all_threads=True)

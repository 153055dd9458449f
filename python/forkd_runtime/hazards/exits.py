"""Exit callbacks that warm-up registered: the parent's own clean-up must not run in children."""

from __future__ import annotations

import atexit
import weakref
from typing import Any, Callable, List

from forkd_runtime.hazards.model import Hazard, Policy, cured
from forkd_runtime.inherit import Inheritance, Registered

# Registered when a module is imported, and meant for every process that has imported it.
_FOR_EVERY_PROCESS = frozenset(
    (
        ("logging", "shutdown"),
        ("multiprocessing.util", "_exit_function"),
        ("weakref", "finalize._exitfunc"),
        ("concurrent.futures.thread", "_python_exit"),
        ("concurrent.futures.process", "_python_exit"),
    )
)


class ExitLedger:
    """Keeps account of atexit.register, because atexit cannot list its callbacks."""

    def __init__(self) -> None:
        self.registered: List[Registered] = []
        self._register = atexit.register
        self._unregister = atexit.unregister
        atexit.register = self._recorded  # type: ignore[assignment]
        atexit.unregister = self._forgotten

    def stop(self) -> None:
        """Later callbacks are those of children, and stay. A module that holds on to our
        function goes on to work."""
        atexit.register = self._register
        atexit.unregister = self._unregister
        self._recording = False

    _recording = True

    def _recorded(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._recording:
            self.registered.append((func, args, kwargs))
        return self._register(func, *args, **kwargs)

    def _forgotten(self, func: Callable[..., Any]) -> None:
        self.registered = [entry for entry in self.registered if entry[0] != func]
        self._unregister(func)


def settle(ledger: ExitLedger, inheritance: Inheritance, policy: Policy) -> List[Hazard]:
    ledger.stop()
    if policy.names("atexit"):
        inheritance.exit_callbacks = list(ledger.registered)
        return []
    kept = [entry for entry in ledger.registered if _identity(entry[0]) in _FOR_EVERY_PROCESS]
    inheritance.exit_callbacks = kept
    dropped = [
        ".".join(_identity(entry[0])) for entry in ledger.registered if entry not in kept
    ]
    dropped += _disarm_finalizers()
    if not dropped:
        return []
    names = ", ".join(dict.fromkeys(dropped))
    return [cured("atexit", "callbacks of warm-up do not run in children: %s" % names)]


def _identity(function: Any) -> "tuple[str, str]":
    target = getattr(function, "__func__", function)
    module = getattr(target, "__module__", None) or type(target).__module__
    name = getattr(target, "__qualname__", None) or type(target).__qualname__
    return (str(module), str(name))


def _disarm_finalizers() -> List[str]:
    """weakref.finalize does not look at the pid: each child would remove the parent's files."""
    disarmed = []
    registry: Any = weakref.finalize._registry  # type: ignore[attr-defined]
    for info in list(registry.values()):
        if info.atexit:
            info.atexit = False
            disarmed.append("finalizer " + ".".join(_identity(info.func)))
    return disarmed

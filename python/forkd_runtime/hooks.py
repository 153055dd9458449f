"""What a user's code does at the two moments that only it can know about: before the snapshot, and
in each child before anybody may use it.

    from forkd_runtime.hooks import after_fork, before_snapshot

    @before_snapshot
    def close_connections() -> None: ...

    @after_fork
    def new_identity() -> None: ...

`before_snapshot` runs at the end of the warm-up, last registered first; `after_fork` in every
sandbox, first registered first. Both must return before a deadline, and a failure is final: the
snapshot is not made, the child is not handed out.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from types import ModuleType
from typing import Any, Callable, Dict, List, NoReturn, Optional, TypeVar

from forkd_runtime import ending
from forkd_runtime.evaluate import describe, remember_source

Hook = Callable[[], Any]
_H = TypeVar("_H", bound=Hook)
BEFORE, AFTER = "before_snapshot", "after_fork"
DEADLINE_MS = 5000
_hooks: Dict[str, List[Hook]] = {BEFORE: [], AFTER: []}


class HookFailed(Exception):
    """Which hook failed and why, in one line, and the user's part of the traceback."""

    def __init__(self, message: str, tb: str = "") -> None:
        super().__init__(message)
        self.traceback = tb


class _Late(BaseException):
    """Out of a hook that takes too long; no `except Exception` of its own stops it."""


def before_snapshot(hook: _H) -> _H:
    """Decorator: runs at the end of the warm-up, before anything is checked or frozen."""
    _hooks[BEFORE].append(hook)
    return hook


def after_fork(hook: _H) -> _H:
    """Decorator: runs once in every sandbox, after its identity and random numbers are its own."""
    _hooks[AFTER].append(hook)
    return hook


def wanted(kind: str) -> bool:
    """Whether anything is registered."""
    return bool(_hooks[kind])


def add_script(kind: str, source: Optional[str], namespace: Optional[ModuleType]) -> None:
    """The recipe's text, run in the warm-up script's namespace. SyntaxError when it is none."""
    if not source:
        return
    name = "<%s>" % kind
    code = compile(source, name, "exec", dont_inherit=True)
    variables = vars(namespace) if namespace is not None else {"__name__": "__main__"}

    def script() -> None:
        remember_source(name, source)
        exec(code, variables)

    script.__qualname__ = "of the recipe"
    _hooks[kind].append(script)


def run(kind: str, deadline_ms: int) -> None:
    """All hooks of a kind. HookFailed when one raises, exits, leaves a thread, or is late."""
    due = time.monotonic() + deadline_ms / 1000
    hooks = _hooks[kind] if kind == AFTER else list(reversed(_hooks[kind]))
    before = threading.active_count()
    for hook in hooks:
        _run_one("%s hook %s" % (kind, _name(hook)), hook, due, deadline_ms)
    if kind == AFTER and threading.active_count() > before:
        raise HookFailed(
            "%s left a thread running: programs are forks of this process and would not have it"
            % kind
        )


def _name(hook: Hook) -> str:
    return str(getattr(hook, "__qualname__", None) or repr(hook))


def _run_one(what: str, hook: Hook, due: float, deadline_ms: int) -> None:
    pid = os.getpid()
    left = due - time.monotonic()
    previous = signal.signal(signal.SIGALRM, _raise_late)
    try:
        # Again and again: a hook may swallow the first.
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), 0.1)
        try:
            hook()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Late:
        _fail_late(what, deadline_ms)
    except BaseException as error:  # SystemExit in a hook is a failure as well
        tb = ending.user_traceback(error.__traceback__)
        lines = traceback.format_exception(type(error), error, tb)
        raise HookFailed("%s failed: %s" % (what, describe(error)), "".join(lines)) from None
    finally:
        signal.signal(signal.SIGALRM, previous)
    if os.getpid() != pid:
        os._exit(0)  # the hook forked, and its child came back here
    if time.monotonic() > due:
        _fail_late(what, deadline_ms)


def _fail_late(what: str, deadline_ms: int) -> NoReturn:
    raise HookFailed("%s took longer than its deadline of %d ms" % (what, deadline_ms))


def _raise_late(number: int, frame: Any) -> None:
    raise _Late


def forget() -> None:
    """For tests: as at the start."""
    for hooks in _hooks.values():
        hooks.clear()

"""The end of a program, as the interpreter's own, but without its costly finalisation.

Order of Py_RunMain: non-daemon threads, exit callbacks, standard streams, modules. The process
then leaves by os._exit: a full finalisation would touch (and so copy) every page of the parent.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
import weakref
from types import ModuleType, TracebackType
from typing import Any, Callable, NoReturn, Optional

_OWN = os.path.dirname(os.path.abspath(__file__))


def run(body: Callable[[], None], is_warm: Callable[[str], bool]) -> NoReturn:
    """Runs the program and ends the process."""
    code, error = 0, None
    try:
        body()
    except SystemExit as leaving:
        code = exit_code(leaving.code)
    except BaseException as uncaught:  # what the interpreter's top level does
        error = uncaught
    interrupted = isinstance(error, KeyboardInterrupt)
    if error is not None:  # here and not above: what a hook raises has no context then
        code = _report(error)
        error = None
    if not _finish(is_warm):
        code = 120
    if interrupted:
        _die_by_interrupt()
    os._exit(code & 0xFF)


def exit_code(value: Any) -> int:
    """The rules of sys.exit(value)."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else 0xFF
    _print_error(str(value) + "\n")
    return 1


def _print_error(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:  # no usable stderr: the interpreter is silent, too
        return


def user_traceback(tb: Optional[TracebackType]) -> Optional[TracebackType]:
    """The part of a traceback below the runtime's own frames."""
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_OWN):
        tb = tb.tb_next
    return tb


def _report(error: BaseException) -> int:
    # The default hook prints __traceback__, whatever it is handed as third argument.
    error.__traceback__ = tb = user_traceback(error.__traceback__)
    kind = type(error)
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, tb
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    try:
        sys.excepthook(kind, error, tb)
    except SystemExit as leaving:
        return exit_code(leaving.code)
    except BaseException as second:
        second.__traceback__ = user_traceback(second.__traceback__)
        _print_error("Error in sys.excepthook:\n")
        traceback.print_exception(type(second), second, second.__traceback__)
        _print_error("\nOriginal exception was:\n")
        traceback.print_exception(kind, error, tb)
    return 1


def _finish(is_warm: Callable[[str], bool]) -> bool:
    """False when output could not be written."""
    threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):  # before 3.10 it raises what it has printed
        atexit._run_exitfuncs()
    flushed = _flush(_unraisable)
    _drop_modules(is_warm)
    _flush(_silent)  # what __del__ has printed
    return flushed


def _flush(told: Callable[[Any, BaseException], None]) -> bool:
    flushed = True
    for stream in (sys.stdout, sys.stderr):
        if stream is None or getattr(stream, "closed", False):
            continue
        try:
            stream.flush()
        except BaseException as error:
            if stream is sys.stdout:
                told(stream, error)
            flushed = False
    return flushed


def _unraisable(source: Any, error: BaseException) -> None:
    lines = traceback.format_exception_only(type(error), error)
    where = "on flushing sys.stdout:" if sys.version_info >= (3, 13) else "in: %r" % source
    _print_error("Exception ignored %s\n%s" % (where, "".join(lines)))


def _silent(source: Any, error: BaseException) -> None:
    return None


def _drop_modules(is_warm: Callable[[str], bool]) -> None:
    """Lets go of what the program made, so that files are flushed and __del__ is called."""
    for name in reversed(list(sys.modules)):
        if name != "__main__" and not is_warm(name):
            del sys.modules[name]
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        sys.__dict__.pop(name, None)
    main = sys.modules.pop("__main__", None)
    if main is None:
        return
    watch = weakref.ref(main)
    del main
    gc.collect()
    main = watch()
    if main is not None:  # something that lives on holds it: the names go all the same
        _clear(main)
        gc.collect()


def _clear(module: ModuleType) -> None:
    # The interpreter's order: names with one leading underscore first, then all but builtins
    namespace = vars(module)
    for name in list(namespace):
        if name.startswith("_") and not name.startswith("__"):
            namespace[name] = None
    for name in list(namespace):
        if name != "__builtins__":
            namespace[name] = None


def _die_by_interrupt() -> None:
    # So that the one who waits sees a death by SIGINT, as with the real interpreter.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)

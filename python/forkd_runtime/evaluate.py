"""Evaluates source text in a namespace that persists, as an interactive interpreter does."""

from __future__ import annotations

import __future__
import ast
import builtins
import linecache
import traceback
from types import CodeType
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from forkd_runtime import ending

_SOURCES_MAX = 100  # evals whose text is kept for tracebacks
_FUTURE = 0
for _name in __future__.all_feature_names:
    _FUTURE |= getattr(__future__, _name).compiler_flag


class Outcome(NamedTuple):
    """`result` is None for statements and for the value None; `error` is `Type: message`."""

    result: Optional[str]
    error: Optional[str]
    traceback: Optional[str]


class Evaluator:
    """SIGINT raises while user code runs, or at its beginning when it came a moment before."""

    def __init__(self, namespace: Dict[str, Any]) -> None:
        self._namespace = namespace
        self._count = 0
        self._flags = 0  # `from __future__` imports persist, too
        self._armed = False  # exactly while user code runs
        self._missed = False  # a SIGINT came while it was not

    def interrupt(self) -> None:
        """What SIGINT does."""
        if self._armed:
            raise KeyboardInterrupt
        self._missed = True

    def calm(self) -> None:
        """No SIGINT that came so far is meant for the next eval."""
        self._missed = False

    def evaluate(self, code: str) -> Outcome:
        """Never raises: whatever the user's code does is a result."""
        self._count += 1
        name = "<eval-%d>" % self._count
        remember_source(name, code)
        linecache.cache.pop("<eval-%d>" % (self._count - _SOURCES_MAX), None)
        try:
            return Outcome(self._guarded(lambda: self._run(code, name)), None, None)
        except BaseException as error:
            self._armed = False
            return self._failure(error)

    def _guarded(self, body: Callable[[], Optional[str]]) -> Optional[str]:
        try:
            self._armed = True
            if self._missed:
                self._missed = False
                raise KeyboardInterrupt
            return body()
        finally:
            self._armed = False

    def _run(self, code: str, name: str) -> Optional[str]:
        statements, expression = self._compile(code, name)
        if statements is not None:
            exec(statements, self._namespace)
        if expression is None:
            return None
        value = eval(expression, self._namespace)
        if value is None:
            return None
        builtins._ = value  # type: ignore[attr-defined]
        return repr(value)

    def _compile(self, code: str, name: str) -> Tuple[Optional[CodeType], Optional[CodeType]]:
        """The statements, and the last one if it is an expression: its value is the result."""
        flags = self._flags
        tree = compile(code, name, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        last: Optional[ast.expr] = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = tree.body.pop().value
        statements = compile(tree, name, "exec", flags, dont_inherit=True)
        self._flags = flags = flags | (statements.co_flags & _FUTURE)
        if last is None:
            return statements, None
        value = compile(ast.Expression(last), name, "eval", flags, dont_inherit=True)
        return (statements if tree.body else None), value

    def _failure(self, error: BaseException) -> Outcome:
        try:
            error.__traceback__ = tb = ending.user_traceback(error.__traceback__)
            text = "".join(traceback.format_exception(type(error), error, tb))
            return Outcome(None, describe(error), text)
        except BaseException as second:  # an exception that cannot even be printed
            return Outcome(None, type(error).__name__, "unprintable: %s" % type(second).__name__)


def describe(error: BaseException) -> str:
    """`Type: message`."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = "%s.%s" % (kind.__module__, name)
    try:
        message = str(error)
    except Exception:
        message = "<exception str() failed>"
    return "%s: %s" % (name, message) if message else name


def remember_source(name: str, code: str) -> None:
    """Lets tracebacks show lines of source that is in no file."""
    lines = [line + "\n" for line in code.splitlines()]
    linecache.cache[name] = (len(code), None, lines, name)

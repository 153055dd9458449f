"""Which import brought which modules along, and which variables of the environment it looked at.

Started before anything else is imported, stopped when warm-up ends. A program that imports one of
the warm modules later gets all that came with it, and no more (`reveal`); one whose environment
differs in what was looked at does not run warm (`equivalence`).
"""

from __future__ import annotations

import itertools
import os
import sys
from types import FrameType
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

# Named like importlib's own code, so that tracebacks leave it out as they leave that out.
HOOK_FILE = "<frozen importlib._bootstrap>"
_HOOK = """
def _find_and_load(name, import_):
    entered(name)
    try:
        return original(name, import_)
    finally:
        left(name)
"""
# They hand on a question about one key, or look at all of them.
_ASKING = frozenset(("get", "getenv", "__contains__", "setdefault", "pop"))
_FOREIGN_FILES = ("os.py", "_collections_abc.py")


class Read(NamedTuple):
    """A variable, and the module that was being imported."""

    key: str
    module: str


def bootstrap() -> Any:
    """The part of importlib that the interpreter calls for `import`."""
    return sys.modules["_frozen_importlib"]


class Recorder:
    """One per process."""

    def __init__(self) -> None:
        self.brought: Dict[str, Set[str]] = {}
        self._stack: List[Tuple[str, int]] = []
        self._known: Set[str] = set()
        self._reads: Dict[Tuple[str, str], Read] = {}
        self._undo: List[Any] = []

    def start(self) -> None:
        self._known = set(sys.modules)
        importer = bootstrap()
        original = importer._find_and_load
        scope: Dict[str, Any] = {
            "entered": self._entered,
            "left": self._left,
            "original": original,
        }
        exec(compile(_HOOK, HOOK_FILE, "exec"), scope)
        importer._find_and_load = scope["_find_and_load"]
        environ: Any = type(os.environ)
        getitem = environ.__getitem__

        def recorded(mapping: Any, key: str) -> str:
            if self._stack and mapping is os.environ:
                self._read(key)
            return str(getitem(mapping, key))

        environ.__getitem__ = recorded
        self._undo = [(importer, "_find_and_load", original), (environ, "__getitem__", getitem)]

    def stop(self) -> None:
        for owner, name, value in self._undo:
            setattr(owner, name, value)
        self._undo = []

    def _entered(self, name: str) -> None:
        if self._stack:
            self.brought.setdefault(self._stack[-1][0], set()).add(name)
        self._stack.append((name, len(sys.modules)))

    def _left(self, name: str) -> None:
        _, before = self._stack.pop()
        for module in itertools.islice(list(sys.modules), before, None):
            if module not in self._known:
                self._known.add(module)
                if module != name:
                    self.brought.setdefault(name, set()).add(module)

    def _read(self, key: Any) -> None:
        if isinstance(key, str) and _asks_for_one(sys._getframe(2)):
            module = self._stack[-1][0]
            self._reads.setdefault((key, module), Read(key, module))

    def reads(self) -> List[Read]:
        """Without those of modules that have looked at everything, as for a copy."""
        keys: Dict[str, Set[str]] = {}
        for read in self._reads.values():
            keys.setdefault(read.module, set()).add(read.key)
        everything = set(os.environ)
        copiers = {module for module, seen in keys.items() if seen >= everything}
        return [read for read in self._reads.values() if read.module not in copiers]


def _asks_for_one(frame: Optional[FrameType]) -> bool:
    while frame is not None and frame.f_code.co_filename.endswith(_FOREIGN_FILES):
        if frame.f_code.co_name not in _ASKING:
            return False
        frame = frame.f_back
    return True


RECORDER = Recorder()

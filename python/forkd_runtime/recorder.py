"""Which import brought which modules along, and which variables of the environment it looked at.

Started before anything else is imported, stopped when warm-up ends. A program that imports one of
the warm modules later gets all that came with it, and no more (`reveal`); one whose environment
differs in what was looked at does not run warm (`equivalence`).
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself would bring along what has to be recorded
    from types import FrameType, ModuleType
    from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

# Named like importlib's own code, so that tracebacks leave it out as they leave that out.
HOOK_FILE = "<frozen importlib._bootstrap>"
_HOOKS = """
def _find_and_load(name, import_):
    entered(name)
    try:
        return find_and_load(name, import_)
    finally:
        left(name)


def __import__(name, globals=None, locals=None, fromlist=(), level=0):
    module = import_(name, globals, locals, fromlist, level)
    imported(name, globals, fromlist, level)
    return module
"""
# They hand on a question about one key, or look at all of them.
_ASKING = frozenset(("get", "getenv", "__contains__", "setdefault", "pop"))
_FOREIGN_FILES = ("os.py", "_collections_abc.py")


class Read:
    """A variable, and the module that was being imported when it was read."""

    __slots__ = ("key", "module")

    def __init__(self, key: str, module: str) -> None:
        self.key = key
        self.module = module


def bootstrap() -> Any:
    """The part of importlib that the interpreter calls for `import`."""
    return sys.modules["_frozen_importlib"]


class Recorder:
    """One per process."""

    def __init__(self) -> None:
        self.brought: Dict[str, Set[str]] = {}
        self.variables: Dict[str, Dict[str, str]] = {}  # set by a module while it was imported
        self._stack: List[Tuple[str, int]] = []
        self._known: Set[str] = set()
        self._reads: Dict[Tuple[str, str], Read] = {}
        self._undo: List[Any] = []

    def start(self) -> None:
        self._known = set(sys.modules)
        importer = bootstrap()
        scope: Dict[str, Any] = {
            "entered": self._entered,
            "left": self._left,
            "imported": self._imported,
            "find_and_load": importer._find_and_load,
            "import_": builtins.__import__,
        }
        exec(compile(_HOOKS, HOOK_FILE, "exec"), scope)
        self._replace(importer, "_find_and_load", scope["_find_and_load"])
        self._replace(builtins, "__import__", scope["__import__"])
        self._watch_environment()

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def _watch_environment(self) -> None:
        environ: Any = type(os.environ)
        getitem = environ.__getitem__

        def recorded(mapping: Any, key: str) -> str:
            if self._stack and mapping is os.environ:
                self._read(key)
            return str(getitem(mapping, key))

        setitem = environ.__setitem__

        def noted(mapping: Any, key: str, value: str) -> None:
            setitem(mapping, key, value)
            if self._stack and mapping is os.environ:
                self.variables.setdefault(self._stack[-1][0], {})[key] = value

        self._replace(environ, "__getitem__", recorded)
        self._replace(environ, "__setitem__", noted)

    def stop(self) -> None:
        for owner, name, value in self._undo:
            setattr(owner, name, value)
        self._undo = []

    def _entered(self, name: str) -> None:
        self._brings(name)
        self._stack.append((name, len(sys.modules)))

    def _left(self, name: str) -> None:
        _, before = self._stack.pop()
        for module in list(sys.modules)[before:]:
            if module not in self._known:
                self._known.add(module)
                if module != name:
                    self.brought.setdefault(name, set()).add(module)

    def _imported(
        self, name: str, scope: Optional[Dict[str, Any]], fromlist: Any, level: int
    ) -> None:
        """What has been loaded before is brought along as well."""
        if not self._stack:
            return
        if level:
            package = bootstrap()._calc___package__(scope)
            name = bootstrap()._resolve_name(name, package, level)
        self._brings(name)
        for item in fromlist or ():
            member = "%s.%s" % (name, item)
            if member in sys.modules:
                self._brings(member)

    def _brings(self, name: str) -> None:
        if self._stack and self._stack[-1][0] != name:
            self.brought.setdefault(self._stack[-1][0], set()).add(name)

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

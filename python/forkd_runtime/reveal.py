"""Warm modules stay out of sys.modules until the program imports them.

A program sees what a fresh interpreter shows, and each import shows what that import brings along
(`recorder` has seen it). The module is the warm one, unless the program's own path or finders lead
to another: then it is loaded as ever.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from importlib.machinery import PathFinder
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Dict, Iterable, List, Optional, Set

import forkd_runtime
from forkd_runtime.recorder import HOOK_FILE, Recorder, bootstrap

_HOOK = """
def _find_and_load(name, import_):
    module = revealed(name)
    if module is not None:
        return module
    return original(name, import_)
"""
# PyDictObject in words: count of references, type, used, version, keys, values
_DICT_WORDS, _USED, _KEYS, _VALUES = 6, 2, 4, 5
_ANSWER_MAX = 1 << 20
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FRESH = """
import sys
modules = list(sys.modules)
sys.path.insert(0, sys.argv[1])
from forkd_runtime.recorder import RECORDER
RECORDER.start()
for name in sys.argv[2:]:
    __import__(name)
RECORDER.stop()
import json
brought = {name: sorted(found) for name, found in RECORDER.brought.items()}
sys.stdout.write(json.dumps({"modules": modules, "brought": brought}))
"""


class Modules:
    """Made once at the end of warm-up; `hide` is for a forked child."""

    def __init__(self, recorder: Recorder, fresh: "Fresh", imports: Iterable[str]) -> None:
        self._all: Dict[str, ModuleType] = dict(sys.modules)
        self.fresh = frozenset(fresh.modules)  # names in a bare interpreter
        self._visible = {name: self._all[name] for name in fresh.modules if name in self._all}
        self._finders = list(sys.meta_path)
        self._path: List[str] = []
        self._brings = _dependencies(self._all, recorder, fresh)
        self._order = {name: place for place, name in enumerate(self._all)}
        # Made before the fork: what children most likely ask for.
        self._prepared = {name: self._closure(name) for name in imports if name in self._all}
        self._hidden: Set[str] = set(self._all) - set(self._visible)
        self._hidden -= {name for name in self._hidden if name.startswith("forkd_runtime")}
        self._variables = recorder.variables

    def is_warm(self, name: str) -> bool:
        """Whether what sys.modules has under that name is the warm-up's."""
        return name in self._all and sys.modules.get(name) is self._all[name]

    def hide(self) -> None:
        """sys.modules becomes that of a fresh interpreter."""
        importer = bootstrap()
        scope: Dict[str, Any] = {"revealed": self._revealed, "original": importer._find_and_load}
        exec(compile(_HOOK, HOOK_FILE, "exec"), scope)
        if _CAN_SWAP:
            _swap(sys.modules, self._visible)
        else:
            for name in list(sys.modules):
                if name not in self._visible:
                    del sys.modules[name]
        importer._find_and_load = scope["_find_and_load"]

    def show(self, names: Iterable[str]) -> None:
        """As if the program had imported them."""
        for name in names:
            if name in self._hidden and name not in sys.modules:
                self._show(name)

    def start(self) -> None:
        """The program's search path is set: from here on a change of it is the program's own."""
        self._path = list(sys.path)

    def forget(self, names: Set[str]) -> None:
        """These, and what is below them, are to be loaded anew."""
        if not names:  # nearly always; to look at every warm name takes milliseconds in a child
            return
        doomed = [name for name in self._hidden if _is_below(name, names)]
        self._hidden.difference_update(doomed)
        for name in doomed:
            sys.modules.pop(name, None)

    def _revealed(self, name: str) -> Optional[ModuleType]:
        if name not in self._hidden or not self._is_meant(name):
            return None
        self._show(name)
        return sys.modules.get(name)

    def _show(self, name: str) -> None:
        members = self._prepared.get(name) or self._closure(name)
        modules = sys.modules
        for member in members:
            if member not in modules and member in self._hidden:
                modules[member] = self._all[member]
        if self._variables:
            for member in members:
                for key, value in self._variables.get(member, {}).items():
                    os.environ.setdefault(key, value)

    def _closure(self, name: str) -> List[str]:
        """The module, its packages, and all that importing them brings along; as first loaded."""
        found: Set[str] = set()
        waiting = [name]
        while waiting:
            member = waiting.pop()
            if member in found or member not in self._all:
                continue
            found.add(member)
            waiting.extend(self._brings.get(member, ()))
            package = member.rpartition(".")[0]
            if package:
                waiting.append(package)
        return sorted(found, key=self._order.__getitem__)

    def _is_meant(self, name: str) -> bool:
        package = name.rpartition(".")[0]
        if package in sys.modules:
            if sys.modules[package] is not self._all.get(package):
                return False
            return not self._found_elsewhere(name, getattr(sys.modules[package], "__path__", None))
        if package:
            return package in self._hidden and self._is_meant(package)
        return not self._found_elsewhere(name, None) and self._is_on_path(name)

    def _found_elsewhere(self, name: str, path: Any) -> bool:
        """By a finder of the program's own, such as pytest's for test modules."""
        for finder in sys.meta_path:
            if finder in self._finders:
                return False
            if finder.find_spec(name, path, None) is not None:
                self._hidden.discard(name)
                return True
        return False

    def _is_on_path(self, name: str) -> bool:
        if sys.path == self._path:
            return True
        spec = getattr(self._all[name], "__spec__", None)
        if spec is None or not spec.has_location:
            return True
        found = PathFinder.find_spec(name)
        if found is not None and found.origin == spec.origin:
            return True
        self._hidden.discard(name)
        return False


def _is_below(name: str, names: Set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[: i + 1]) in names for i in range(len(parts)))


def _dependencies(
    modules: Dict[str, ModuleType], recorder: Recorder, fresh: "Fresh"
) -> Dict[str, Set[str]]:
    """What was seen while it was loaded. Compiled modules can import without being seen: what
    stands in their namespace counts for them."""
    found: Dict[str, Set[str]] = {}
    for name, module in modules.items():
        brings = {*recorder.brought.get(name, ()), *fresh.brought.get(name, ())}
        if str(getattr(module, "__file__", "") or "").endswith(".so"):
            brings.update(_named_in(module, modules))
        brings.discard(name)
        found[name] = brings
    return found


def _named_in(module: ModuleType, modules: Dict[str, ModuleType]) -> Iterable[str]:
    for key, value in list(vars(module).items()):
        if key.startswith("__"):
            continue
        if isinstance(value, ModuleType):
            source = vars(value).get("__name__")
        elif isinstance(value, type):
            source = vars(value).get("__module__")
        elif isinstance(value, (FunctionType, BuiltinFunctionType)):
            source = value.__module__
        else:
            continue
        if isinstance(source, str) and source in modules:
            yield source


class Fresh:
    """What an interpreter that has just been started holds, in its order, and what the modules
    that this one had loaded before it could record anything bring along."""

    def __init__(self, env: Dict[str, str]) -> None:
        ours, theirs = os.pipe()
        early = [name for name in forkd_runtime.STARTUP_MODULES if name != "__main__"]
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", _FRESH, _OWN, *early],
            {**env, "FORKD_COLD": "1"},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 1)],
        )
        os.close(theirs)
        with open(ours, "rb") as file:
            answer = json.loads(file.read(_ANSWER_MAX))
        os.waitpid(pid, 0)
        self.modules: List[str] = answer["modules"]
        self.brought: Dict[str, List[str]] = answer["brought"]


def _swap(one: Dict[Any, Any], other: Dict[Any, Any]) -> None:
    """Exchanges the contents of two dictionaries without touching a single entry: the count of
    references of each module would be a page to copy."""
    words = ctypes.c_size_t * _DICT_WORDS
    first, second = words.from_address(id(one)), words.from_address(id(other))
    for word in (_USED, _KEYS, _VALUES):
        first[word], second[word] = second[word], first[word]


def _can_swap() -> bool:
    size = _DICT_WORDS * ctypes.sizeof(ctypes.c_size_t)
    if sys.implementation.name != "cpython" or dict.__basicsize__ != size:
        return False
    one, other = {"a": object(), "b": [1]}, {"c": object()}
    expected = (dict(other), dict(one))
    words = (ctypes.c_size_t * _DICT_WORDS).from_address(id(one))
    if words[_USED] != len(one):
        return False
    _swap(one, other)
    return (one, other) == expected and len(one) == 1 and len(other) == 2


_CAN_SWAP = _can_swap()

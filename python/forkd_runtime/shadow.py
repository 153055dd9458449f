"""Warm modules that a fresh interpreter would not have found where the parent found them.

A file next to the script hides an installed module of the same name, and a source file may have
changed since warm-up. Such modules are forgotten, so that the program imports its own; a program
that was started inside the sandbox runs cold then.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from typing import Any, Container, Dict, Iterable, List, NamedTuple, Optional, Set

_SUFFIXES = (".py", ".pyc", ".so")


class Source(NamedTuple):
    """A module and its file as it was at warm-up."""

    module: str
    path: str
    mtime_ns: int
    size: int


class Sources:
    """Files of the user's own warm modules; installed ones are taken not to change."""

    def __init__(self) -> None:
        self._sources: List[Source] = []
        self._top_level: Dict[str, Optional[str]] = {}
        self.installed: List[str] = []  # files of those that are not the user's own

    def record(self) -> None:
        """Once, at the end of warm-up."""
        installed = _installed_directories()
        for name, module in list(sys.modules.items()):
            path = _origin(module)
            if "." not in name:
                self._top_level[name] = os.path.dirname(path) if path else None
            if path and path.startswith(installed):
                self.installed.append(path)
            elif path:
                self._add(name, path)

    def _add(self, name: str, path: str) -> None:
        try:
            status = os.stat(path)
        except OSError:
            return  # made in memory: there is no file that could change
        self._sources.append(Source(name, path, status.st_mtime_ns, status.st_size))

    def stale(self, directories: Iterable[str], started_with: Container[str]) -> Set[str]:
        """Changed modules, and those that a file in one of the directories hides."""
        doomed = self.changed()
        for directory in directories:
            place = directory or os.getcwd()
            # A finder may have listed this directory before a file was put into it.
            sys.path_importer_cache.pop(place, None)
            doomed |= self.hidden_by(place, started_with)
        return doomed

    def are_own(self) -> bool:
        """Whether warm-up has loaded modules of the user's own."""
        return bool(self._sources)

    def changed(self) -> Set[str]:
        """Modules of the user's own whose files are not what they were."""
        changed = set()
        for source in self._sources:
            try:
                status = os.stat(source.path)
            except OSError:
                changed.add(source.module)
                continue
            if (status.st_mtime_ns, status.st_size) != (source.mtime_ns, source.size):
                changed.add(source.module)
        return changed

    def hidden_by(self, directory: str, started_with: Container[str]) -> Set[str]:
        """Warm modules that a directory at the front of sys.path has, too; but not those that an
        interpreter has loaded before it looks there."""
        hidden: Set[str] = set()
        try:
            entries = list(os.scandir(directory))
        except OSError:
            return hidden
        for entry in entries:
            name = entry.name.partition(".")[0]
            if name not in self._top_level or name in started_with:
                continue
            home = self._top_level[name]
            if home is None or os.path.dirname(home) == directory or home == directory:
                continue
            if _is_module(entry):
                hidden.add(name)
        return hidden


def _is_module(entry: "os.DirEntry[str]") -> bool:
    if entry.name.endswith(_SUFFIXES):
        return True
    return entry.is_dir() and os.path.exists(os.path.join(entry.path, "__init__.py"))


def _origin(module: Any) -> Optional[str]:
    spec = getattr(module, "__spec__", None)
    return spec.origin if spec is not None and spec.has_location else None


def _installed_directories() -> "tuple[str, ...]":
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [sysconfig.get_paths()[kind] for kind in kinds]
    found += [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    return tuple(os.path.join(directory, "") for directory in [own, *found])

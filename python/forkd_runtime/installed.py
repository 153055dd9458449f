"""Directories of installed packages: a program must not get modules that are not there any more.

Only those are looked at that somebody inside can change. What belongs to nobody whom the user
namespace knows (the host's own files) cannot change.
"""

from __future__ import annotations

import os
import sys
from typing import Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Set, Tuple

_NOBODY = 65534
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # only the template has it
_SKIPPED = frozenset(("__pycache__",))


class _Listing(NamedTuple):
    mtime_ns: int
    entries: FrozenSet[Tuple[str, int, int]]


class Installed:
    """Recorded once, at the end of warm-up."""

    def __init__(self, path: Iterable[str], modules: Iterable[str]) -> None:
        self._path = frozenset(path)
        self._listings: Dict[str, _Listing] = {}
        self._absent: List[str] = []
        directories: Set[str] = {os.path.dirname(module) for module in modules}
        for directory in sorted(directories | self._path):
            if directory != _OWN and not directory.startswith(_OWN + "/"):
                self._add(directory)

    def _add(self, directory: str) -> None:
        try:
            if os.stat(directory).st_uid != _NOBODY:
                self._listings[directory] = _list(directory)
        except (FileNotFoundError, NotADirectoryError):
            if directory in self._path:
                self._absent.append(directory)

    def changed(self) -> str:
        """A directory that differs from what it was, or ''."""
        for directory, listing in self._listings.items():
            try:
                if os.stat(directory).st_mtime_ns == listing.mtime_ns:
                    continue
                now = _list(directory)
            except OSError:
                return directory
            if now.entries != listing.entries:
                return directory
            self._listings[directory] = now  # only compiled files came or went
        return next((entry for entry in self._absent if os.path.exists(entry)), "")

    def user_site_differs(self, env: Mapping[str, str]) -> str:
        """A reason when the home directory has packages that warm-up did not see, or lacks them."""
        home = env.get("HOME")
        if not home:
            return "HOME is not set"
        version = "python%d.%d" % sys.version_info[:2]
        place = os.path.join(home, ".local", "lib", version, "site-packages")
        if os.path.isdir(place) == (place in self._path):
            return ""
        return "its home directory has other packages than warm-up has seen"


def _list(directory: str) -> _Listing:
    mtime = os.stat(directory).st_mtime_ns
    entries = set()
    with os.scandir(directory) as found:
        for entry in found:
            if entry.name in _SKIPPED:
                continue
            status = entry.stat(follow_symlinks=False)
            is_file = entry.is_file(follow_symlinks=False)
            stamp = (status.st_mtime_ns, status.st_size) if is_file else (0, 0)
            entries.add((entry.name, *stamp))
    return _Listing(mtime, frozenset(entries))

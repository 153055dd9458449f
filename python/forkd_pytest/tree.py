"""What has changed in the working tree of a sandbox."""

from __future__ import annotations

import os
import stat
from typing import Iterator, Tuple

_MAX = 32 << 20
_LEFT_OUT = {"__pycache__", ".pytest_cache", ".git", ".hg", ".svn", ".forkd", "node_modules"}
_State = Tuple[int, int, int]


class Tree:
    """Size, time and inode of every file below a directory, now."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._before = dict(_states(root))

    def changed(self) -> Iterator[Tuple[str, bytes]]:
        """Files that are new or others than they were, with their content."""
        for path, state in _states(self._root):
            if self._before.get(path) != state and state[0] <= _MAX:
                try:
                    with open(path, "rb") as file:
                        yield path, file.read()
                except OSError:
                    continue  # gone, or not for us to read


def _states(root: str) -> Iterator[Tuple[str, _State]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in names:
            path = os.path.join(folder, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, (status.st_size, status.st_mtime_ns, status.st_ino)



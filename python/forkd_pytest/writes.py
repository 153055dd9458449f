"""Files that the session's reporters write, to be brought from the sandbox to the user."""

from __future__ import annotations

import os
import stat
import sys
from typing import Any, Set

from forkd_pytest.link import Link

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_MAX = 48 << 20
_LEFT_OUT = ("/dev/", "/proc/", "/sys/")


class Writes:
    """Notes every file that this process opens for writing or renames, from now on."""

    def __init__(self, config: Any) -> None:
        self._paths: Set[str] = set()
        self._on = True
        del config
        sys.addaudithook(self._note)

    def _note(self, event: str, args: Any) -> None:
        if not self._on:
            return
        if event == "open":
            path, mode, flags = args
            if isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & _WRITING:
                self._add(path)
        elif event == "sqlite3.connect" and isinstance(args[0], (str, bytes, os.PathLike)):
            self._add(args[0])  # the library opens it without telling
        elif event == "os.rename" and isinstance(args[1], (str, bytes, os.PathLike)):
            self._add(args[1])

    def _add(self, path: Any) -> None:
        self._paths.add(os.path.abspath(os.fsdecode(path)))

    def deliver(self, link: Link) -> None:
        """Sends what is there."""
        self._on = False
        paths = set(self._paths)
        for path in sorted(paths):
            # A directory that was renamed into place carries files that were never seen there.
            if os.path.isdir(path) and not os.path.islink(path):
                for folder, _, names in os.walk(path):
                    paths.update(os.path.join(folder, name) for name in names)
        for path in sorted(paths):
            if path.startswith(_LEFT_OUT) or "/__pycache__/" in path:
                continue
            try:
                if not stat.S_ISREG(os.lstat(path).st_mode) or os.path.getsize(path) > _MAX:
                    continue
                with open(path, "rb") as file:
                    link.write(path, file.read())
            except OSError:
                continue  # gone again: it was a temporary file

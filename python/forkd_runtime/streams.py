"""sys.stdin, sys.stdout and sys.stderr as the interpreter makes them at start-up."""

from __future__ import annotations

import codecs
import io
import sys
from typing import Any, Mapping, Optional, Tuple


class Encoding:
    """Encoding and error handler of the standard streams, as this interpreter's locale gave."""

    def __init__(self) -> None:
        stdin: Any = sys.__stdin__
        self.encoding: str = getattr(stdin, "encoding", None) or "utf-8"
        self.errors: str = getattr(stdin, "errors", None) or "strict"

    def chosen(self, env: Mapping[str, str]) -> Tuple[str, str]:
        """PYTHONIOENCODING=encoding[:errors] overrides either part."""
        encoding, _, errors = env.get("PYTHONIOENCODING", "").partition(":")
        if encoding and not errors:
            errors = "strict"
        encoding = codecs.lookup(encoding).name if encoding else self.encoding
        return encoding, errors or self.errors


def _open(
    fd: int, name: str, encoding: str, errors: str, unbuffered: bool
) -> Optional[io.TextIOWrapper]:
    writing = fd != 0
    mode = "wb" if writing else "rb"
    try:
        binary: Any = open(fd, mode, 0 if writing and unbuffered else -1, closefd=False)
    except OSError:
        return None  # a closed descriptor: the interpreter says None, too
    raw = getattr(binary, "raw", binary)
    raw.name = name
    by_line = raw.isatty() or (fd == 2 and sys.version_info >= (3, 9))
    stream = io.TextIOWrapper(
        binary,
        encoding,
        errors,
        newline="\n",
        line_buffering=by_line and not unbuffered,
        write_through=unbuffered,
    )
    stream.mode = "w" if writing else "r"  # type: ignore[misc]
    return stream


def install(defaults: Encoding, env: Mapping[str, str], unbuffered: bool) -> None:
    """Opens descriptors 0, 1 and 2 and makes them the process's standard streams."""
    encoding, errors = defaults.chosen(env)
    stdin = _open(0, "<stdin>", encoding, errors, unbuffered)
    stdout = _open(1, "<stdout>", encoding, errors, unbuffered)
    # stderr must be able to say everything
    stderr = _open(2, "<stderr>", encoding, "backslashreplace", unbuffered)
    sys.stdin = sys.__stdin__ = stdin  # type: ignore[assignment,misc]
    sys.stdout = sys.__stdout__ = stdout  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = stderr  # type: ignore[assignment,misc]

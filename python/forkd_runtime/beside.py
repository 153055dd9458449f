"""For warm-up scripts: packages that lie beside this one, which is on nobody's search path."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Iterator


@contextlib.contextmanager
def beside() -> Iterator[None]:
    """``with beside(): import forkd_pytest.parent``"""
    directory = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.append(directory)
    try:
        yield
    finally:
        sys.path.remove(directory)

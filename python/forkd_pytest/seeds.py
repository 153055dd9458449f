"""Random generators that start the same for a test wherever, and after whatever, it runs."""

from __future__ import annotations

import hashlib
import sys


def sow(seed: str, nodeid: str) -> None:
    """Seeds the global generators from both; those of libraries that are loaded."""
    text = ("%s\0%s" % (seed, nodeid)).encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    for module, function in (
        ("random", "seed"),
        ("numpy.random", "seed"),
        ("torch", "manual_seed"),
        ("tensorflow.random", "set_seed"),
    ):
        if module in sys.modules and hasattr(sys.modules[module], function):
            getattr(sys.modules[module], function)(number)

"""Which objects of some types there are: one look at a heap that may hold millions."""

from __future__ import annotations

import gc
from typing import Any, List, Sequence


def living(kinds: Sequence[type]) -> List[Any]:
    """All objects of these types, or of types made from them."""
    objects = gc.get_objects()
    # There are a thousand types for a million objects: those are asked, not these.
    wanted = {kind for kind in set(map(type, objects)) if issubclass(kind, tuple(kinds))}
    return [candidate for candidate in objects if type(candidate) in wanted] if wanted else []

"""The first fork point: a template with what a project imports from outside of itself.

A changed project is collected in a fork of it, which imports none of that again.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any, List, Sequence

from forkd_pytest import state

_OWN = ("forkd_pytest", "forkd_runtime", "__")


def modules(root: str) -> List[str]:
    """After collection: what was imported from outside of `root`, in that order.

    Not what pytest has rewritten: it wants to be the one that imports that.
    """
    prefix = os.path.join(root, "")
    return [
        name
        for name, module in list(sys.modules.items())
        if not name.startswith(_OWN) and _is_foreign(module, prefix)
    ]


def _is_foreign(module: Any, prefix: str) -> bool:
    spec = getattr(module, "__spec__", None)
    if spec is None or not spec.has_location or not spec.origin:
        return False
    rewritten = type(spec.loader).__name__ == "AssertionRewritingHook"
    return not rewritten and not spec.origin.startswith(prefix)


def load(names: Sequence[str]) -> None:
    """In the template. What cannot be imported by itself is left to collection."""
    # Files of forkd are not seen in a fork: what collection takes of them is loaded here.
    for name in (*names, "forkd_pytest.fixtures", "forkd_pytest.marks"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    state.name_libraries()  # as this root has them: forks have another

"""Makes a fork of the parent look as the parent did when collection ended."""

from __future__ import annotations

import os
import sys
from typing import Dict

from forkd_pytest.parent import Held


def restore(held: Held, extra: Dict[str, str]) -> None:
    """Environment, directory, search path and modules; `extra` are variables of this fork alone.

    Forks of this process need none of it again, but for variables of their own: to look at every
    module costs a fork a copy of most pages that modules are on.
    """
    keep = {key: os.environ[key] for key in ("HOSTNAME",) if key in os.environ}
    wanted = {**held.environ, **keep, **extra}
    if dict(os.environ) != wanted:
        os.environ.clear()
        os.environ.update(wanted)
    os.chdir(held.cwd)
    sys.argv[:] = held.argv
    sys.path[:] = held.path
    if len(sys.modules) < len(held.modules):  # else nothing was hidden from this fork
        for name, module in held.modules.items():
            if name not in sys.modules:
                sys.modules[name] = module
    # Collection may have written bytecode; forks have nothing to gain from writing it again.
    sys.dont_write_bytecode = True

"""``python3 -m forkd_pytest [-n N] -- ARGS``: forks without sandboxes, for comparison."""

from __future__ import annotations

import os
import sys
from typing import List, NoReturn

from forkd_pytest import controller, parent
from forkd_pytest.link import LocalLink


def main(args: List[str]) -> NoReturn:
    """Collects, forks, runs; ends the process with pytest's exit code."""
    settings = {"workers": len(os.sched_getaffinity(0))}
    if args[:1] == ["-n"]:
        settings = {"workers": int(args[1]), "fixed": True}
        args = args[2:]
    if args[:1] == ["--"]:
        args = args[1:]
    parent.collect(args, sys.stdout.isatty())
    session = parent.held()
    if not isinstance(session, parent.Held):
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *args])
    code = controller.run(LocalLink(settings), session)
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Some files' tests of the session that was collected, run and reported as pytest does.

For programs that divide a suite by themselves: in a fork of a process that has called
``parent.collect``, ``main()`` takes the files' names from ``sys.argv``. Nothing is configured or
collected again. What is printed, and the exit code, are those of pytest for these files.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn, Sequence

from forkd_pytest import controller, refresh, state
from forkd_pytest.parent import Held, held
from forkd_pytest.restore import restore


def main() -> NoReturn:
    """Raises SystemExit with pytest's exit code."""
    session = held()
    if not isinstance(session, Held):
        sys.exit("forkd: this is no fork of a collected session: %s" % session.reason)
    sys.exit(run(session, sys.argv[1:]))


def run(session: Held, files: Sequence[str]) -> int:
    """Runs what is in the files, named relative to the session's directory; the exit code."""
    restore(session, {})
    session.random.restore()
    session.console.connect(sys.stdout.write)
    refresh.clocks(session.config)
    state.unpark(session.config, capturing=True)
    _select(session.session, {os.path.normpath(name) for name in files})
    code = controller.finish(session.config, session.session)
    sys.stdout.flush()
    return int(code)


def _select(session: Any, files: "set[str]") -> None:
    known = {item.nodeid.partition("::")[0] for item in session.items}
    unknown = sorted(files - known)
    if unknown:
        sys.exit("forkd: no test of %s was collected" % ", ".join(unknown))
    session.items[:] = [item for item in session.items if item.nodeid.partition("::")[0] in files]
    session.testscollected = len(session.items)

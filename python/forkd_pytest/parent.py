"""The parent: a pytest session up to and including collection, held for forks of this process.

It follows pytest's own ``wrap_session`` and stops after ``pytest_collection``. Whatever does not
end in a collected session (wrong usage, ``--help``, ``pytest.exit`` in a conftest) is left to a
plain pytest, which says and returns what it always does.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from forkd_pytest import shared, state
from forkd_pytest.console import Console

_FEW = 1_000_000  # objects between two looks for garbage


class Held(NamedTuple):
    """A collected session and what a fork has to restore around it."""

    config: Any
    session: Any
    console: Console
    environ: Dict[str, str]
    path: List[str]
    modules: Dict[str, Any]
    argv: List[str]
    cwd: str
    random: state.RandomState
    reads: List[Tuple[str, str]]  # variables that modules have read while they were imported
    shared: List[Any] = []  # definitions of fixtures that are set up


class NotHeld(NamedTuple):
    """There is no session to fork; pytest has to run as a whole."""

    reason: str


_held: "Held | NotHeld" = NotHeld("nothing was collected")


def held() -> "Held | NotHeld":
    """What `collect` made of the suite."""
    return _held


def collect(args: Sequence[str], terminal: bool = False, share: Sequence[str] = ()) -> None:
    """Collects the suite of the current directory. Never raises for what pytest would report.

    `share` names session fixtures that are set up now, for all forks; `shared.Refused` where that
    cannot be.
    """
    global _held
    console = Console(terminal)
    stdout, argv = sys.stdout, sys.argv
    sys.stdout, sys.argv = console, ["pytest", *args]  # type: ignore[assignment]
    try:
        with _few_collections():
            _held = _collect(list(args), console, share)
    except shared.Refused:
        raise
    except BaseException as error:  # SystemExit, pytest.exit and usage errors: pytest tells them
        _held = NotHeld("%s: %s" % (type(error).__name__, error))
    finally:
        sys.stdout, sys.argv = stdout, argv


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """What is collected stays: to look for garbage among it over and over costs a quarter of the
    time that a large suite takes to collect."""
    usual = gc.get_threshold()
    few = (max(usual[0], _FEW), *usual[1:]) if usual[0] else usual
    gc.set_threshold(*few)
    try:
        yield
    finally:
        if gc.get_threshold() == few:  # otherwise the project has a wish of its own
            gc.set_threshold(*usual)


def _collect(args: List[str], console: Console, share: Sequence[str]) -> "Held | NotHeld":
    from _pytest.config import _prepareconfig

    from forkd_pytest import fixtures, marks

    config = _prepareconfig(args, [])
    pluginmanager = config.pluginmanager
    if not pluginmanager.hasplugin("xdist"):
        pluginmanager.register(fixtures, "forkd_fixtures")
    marks.register(config)
    _neutralise(config)
    try:
        return _start(config, console, share)
    except BaseException:
        _abandon(config)
        raise


def _abandon(config: Any) -> None:
    """Closes what a session that cannot be held has opened: forks would share it."""
    with contextlib.suppress(BaseException):
        state.park(config)
    with contextlib.suppress(BaseException):
        config._ensure_unconfigure()


def _start(config: Any, console: Console, share: Sequence[str]) -> "Held | NotHeld":
    from _pytest.main import Session

    if _is_other_command(config):
        _abandon(config)
        return NotHeld("the arguments ask for something else than running tests")
    session = Session.from_config(config)
    session.exitstatus = 0
    config._do_configure()
    config.hook.pytest_sessionstart(session=session)
    config.hook.pytest_collection(session=session)
    made = _shared(session, console, share)
    state.park(config)
    return Held(
        config,
        session,
        console,
        dict(os.environ),
        list(sys.path),
        dict(sys.modules),
        list(sys.argv),
        os.getcwd(),
        state.RandomState.now(),
        _reads(),
        made,
    )


def _shared(session: Any, console: Console, share: Sequence[str]) -> List[Any]:
    if not share or session.testsfailed:
        return []
    try:
        return shared.set_up(session, share, lambda text: console.write("forkd: %s\n" % text))
    except ValueError as error:
        raise shared.Refused("--share-fixtures: %s" % error) from None


def _reads() -> List[Tuple[str, str]]:
    """Where the runtime of forkd has recorded them."""
    recorder = sys.modules.get("forkd_runtime.recorder")
    return [(read.key, read.module) for read in recorder.RECORDER.reads()] if recorder else []


def _neutralise(config: Any) -> None:
    """`-n auto` in addopts is the normal case; its workers are what this program replaces."""
    option = config.option
    for name, value in (("numprocesses", None), ("dist", "no"), ("tx", []), ("looponfail", False)):
        if hasattr(option, name):
            setattr(option, name, value)


def _is_other_command(config: Any) -> bool:
    """--help, --fixtures and the like are answered by hooks that come before the session."""
    if config.option.collectonly or config.option.usepdb or config.option.trace:
        return True
    skipped = [config.pluginmanager.getplugin(name) for name in ("main", "xdist")]
    hook = config.pluginmanager.subset_hook_caller(
        "pytest_cmdline_main", [plugin for plugin in skipped if plugin is not None]
    )
    return hook(config=config) is not None


def sources(root: str) -> List[str]:
    """Files outside of `root` that collection has loaded: when one changes, so may the suite."""
    prefix = os.path.join(root, "")
    found = set()
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        origin: Optional[str] = spec.origin if spec is not None and spec.has_location else None
        if origin and origin.startswith("/") and not origin.startswith((prefix, "/.forkd/")):
            found.add(origin)
    return sorted(found)

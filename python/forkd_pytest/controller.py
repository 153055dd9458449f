"""The controller: pytest's own session in a fork of the parent, whose loop runs items elsewhere.

Everything that the user sees of a run is made by this session's plugins: terminal, JUnit, cache,
exit code.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn, Optional

from forkd_pytest import early, parent, shared, state, writes
from forkd_pytest.dispatch import Dispatch
from forkd_pytest.doctor import Findings
from forkd_pytest.journal import Journal
from forkd_pytest.junit import in_collection_order
from forkd_pytest.lab import Lab
from forkd_pytest.link import HostLink, Link
from forkd_pytest.options import Options
from forkd_pytest.parent import Held, held
from forkd_pytest.refresh import refresh
from forkd_pytest.restore import restore
from forkd_pytest.trial import Trial
from forkd_pytest.worker import high


class Loop:
    """The plugin that replaces pytest's loop over the items."""

    def __init__(self, link: Link, options: Options, session: Held) -> None:
        self._link = link
        self._held = session
        self._options = options
        self._journal: Optional[Journal] = None

    def pytest_runtestloop(self, session: Any) -> bool:
        option = session.config.option
        if session.testsfailed and not option.continue_on_collection_errors:
            raise session.Interrupted(
                "%d error%s during collection"
                % (session.testsfailed, "s" if session.testsfailed != 1 else "")
            )
        if self._options.grind or self._options.bisect:
            Lab(session, self._link, self._options).run()
            return True
        if self._options.trial:
            Trial(session, self._link, self._options).run(self._held.argv[1:])
            return True
        dispatch = Dispatch(session, self._link, self._options)
        self._journal = dispatch.journal
        if self._options.doctor:
            dispatch.findings = Findings(self._held, self._options.hazards)
        try:
            dispatch.run()
        finally:
            shared.tear_down(session, self._held.shared, self._link.show)
            if dispatch.findings is not None:
                for line in dispatch.findings.lines():
                    self._link.show("\nforkd doctor: %s" % line)
                self._link.show("\n")
        return True

    def pytest_sessionfinish(self, session: Any) -> None:
        in_collection_order(session)

    def pytest_unconfigure(self) -> None:
        if self._journal is not None:
            self._journal.written()

    def finished(self, code: int) -> None:
        """After everything, with the exit code."""
        if self._journal is not None:
            self._journal.part(code)


def run(link: Link, session: Held) -> int:
    """The rest of a session whose beginning was collected; returns its exit code."""
    import pytest

    columns = link.settings.get("columns")
    restore(session, {"COLUMNS": str(columns)} if columns else {})
    if link.settings.get("sources"):
        broken = bool(session.session.testsfailed)  # then nobody knows what else would be imported
        link.sources(parent.sources(session.cwd), [] if broken else early.modules(session.cwd))
    session.console.connect(link.show)
    sys.stdout = session.console  # type: ignore[assignment]
    config = session.config
    state.unpark(config, capturing=False)
    options = Options.of(link.settings)
    trace = writes.Writes(config)
    refresh(config, link)
    for hook in (Loop.pytest_runtestloop, Loop.pytest_sessionfinish, Loop.pytest_unconfigure):
        pytest.hookimpl(tryfirst=True)(hook)
    loop = Loop(link, options, session)
    config.pluginmanager.register(loop, "forkd_loop")
    code = finish(config, session.session)
    loop.finished(int(code))
    trace.deliver(link)
    return int(code)


def finish(config: Any, session: Any) -> int:
    """What pytest's wrap_session does from the end of collection on; the exit code."""
    from _pytest.config import UsageError
    from _pytest.outcomes import Exit

    try:
        try:
            session.exitstatus = _loop(config, session)
        except UsageError as error:
            session.exitstatus = 4
            sys.stderr.write("ERROR: %s\n" % "\nERROR: ".join(map(str, error.args)))
        except session.Failed:
            session.exitstatus = 1
        except (KeyboardInterrupt, Exit):
            _interrupted(config, session)
        except BaseException:
            _internal(config, session)
    finally:
        os.chdir(str(getattr(session, "startpath", None) or session.startdir))
        try:
            config.hook.pytest_sessionfinish(session=session, exitstatus=session.exitstatus)
        except Exit as leaving:
            if leaving.returncode is not None:
                session.exitstatus = leaving.returncode
            sys.stderr.write("%s: %s\n" % (type(leaving).__name__, leaving))
        config._ensure_unconfigure()
    return session.exitstatus


def _loop(config: Any, session: Any) -> int:
    config.hook.pytest_runtestloop(session=session)
    if session.testsfailed:
        return 1
    return 0 if session.testscollected else 5


def _interrupted(config: Any, session: Any) -> None:
    from _pytest._code import ExceptionInfo
    from _pytest.outcomes import Exit

    caught = ExceptionInfo.from_current()
    session.exitstatus = 2
    if isinstance(caught.value, Exit) and caught.value.returncode is not None:
        session.exitstatus = caught.value.returncode
    config.hook.pytest_keyboard_interrupt(excinfo=caught)


def _internal(config: Any, session: Any) -> None:
    from _pytest._code import ExceptionInfo
    from _pytest.outcomes import Exit

    caught = ExceptionInfo.from_current()
    session.exitstatus = 3
    try:
        config.notify_exception(caught, config.option)
    except Exit as leaving:
        if leaving.returncode is not None:
            session.exitstatus = leaving.returncode


def main() -> NoReturn:
    """In a sandbox: frames of the host come on descriptor 0, ours go to 1."""
    session = held()
    link = HostLink(high(os.dup(0)), high(os.dup(1)))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    code = 70
    try:
        if isinstance(session, Held):
            code = run(link, session)
        else:
            code = -1  # the host runs a plain pytest
    finally:
        sys.stderr.flush()
        link.leave(code & 0xFFFFFFFF)
        os._exit(0)

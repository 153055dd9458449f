"""Runs items in a fork of the parent and tells what came of them."""

from __future__ import annotations

import atexit
import collections
import contextlib
import gc
import io
import os
import sys
import threading
import time
import traceback
from typing import Any, Deque, Dict, List, NamedTuple, NoReturn, Optional, Tuple

from forkd_pytest import coverage, debugger, doctor, memory, seeds, shared, state, wire
from forkd_pytest.hooks import HOOKS, Hooks
from forkd_pytest.limits import Timeouts
from forkd_pytest.parent import Held
from forkd_pytest.record import NOTHING, Doing, Record
from forkd_pytest.quiet import quieten
from forkd_pytest.restore import restore

# What shows or stores results: the controller's are the ones that the user sees.
_SILENT = ("lfplugin", "nfplugin", "stepwiseplugin", "pastebin")


class Settings(NamedTuple):
    """What the controller says about a run (the body of INIT)."""

    worker: int
    count: int
    uid: str
    timeout: float
    isolate: str  # "child", or "test": a fresh fork for each item
    live: bool  # output is not captured: pass it on as it comes
    keep: bool = False  # files that tests have written are brought back
    seed: str = ""  # random generators are seeded before each test, from it and the test's id
    doctor: bool = False  # tell what this worker had to import, and its memory
    debug: bool = False  # a test that fails is kept, and the user's terminal asked for

    @property
    def name(self) -> str:
        return "gw%d" % self.worker

    def environ(self) -> Dict[str, str]:
        return {
            "PYTEST_XDIST_WORKER": self.name,
            "PYTEST_XDIST_WORKER_COUNT": str(self.count),
            "PYTEST_XDIST_TESTRUNUID": self.uid,
            "FORKD_SLOT": str(self.worker),
        }


def prepare(held: Held, settings: Settings) -> None:
    """In the keeper, once: what all its runners have in common. A page that is written here is
    not written, and so copied, in each of them."""
    restore(held, settings.environ())
    held.console.mute()
    config = held.config
    for name in _SILENT:
        plugin = config.pluginmanager.getplugin(name)
        if plugin is not None:
            config.pluginmanager.unregister(plugin)
    quieten(config.pluginmanager)
    for plugin in list(config.pluginmanager.get_plugins()):
        if type(plugin).__name__ == "LogXML":
            config.pluginmanager.unregister(plugin)
    config.option.maxfail = 0  # counted where all reports meet
    config.workerinput = {
        "workerid": settings.name,
        "workercount": settings.count,
        "testrunuid": settings.uid,
        "mainargv": held.argv,
    }
    config.workeroutput = {}
    config.pluginmanager.register(Hooks(), HOOKS)
    if settings.debug:
        debugger.register(config, held.console)
    gc.freeze()  # a collection in a runner is to look at nothing that is older than it


class Runner:
    """The loop over items. Lives in a process of its own."""

    def __init__(self, held: Held, settings: Settings, record: Record, commands: int, out: int):
        self._held = held
        self._settings = settings
        self._record = record
        self._commands = commands
        self._out = out
        self._decoder = wire.Decoder()
        self._queue: Deque[int] = collections.deque()
        self._ending = False
        self._flushed = False
        self._reports: List[Dict[str, Any]] = []
        self._timeouts = Timeouts(held.config, settings.timeout)

    def run(self, dump_signal: int) -> NoReturn:
        """Until END; ends the process."""
        code = 70
        try:
            self._begin(dump_signal)
            self._loop()
            self._end()
            code = 0
        except BaseException:
            self._send(wire.INTERNAL, traceback.format_exc())
        finally:
            os._exit(code)

    def _begin(self, dump_signal: int) -> None:
        held, settings = self._held, self._settings
        held.random.restore()
        shared.keep(held.shared)
        config = held.config
        for name in (HOOKS, debugger.PLUGIN):
            plugin = config.pluginmanager.getplugin(name)
            if plugin is not None:
                plugin.runner = self
        # Not what the parent wrote to; and by lines, so that live output comes in order.
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        if settings.live and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)
        raw = os.dup(2)
        state.unpark(config, capturing=True)
        state.enable_faulthandler(raw, dump_signal)
        coverage.forked(config)

    def _loop(self) -> None:
        while True:
            while len(self._queue) < 2 and not self._ending:
                if self._flushed and self._queue:
                    break
                self._receive()
            if not self._queue:
                return
            index = self._queue.popleft()
            following = self._queue[0] if self._queue else None
            if not self._item(index, following):
                return

    def _receive(self) -> None:
        data = os.read(self._commands, 65536)
        if not data:
            raise EOFError("the keeper is gone")
        for kind, body in self._decoder.feed(data):
            if kind == wire.RUN:
                self._flushed = False
                self._queue.extend(wire.load(body))
            elif kind == wire.FLUSH:
                self._flushed = True
            elif kind == wire.END:
                self._ending = True

    def _item(self, index: int, following: Optional[int]) -> bool:
        """Runs an item; False when no other may follow."""
        session = self._held.session
        item = session.items[index]
        after = None if following is None else session.items[following]
        began = time.monotonic()
        limit = self._timeouts.of(item)
        self._reports = []
        if self._settings.seed:
            seeds.sow(self._settings.seed, item.nodeid)
        self._record.write(Doing(index, 0, began, began + limit if limit else 0.0))
        goes_on = self._protocol(item, after)
        seconds = time.monotonic() - began
        body = wire.done(index, self._reports, seconds)
        wire.write_all(self._out, wire.frame(wire.DONE, body))
        self._record.write(Doing(NOTHING, 0, 0.0, 0.0))
        reason = session.shouldstop or session.shouldfail
        if reason:
            self._send(wire.STOP, (bool(session.shouldfail), str(reason)))
            return False
        return goes_on

    def _protocol(self, item: Any, after: Any) -> bool:
        """False when the test has ended the session; what it came to so far is still told."""
        from _pytest.outcomes import Exit

        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        except Exit as leaving:
            self._send(wire.EXIT, ("exit", str(leaving.msg), leaving.returncode))
            return False
        except KeyboardInterrupt:
            self._send(wire.EXIT, ("interrupt", "", None))
            return False
        except BaseException:
            self._send(wire.INTERNAL, traceback.format_exc())
            return False
        return True

    def _end(self) -> None:
        config, session = self._held.config, self._held.session
        session.exitstatus = 0
        with contextlib.suppress(Exception):
            config.hook.pytest_sessionfinish(session=session, exitstatus=0)
        if self._settings.doctor:
            self._send(wire.DOCTOR, (doctor.imported(self._held), memory.private_mib()))
        if self._settings.isolate == "child":
            self._send(wire.MEMORY, memory.private_mib())
        measured = coverage.measured()
        if measured is not None:
            self._send(wire.COVERAGE, measured)
        with contextlib.suppress(BaseException):
            config._ensure_unconfigure()
        self._send(wire.FINISHED, None)
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()

    def _send(self, kind: int, value: Any) -> None:
        body = wire.dump(value)
        wire.write_all(self._out, wire.frame(kind, body))

    # What pytest says

    def enters(self, phase: int) -> None:
        self._record.phase(phase)

    def waits_for_user(self) -> None:
        """However long that takes: the test's time is not counted any more."""
        self._record.write(self._record.read()._replace(deadline=0.0))

    def needs_terminal(self, socket: str) -> None:
        self._send(wire.DEBUG, socket)

    def reported(self, report: Any) -> None:
        config = self._held.config
        self._reports.append(
            config.hook.pytest_report_to_serializable(config=config, report=report)
        )

    def warned(self, warning: Tuple[Any, ...]) -> None:
        self._send(wire.WARNING, warning)

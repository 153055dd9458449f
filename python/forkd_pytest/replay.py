"""What workers report, told to pytest's own reporters as if it had happened here."""

from __future__ import annotations

import signal
import sys
import warnings
from typing import Any, Dict, List, NamedTuple, Optional

_FULL = 0.7  # of its limit: the keeper's memory and files count there, too
_HOW = {"timeout": "ran for %s", "lost": "its sandbox ended: %s"}


class Gateway(NamedTuple):
    """What reporters show of a worker: xdist's name for it."""

    id: str


class Node:
    """Stands for a worker where reporters look for one."""

    def __init__(self, name: str) -> None:
        self.gateway = Gateway(name)
        self.workerinfo = {
            "id": name,
            "sysplatform": sys.platform,
            "version_info": tuple(sys.version_info),
            "executable": sys.executable,
        }


class Replayer:
    """Calls the session's hooks."""

    def __init__(self, session: Any, shared: bool, limit_mib: int = 0) -> None:
        self._session = session
        self._config = session.config
        self._limit_mib = limit_mib  # of a worker's memory; 0: none
        self._shared = shared  # more than one worker: reporters name them
        self._nodes: Dict[int, Node] = {}
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if shared and reporter is not None:
            reporter.showfspath = False  # files of several workers would alternate

    def item(self, index: int, reports: List[Any], worker: int) -> None:
        """All reports of an item, in order."""
        item = self._session.items[index]
        ihook = item.ihook
        ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in reports:
            if self._shared:
                report.node = self._node(worker)
            report.worker_id = "gw%d" % worker
            self._config.hook.pytest_runtest_logreport(report=report)
        ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _node(self, worker: int) -> Node:
        # Reporters tell by the object which reports belong together.
        if worker not in self._nodes:
            self._nodes[worker] = Node("gw%d" % worker)
        return self._nodes[worker]

    def reports(self, data: List[Dict[str, Any]]) -> List[Any]:
        """Reports from what a worker made of them."""
        return [self._report(one) for one in data]

    def _report(self, data: Dict[str, Any]) -> Any:
        for name in ("location", "longrepr"):
            if isinstance(data.get(name), list):
                data[name] = tuple(data[name])
        return self._config.hook.pytest_report_from_serializable(config=self._config, data=data)

    def crash(self, index: int, body: Any) -> Any:
        """The one report of an item whose runner died."""
        from _pytest.reports import TestReport

        _, phase, how, detail, tail, rss_kib, own_kib, seconds = body
        item = self._session.items[index]
        lines = ["%s in %s" % (describe(how, detail), phase)]
        if rss_kib:
            lines.append("peak memory %d MiB" % (rss_kib // 1024))
        if how == "signal" and detail == str(int(signal.SIGKILL)):
            lines.append(self._killed(own_kib))
        sections = [("Output before the end", tail)] if tail else []
        return TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={name: 1 for name in item.keywords},
            outcome="failed",
            longrepr="\n".join(lines),
            when="call",
            sections=sections,
            duration=seconds,
            user_properties=[("forkd_crash", "%s:%s" % (how, detail))],
        )

    def _killed(self, own_kib: int) -> str:
        if self._limit_mib and own_kib // 1024 >= _FULL * self._limit_mib:
            return "out of memory: a worker may have %d MiB (--memory)" % self._limit_mib
        return "killed from outside, or out of memory: this test is the probable cause"

    def warning(self, body: Any) -> None:
        """A warning that a worker recorded."""
        described, when, nodeid, location = body
        self._config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": _warning(described),
                "when": when,
                "nodeid": nodeid,
                "location": location,
            }
        )


def describe(how: str, detail: str) -> str:
    """The end of a runner in words."""
    if how == "signal":
        try:
            return "crashed: killed by %s" % signal.Signals(int(detail)).name
        except ValueError:
            return "crashed: killed by signal %s" % detail
    if how == "exit":
        return "crashed: the process left with exit code %s" % detail
    return "crashed: " + _HOW[how] % detail if how == "lost" else "timeout: " + _HOW[how] % detail


def _warning(described: Any) -> warnings.WarningMessage:
    module, name, text, args, filename, lineno = described
    kind: Optional[Any] = sys.modules.get(module)
    for part in name.split("."):
        kind = getattr(kind, part, None)
    category = kind if isinstance(kind, type) and issubclass(kind, Warning) else UserWarning
    try:
        message = category(*args)
        if str(message) != text:
            message = UserWarning(text)
    except Exception:  # a category with a constructor of its own
        message = UserWarning(text)
    return warnings.WarningMessage(message, category, filename, lineno)

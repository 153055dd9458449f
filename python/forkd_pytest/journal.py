"""What became of every test, for programs: JSON lines, and GitHub's annotations and summary."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, List, Optional, Tuple

from forkd_pytest import junit, shard
from forkd_pytest.link import Link
from forkd_pytest.options import Options

_ANNOTATIONS = 10  # of one kind in one step: GitHub shows no more
_SUMMARY = 900_000  # bytes; GitHub drops a summary above 1 MiB as a whole
_ROWS = 200
_MESSAGE = 4000  # characters of a failure that travel to where shards are merged


class Journal:
    """Notes verdicts while they come."""

    def __init__(self, session: Any, link: Link, options: Options) -> None:
        self._session = session
        self._link = link
        self._options = options
        self._began = time.monotonic()
        self._rows: List[Dict[str, Any]] = []
        self._failed: List[Tuple[Dict[str, Any], str]] = []
        self._junit: Optional[Dict[str, Any]] = None

    def add(self, index: int, reports: List[Any], worker: int) -> None:
        """A final verdict."""
        options = self._options
        if not (options.lines or options.github or options.part or options.trial):
            return
        item = self._session.items[index]
        seconds = sum(report.duration for report in reports)
        row = {
            "id": item.nodeid,
            "verdict": verdict(reports),
            "seconds": round(seconds, 6),
            "at": round(max(0.0, time.monotonic() - self._began - seconds), 3),
            "worker": "gw%d" % worker,
            "file": str(item.location[0]),
            "line": (item.location[1] or 0) + 1,
        }
        self._rows.append(row)
        failed = [report for report in reports if report.outcome == "failed"]
        if failed:
            self._failed.append((row, str(failed[0].longrepr)))

    def deliver(self) -> None:
        """At the end of the run."""
        if self._options.lines:
            lines = "".join(json.dumps(row) + "\n" for row in self._rows)
            self._link.write(os.path.abspath(self._options.lines), lines.encode())
        if self._options.github:
            # A crash is the likely reason of what follows it.
            first = sorted(self._failed, key=lambda one: one[0]["verdict"] != "crashed")
            for row, text in first[:_ANNOTATIONS]:
                self._link.show(annotation(row, text))
            self._link.summary(self._summary())

    def written(self) -> None:
        """When pytest's reports are written, while who wrote them can be asked."""
        if self._options.part:
            self._junit = junit.of_shard(self._session)

    def verdicts(self) -> Dict[str, str]:
        """By id."""
        return {row["id"]: row["verdict"] for row in self._rows}

    def part(self, code: int) -> None:
        """At the very end: for `forkd test --merge`."""
        if not self._options.part:
            return
        told = {row["id"]: text for row, text in self._failed}
        part: Dict[str, Any] = {
            "version": 1,
            "shard": list(self._options.shard),
            "collection": shard.collection(self._session),
            "collected": len(self._session.items),
            "exit_code": code,
            "tests": [
                {**row, "message": told[row["id"]][:_MESSAGE]} if row["id"] in told else row
                for row in self._rows
            ],
        }
        if self._junit is not None:
            part["junit"] = self._junit
        self._link.write(self._options.part, (json.dumps(part) + "\n").encode())

    def _summary(self) -> str:
        counts: Dict[str, int] = {}
        for row in self._rows:
            counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
        told = ", ".join("%d %s" % (number, name) for name, number in sorted(counts.items()))
        lines = ["### Tests: %s" % (told or "none ran"), ""]
        if self._failed:
            lines += ["| test | verdict | seconds |", "|---|---|---:|"]
        for row, _ in self._failed[:_ROWS]:
            name = row["id"].replace("|", "\\|").replace("\n", " ")[:300]
            lines.append("| `%s` | %s | %.2f |" % (name, row["verdict"], row["seconds"]))
        if len(self._failed) > _ROWS:
            lines.append("| and %d more | | |" % (len(self._failed) - _ROWS))
        return ("\n".join(lines) + "\n")[:_SUMMARY]


def verdict(reports: List[Any]) -> str:
    """One word for a test."""
    properties = dict(pair for report in reports for pair in report.user_properties)
    if "forkd_crash" in properties:
        return "timeout" if properties["forkd_crash"].startswith("timeout") else "crashed"
    if any(report.outcome == "failed" for report in reports):
        return "failed" if any(r.failed and r.when == "call" for r in reports) else "error"
    if "forkd_flaky" in properties:
        return "flaky"
    for report in reports:
        if hasattr(report, "wasxfail"):
            return "xfailed" if report.skipped else "xpassed"
    return "skipped" if any(report.outcome == "skipped" for report in reports) else "passed"


def annotation(row: Dict[str, Any], text: str) -> str:
    """A workflow command of GitHub's runner, on a line of its own."""
    lines = text.strip().splitlines() or [""]
    told = [line for line in lines if line.startswith("E ")] or lines[:1]
    message = "\n".join(told[:20])
    return "\n::error file=%s,line=%d,title=%s::%s\n" % (
        escape(row["file"], True),
        row["line"],
        escape("%s %s" % (row["id"], row["verdict"]), True),
        escape(message, False),
    )


def escape(text: str, is_property: bool) -> str:
    """As the runner reads it."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text

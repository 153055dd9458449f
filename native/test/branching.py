"""Steps of a branch, for tests."""
from __future__ import annotations

import json
from typing import Any, Tuple

import frames
from frames import Client, Frame
from launcher import L_BRANCH, TEMPLATE, TEMPLATE_READY, Launcher


def freeze(client: Client, timeout_ms: int = 20000) -> Tuple[int, int, Any]:
    """The request, the pid of the frozen copy, and what the session told."""
    ident = client.open(frames.BRANCH, [(frames.TIMEOUT_MS, timeout_ms)])
    started = client.expect(ident, frames.STARTED)
    return ident, started.int(frames.PID), json.loads(started.text(frames.REPORT) or "")


def release(client: Client, ident: int) -> None:
    client.send(frames.CANCEL, ident)
    client.expect(ident, frames.DONE)


def open_branch(launcher: Launcher, pid: int, name: str = "box", template: str = "second",
                timeout_ms: int = 20000) -> int:
    return launcher.open(L_BRANCH, [(frames.NAME, name), (TEMPLATE, template), (frames.PID, pid),
                                    (frames.TIMEOUT_MS, timeout_ms)])


def branch(launcher: Launcher, client: Client, name: str = "box",
           template: str = "second") -> Frame:
    ident, pid, report = freeze(client)
    assert report["refused"] == []
    ready = launcher.expect(open_branch(launcher, pid, name, template), TEMPLATE_READY)
    release(client, ident)
    return ready


def evaluate(client: Client, code: str) -> Any:
    result = client.ask(frames.EVAL, [(frames.CODE, code)])
    assert result.type == frames.RESULT, result.text(frames.MESSAGE)
    assert not result.text(frames.ERROR_TEXT), result.text(frames.TRACEBACK)
    return result.text(frames.RESULT_TEXT)


def grandchild(launcher: Launcher, name: str = "grandchild", template: str = "second") -> Client:
    launcher.fork([name], template)
    return launcher.connect(name)

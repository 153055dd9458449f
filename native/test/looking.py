"""A sandbox seen from inside: by a command of the agent and by its warm runtime."""
from __future__ import annotations

import ast
import textwrap
from typing import Any, Callable

import frames
import pytest
from frames import Client
from launcher import Launcher
from launcher import family  # noqa: F401 (fixture)

PYTHON = "/usr/bin/python3"
Look = Callable[[str], Any]


@pytest.fixture(scope="module")
def box(family: Launcher) -> Client:  # noqa: F811
    return family.sandbox("box", disk_bytes=64 << 20, tmp_bytes=8 << 20, shm_bytes=4 << 20)


def command(client: Client, expression: str, before: str = "") -> Any:
    code = "import os\n%s\nprint(repr((%s)))" % (textwrap.dedent(before), expression)
    result = client.run([PYTHON, "-c", code])
    assert result.exit_code == 0, result.stderr.decode()
    return ast.literal_eval(result.stdout.decode())


def evaluation(client: Client, expression: str, before: str = "") -> Any:
    code = "import os\n%s\n%s" % (textwrap.dedent(before), expression)
    frame = client.ask(frames.EVAL, [(frames.CODE, code)])
    assert frame.type == frames.RESULT and not frame.text(frames.ERROR_TEXT), frame
    return ast.literal_eval(frame.text(frames.RESULT_TEXT) or "None")


@pytest.fixture(params=[command, evaluation], ids=["command", "runtime"])
def look(request: pytest.FixtureRequest, box: Client) -> Look:
    return lambda expression, before="": request.param(box, expression, before)

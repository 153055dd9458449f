"""Warm-up: order, failures, and what it tells."""

from __future__ import annotations

import json
import os
from typing import Any, Dict

import pytest
from serving import Served, needs

from forkd_runtime import frames


def failure(spec: Dict[str, Any]) -> "tuple[str, str]":
    with Served(spec) as served:
        assert served.first.type == frames.RT_ERROR
        assert served.process.wait(30) == 1
        message = served.first.text(frames.K_MESSAGE) or ""
        return message, served.first.text(frames.K_TRACEBACK) or ""


def test_a_module_that_is_not_there() -> None:
    message, traceback = failure({"imports": ["json", "numpyy"]})
    expected = "warm-up: import numpyy failed: ModuleNotFoundError: No module named 'numpyy'"
    assert message == expected
    assert "forkd_runtime" not in traceback


def test_a_module_that_fails(tmp_path: Any) -> None:
    (tmp_path / "broken.py").write_text("def f():\n    raise ValueError('no')\nf()\n")
    message, traceback = failure({"imports": ["broken"], "path": [str(tmp_path)]})
    assert message == "warm-up: import broken failed: ValueError: no"
    assert 'broken.py", line 2, in f' in traceback and "forkd_runtime" not in traceback


@pytest.mark.parametrize(
    "script, expected",
    [
        ("x = 1\n1 / x\n1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(2)", "SystemExit: 2"),
        ("x = 1 1", "SyntaxError: invalid syntax (recipe.py, line 1)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_a_script_that_fails(script: str, expected: str) -> None:
    message, traceback = failure({"script": script, "script_name": "recipe.py"})
    assert message == "warm-up: script recipe.py failed: " + expected
    if "/ 0" in script:
        assert 'File "recipe.py", line 3, in <module>\n    1 / 0\n' in traceback


@pytest.mark.parametrize(
    "function, expected",
    [
        ("json:nothing", "AttributeError: module 'json' has no attribute 'nothing'"),
        ("json", "ValueError: not of the form package.module:function"),
        ("json:loads", "TypeError: loads() missing 1 required positional argument: 's'"),
    ],
)
def test_a_function_that_fails(function: str, expected: str) -> None:
    message, _ = failure({"functions": [function]})
    assert message == "warm-up: function %s failed: %s" % (function, expected)


@pytest.mark.parametrize(
    "spec",
    [{"imports": "numpy"}, {"imports": [1]}, {"seed": "x"}, {"unsafe": "maybe"}, {"script": 1}],
)
def test_a_description_of_the_wrong_shape(spec: Dict[str, Any]) -> None:
    message, _ = failure(spec)
    assert message.startswith("warm-up: " + next(iter(spec)))


def test_a_working_directory_that_is_not_there() -> None:
    message, _ = failure({"workdir": "/no/such"})
    assert message.startswith("warm-up: working directory /no/such failed: FileNotFoundError")


def test_order_and_progress(tmp_path: Any) -> None:
    (tmp_path / "steps.py").write_text("done = ['import']\ndef step(): done.append('function')\n")
    spec = {
        "imports": ["steps"],
        "path": [str(tmp_path)],
        "workdir": str(tmp_path),
        "script": "import os, steps; steps.done += ['script', os.getcwd(), __name__]",
        "functions": ["steps:step"],
    }
    with Served(spec) as served:
        steps = served.session().eval("steps.done").result
        assert steps == repr(["import", "script", str(tmp_path), "__main__", "function"])
        output = served.close()[1].splitlines()
        lines = [line for line in output if not line.startswith("forkd: ")]  # for the agent
        assert [line.split()[0] for line in lines] == ["import", "script", "call", "warm"]
        assert lines[0].startswith("import steps ") and lines[0].endswith(" ms")


def test_a_changed_source_is_imported_anew(tmp_path: Any) -> None:
    source = tmp_path / "app.py"
    source.write_text("version = 1\n")
    code = "import app; print(app.version)"
    with Served({"imports": ["app"], "path": [str(tmp_path)]}) as served:
        assert served.run("code", code).stdout == b"1\n"
        source.write_text("version = 22\n")
        assert served.run("code", code).stdout == b"22\n"
        os.unlink(str(source))
        assert b"ModuleNotFoundError" in served.run("code", code).stderr


def test_paths_of_the_recipe_reach_programs_and_ours_does_not(tmp_path: Any) -> None:
    with Served({"path": [str(tmp_path)]}) as served:
        path = served.run("code", "import sys; print(sys.path[1])").stdout.decode().strip()
        assert path == str(tmp_path)
        code = "import sys, os; print([p for p in sys.path if os.path.exists(%r % p)])"
        code = code.replace("%r", "'%s/forkd_runtime'")
        assert served.run("code", code).stdout == b"[]\n"
        assert served.session().eval("import os; os.environ.get('PYTHONPATH')").result is None


def test_report_of_modules() -> None:
    needs("numpy")
    with Served({"imports": ["numpy", "json"]}) as served:
        report = json.loads(served.first.text(frames.K_REPORT) or "")
        assert report["modules"]["numpy"] == report["numpy_version"] != None  # noqa: E711
        assert report["modules"]["json"] == "2.0.9"

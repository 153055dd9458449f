"""A program in a fork of a warm interpreter against the same program in a fresh interpreter."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from typing import Any, Dict, Iterator, List, Optional

import pytest
from probes import CODE
from serving import ENVIRONMENT, PYTHON, Ended, Served, status

MODULES = ("json.tool", "no_such_module", "json", "this", "calendar")


@pytest.fixture(scope="module")
def warm() -> Iterator[Served]:
    names = ["json", "logging", "logging.handlers", "threading", "tempfile", "multiprocessing.pool"]
    names += ["concurrent.futures.thread", "asyncio", "dataclasses", "subprocess"]
    names += ["pickle", "runpy"]
    with Served({"imports": names}) as served:
        assert served.ready, served.first.text(32)
        yield served


def real(command: List[str], stdin: bytes, env: Dict[str, str], cwd: Optional[str]) -> Ended:
    done = subprocess.run(
        [PYTHON, *command], input=stdin, capture_output=True, env=env, cwd=cwd, timeout=60
    )
    return Ended(done.returncode, done.stdout, done.stderr)


_VOLATILE = (
    (re.compile(rb"0x[0-9a-f]+"), b"0x"),
    (re.compile(rb"\(pid=\d+\)"), b"(pid)"),
    (re.compile(rb"refcount : \d+"), b"refcount"),
    (re.compile(rb"Thread-\d+"), b"Thread"),
)


def plain(ended: Ended) -> Ended:
    """Without what differs from one run of the real interpreter to the next."""
    texts = [ended.stdout, ended.stderr]
    for pattern, replacement in _VOLATILE:
        texts = [pattern.sub(replacement, text) for text in texts]
    return Ended(ended.status, *texts)


def same(served: Served, kind: str, text: str, command: List[str], **options: Any) -> None:
    stdin = options.pop("stdin", b"one\ntwo\nthree\n")
    argv = options.get("argv", ())
    env = options.get("env") or ENVIRONMENT
    expected = real([*command, *argv], stdin, env, options.get("cwd") or "/")
    options.setdefault("cwd", "/")
    assert plain(served.run(kind, text, stdin=stdin, **options)) == plain(expected)


@pytest.mark.parametrize("name", CODE)
def test_code(warm: Served, name: str) -> None:
    same(warm, "code", CODE[name], ["-c", CODE[name]], argv=["a", "--b"])


@pytest.mark.parametrize("name", CODE)
def test_file(warm: Served, name: str, tmp_path: Any) -> None:
    script = tmp_path / "program.py"
    script.write_text(CODE[name] + "\n", encoding="utf-8")
    same(warm, "file", str(script), [str(script)], argv=["a", "--b"], cwd=str(tmp_path))


@pytest.mark.parametrize("name", MODULES)
def test_module(warm: Served, name: str) -> None:
    same(warm, "module", name, ["-m", name], stdin=b'{"a": [1, 2]}')


def test_relative_script_and_symlink(warm: Served, tmp_path: Any) -> None:
    real_directory = tmp_path / "real"
    real_directory.mkdir()
    (real_directory / "neighbour.py").write_text("print('neighbour', __file__)")
    script = real_directory / "program.py"
    script.write_text("import sys, neighbour\nprint(sys.argv, sys.path[0], __file__)\n1/0")
    (tmp_path / "link.py").symlink_to(script)
    same(warm, "file", "link.py", ["link.py"], cwd=str(tmp_path))


def test_missing_script(warm: Served) -> None:
    same(warm, "file", "/no/such/program.py", ["/no/such/program.py"])


def test_directory_and_zip(warm: Served, tmp_path: Any) -> None:
    (tmp_path / "__main__.py").write_text("import sys; print(sys.argv, sys.path[0], __file__)")
    same(warm, "file", str(tmp_path), [str(tmp_path)])
    archive = tmp_path / "program.zip"
    with zipfile.ZipFile(str(archive), "w") as file:
        file.write(str(tmp_path / "__main__.py"), "__main__.py")
    same(warm, "file", str(archive), [str(archive)])


def test_compiled_script(warm: Served, tmp_path: Any) -> None:
    source = tmp_path / "program.py"
    source.write_text("import sys; print(sys.argv, __file__, __loader__.__class__)")
    compiled = str(tmp_path / "program.pyc")
    compiler = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2])"
    subprocess.run([PYTHON, "-c", compiler, str(source), compiled], check=True)
    same(warm, "file", compiled, [compiled])


def test_package_module_raises(warm: Served, tmp_path: Any) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("from . import inner\ninner.fail()\n")
    (package / "inner.py").write_text("def fail():\n    raise ValueError('inner')\n")
    same(warm, "module", "package", ["-m", "package"], cwd=str(tmp_path))


def test_encoding_of_source(warm: Served, tmp_path: Any) -> None:
    script = tmp_path / "latin.py"
    script.write_bytes(b"# -*- coding: latin-1 -*-\nprint(ascii('\xe4'))\n")
    same(warm, "file", str(script), [str(script)])


def test_spawn_start_method(warm: Served, tmp_path: Any) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import multiprocessing as m, os\n"
        "def f(x): return x * x\n"
        "if __name__ == '__main__':\n"
        "    with m.get_context('spawn').Pool(1) as p: print(p.map(f, [1, 2]))\n"
    )
    same(warm, "file", "program.py", ["program.py"], cwd=str(tmp_path))


@pytest.mark.parametrize(
    "extra",
    [
        {"TZ": "Asia/Tokyo"},
        {"PYTHONPATH": "/usr/share:/tmp"},
        {"PYTHONUNBUFFERED": "1"},
        {"PYTHONIOENCODING": "latin-1:replace"},
        {"TMPDIR": "/var/tmp"},
    ],
)
def test_environment(warm: Served, extra: Dict[str, str]) -> None:
    code = (
        "import sys, time, tempfile, os\n"
        "print(time.tzname, time.localtime(0).tm_hour, sys.path[:3], tempfile.gettempdir())\n"
        "print([(s.encoding, s.errors, s.write_through) for s in (sys.stdin, sys.stdout)], 'ä')"
    )
    same(warm, "code", code, ["-c", code], env={**ENVIRONMENT, **extra})


def test_a_file_next_to_the_script_hides_a_warm_module(warm: Served, tmp_path: Any) -> None:
    (tmp_path / "pickle.py").write_text("who = 'mine'")
    script = tmp_path / "program.py"
    script.write_text("import pickle; print(pickle.who)")
    same(warm, "file", str(script), [str(script)])


def test_a_broken_pipe_is_told_as_by_the_interpreter(warm: Served) -> None:
    code = "print('x')"
    expected = real_into_closed_pipe(code)
    assert expected.status == 120
    assert plain(run_into_closed_pipe(warm, code)) == plain(expected)


def run_into_closed_pipe(served: Served, code: str) -> Ended:
    read_end, write_end = os.pipe()
    os.close(read_end)
    err_read, err_write = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    served.start("code", code, fds=[null, write_end, err_write])
    for fd in (null, write_end, err_write):
        os.close(fd)
    served.peer.next()
    ended = status(served.peer.next())
    with os.fdopen(err_read, "rb") as file:
        return Ended(ended, b"", file.read())


def real_into_closed_pipe(code: str) -> Ended:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.Popen(
        [PYTHON, "-c", code], stdout=write_end, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    os.close(write_end)
    _, err = process.communicate(timeout=60)
    return Ended(process.returncode, b"", err)

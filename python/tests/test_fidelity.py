"""A program in a fork of a warm interpreter against the same program in a fresh interpreter."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from typing import Any, Dict, Iterator, List, Optional

import pytest
from serving import ENVIRONMENT, PYTHON, Ended, Served, status

CODE: Dict[str, str] = {
    "pass": "pass",
    "print": "print('hello', 'wörld')",
    "argv": "import sys; print(sys.argv, sys.orig_argv[1:] if hasattr(sys, 'orig_argv') else '')",
    "path0": "import sys; print(repr(sys.path[0]))",
    "path": "import sys; print(sys.path)",
    "globals": "print(sorted(globals())); print(__name__, __spec__, __package__, __doc__)",
    "loader": "print(__loader__, __builtins__)",
    "main": "import sys; print(sys.modules['__main__'].__dict__ is globals())",
    "exit none": "import sys; sys.exit()",
    "exit 3": "import sys; sys.exit(3)",
    "exit 300": "import sys; sys.exit(300)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit text": "import sys; sys.exit('sorry')",
    "exit tuple": "import sys; sys.exit((1, 2))",
    "exit true": "raise SystemExit(True)",
    "exit object": "raise SystemExit(object)",
    "exit finally": "try:\n  raise SystemExit(4)\nfinally:\n  print('finally')",
    "os._exit": "import os; print('lost'); os._exit(9)",
    "abort": "import os; os.abort()",
    "segfault": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "sigterm": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "sigint": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(9)",
    "interrupt": "raise KeyboardInterrupt",
    "interrupt caught": "try:\n  raise KeyboardInterrupt\nexcept KeyboardInterrupt: print('ok')",
    "signals": "import signal; print([(s, signal.getsignal(s)) for s in signal.valid_signals()])",
    "mask": "import signal; print(signal.pthread_sigmask(0, []))",
    "wakeup": "import signal; print(signal.set_wakeup_fd(-1))",
    "raise": "raise ValueError('bad')",
    "raise deep": "def f(): g()\ndef g(): 1 / 0\nf()",
    "raise chain": "try:\n  1/0\nexcept ZeroDivisionError as e:\n  raise KeyError('x') from e",
    "raise context": "try:\n  1/0\nexcept ZeroDivisionError:\n  {}['x']",
    "raise stdlib": "import json; json.loads('{')",
    "raise import": "import no_such_module_here",
    "raise in import": "import json.no_such",
    "raise base": "class B(BaseException): pass\nraise B('b')",
    "raise unprintable": "class E(Exception):\n  def __str__(self): 1/0\nraise E",
    "syntax": "print('a'\nprint('b')",
    "indentation": "if 1:\nprint(1)",
    "nul": "eval('1\\x00')",
    "assert": "assert 1 == 2, 'no'",
    "hook": "import sys\nsys.excepthook = lambda t, v, b: print('hook', t, b.tb_lineno)\n1/0",
    "hook fails": "import sys\ndef h(t, v, b): {}['k']\nsys.excepthook = h\n1/0",
    "hook exits": "import sys\ndef h(t, v, b): sys.exit(5)\nsys.excepthook = h\n1/0",
    "last": "import sys, atexit\n"
    "atexit.register(lambda: print(sys.last_type, sys.last_value))\n1/0",
    "atexit": "import atexit\natexit.register(print, 'first'); atexit.register(print, 'last')",
    "atexit raises": "import atexit\natexit.register(lambda: 1/0)",
    "atexit count": "import atexit; print(atexit._ncallbacks() >= 0)",
    "finalize": "import weakref\nclass A: pass\na = A(); weakref.finalize(a, print, 'bye')",
    "tempdir": "import tempfile, os, atexit\nt = tempfile.TemporaryDirectory()\n"
    "atexit.register(lambda: print(os.path.exists(t.name)))",
    "del": "class A:\n  def __del__(self): print('del')\na = A()",
    "del cycle": "class A:\n  def __del__(self): print('del')\na = A(); a.a = a",
    "del underscore": "class A:\n  def __init__(self, n): self.n = n\n"
    "  def __del__(self): print(self.n)\nb = A('b'); _a = A('a')",
    "thread": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(.05), print('thread'))).start()\nprint('main')",
    "thread daemon": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('main')",
    "thread raises": "import threading\n"
    "t = threading.Thread(target=lambda: 1/0, name='t'); t.start(); t.join()",
    "executor": "from concurrent.futures import ThreadPoolExecutor\n"
    "e = ThreadPoolExecutor(2); print(e.submit(pow, 2, 5).result())",
    "main thread": "import threading; print(threading.current_thread().name, "
    "threading.active_count(), threading.main_thread() is threading.current_thread())",
    "stdin": "import sys; print(sys.stdin.read(), sys.stdin)",
    "input": "print(input(), input())",
    "input eof": "input(); input(); input(); input()",
    "streams": "import sys; print(sys.stdin, sys.stdout, sys.stderr)",
    "stream names": "import sys; print([(s.name, s.mode, s.errors, s.line_buffering, s.newlines, "
    "s.write_through, s.buffer.raw, s.isatty()) for s in (sys.stdin, sys.stdout, sys.stderr)])",
    "stream original": "import sys; print(sys.__stdout__ is sys.stdout, sys.__stderr__)",
    "stdout closed": "import sys; print('x'); sys.stdout.close()",
    "stdout none": "import sys; sys.stdout = None",
    "stderr closed": "import sys; sys.stderr.close(); 1/0",
    "fd 1 closed": "import os; print('x'); os.close(1)",
    "buffer": "import sys; sys.stdout.buffer.write(b'\\xff\\xfe'); sys.stdout.write('a')",
    "surrogate": "print('\\udcff')",
    "file unflushed": "f = open('/dev/stdout', 'w'); f.write('unflushed\\n')",
    "fork": "import os\np = os.fork()\nif not p: print('child'); os._exit(0)\nos.waitpid(p, 0)",
    "fork exits": "import os, sys\np = os.fork()\nif not p: sys.exit(4)\n"
    "print(os.waitpid(p, 0)[1])",
    "fds": "import os; print(os.listdir('/proc/self/fd'))",
    "first fd": "print(open('/dev/null').fileno())",
    "subprocess": "import subprocess, sys\n"
    "print(subprocess.run([sys.executable, '-c', 'import sys; print(sys.argv, sys.path)'], "
    "capture_output=True).stdout)",
    "popen sigpipe": "import subprocess; print(subprocess.call('yes | head -1', shell=True))",
    "environ": "import os; print(os.environ)",
    "environ c": "import subprocess; print(subprocess.check_output('env', shell=True))",
    "environ set": "import os; os.environ['A'] = 'b'; os.system('echo $A')",
    "cwd": "import os; print(os.getcwd())",
    "umask": "import os; print(os.umask(0))",
    "flags": "import sys; print(sys.flags, sys.dont_write_bytecode, sys.warnoptions)",
    "executable": "import sys; print(sys.executable, sys.prefix, sys.getrecursionlimit())",
    "gc": "import gc; print(gc.isenabled(), gc.get_threshold())",
    "trace": "import sys, threading; print(sys.gettrace(), sys.getprofile())",
    "hooks": "import sys; print(sys.excepthook, sys.displayhook, sys.unraisablehook)",
    "warning": "import warnings; warnings.warn('careful'); warnings.warn('careful')",
    "deprecation": "import warnings; warnings.warn('old', DeprecationWarning)",
    "future": "print(__import__('__future__').annotations.mandatory)\ndef f(x: nope): pass",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))))",
    "dataclass": "import dataclasses\n@dataclasses.dataclass\nclass A:\n  x: int\nprint(A(1))",
    "enum": "import enum\nclass E(enum.Enum):\n  A = 1\nprint(repr(E.A), E.__module__)",
    "logging": "import logging; logging.warning('note'); logging.info('hidden')",
    "logging shutdown": "import logging, logging.handlers\n"
    "h = logging.handlers.MemoryHandler(9, target=logging.StreamHandler())\n"
    "logging.getLogger().addHandler(h); logging.warning('kept')",
    "asyncio": "import asyncio\nasync def f(): await asyncio.sleep(0); return 5\n"
    "print(asyncio.run(f()))",
    "multiprocessing fork": "import multiprocessing as m\n"
    "with m.get_context('fork').Pool(2) as p: print(p.map(abs, [-1, 2]))",
    "multiprocessing queue": "import multiprocessing as m\nc = m.get_context('fork')\n"
    "q = c.Queue()\n"
    "p = c.Process(target=q.put, args=(5,)); p.start(); print(q.get()); p.join()",
    "tz": "import time; print(time.tzname)",
    "locale": "import locale, sys; print(locale.getlocale(), sys.getfilesystemencoding())",
    "readline": "import sys; print('readline' in sys.modules)",
    "runpy": "import runpy; print(sorted(runpy.run_path('/dev/null')))",
    "stack": "import traceback; traceback.print_stack(limit=1)",
    "exec": "exec('print(__name__)')",
    "unraisable": "class A:\n  def __del__(self): 1/0\nA()",
    "faulthandler": "import faulthandler; print(faulthandler.is_enabled())",
    "getpass": "import getpass; print(getpass.getuser())",
    "tempdir of env": "import tempfile; print(tempfile.gettempdir())",
}
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

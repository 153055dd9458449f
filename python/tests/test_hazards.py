"""What warm-up may leave behind: each hazard with a real example."""

from __future__ import annotations

import os
from typing import Any, Dict, List

import pytest
from serving import Served, needs

from forkd_runtime import frames
from forkd_runtime.hazards.memory import writable_shared

REFUSED: Dict[str, str] = {
    "thread": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(60,), name='worker-7', daemon=True).start()",
    "socket": "import socket; s = socket.create_server(('127.0.0.1', 0))",
    "pipe": "import os; p = os.pipe()",
    "event_fd": "import select; e = select.epoll()",
    "asyncio": "import asyncio; loop = asyncio.new_event_loop()",
    "file": "f = open('data.txt', 'w'); f.write('x'); f.flush()",
    "child_process": "import subprocess as s; p = s.Popen(['sleep', '60'], stdout=s.DEVNULL)",
    "device": "import os; t = os.open('/dev/ptmx', os.O_RDWR)",
    "shared_mapping": "import mmap; f = open('map', 'w+b'); f.write(bytes(4096)); f.flush()\n"
    "m = mmap.mmap(f.fileno(), 4096); f.close()",
    "native_thread": "import ctypes, ctypes.util\n"
    "c = ctypes.CDLL(None); thread = ctypes.c_ulong()\n"
    "start = ctypes.cast(c.pause, ctypes.c_void_p)\n"
    "assert c.pthread_create(ctypes.byref(thread), None, start, None) == 0",
}
DETAILS = {
    "thread": "worker-7 (daemon)",
    "socket": "AF_INET listens on 127.0.0.1:",
    "event_fd": "anon_inode:[eventpoll]",
    "file": "data.txt is open for writing at offset 1",
    "child_process": "sleep (pid ",
    "shared_mapping": "/map are mapped for writing",
}


def message(served: Served) -> str:
    assert served.first.type == frames.RT_ERROR, "it was not refused"
    assert served.first.text(frames.K_KIND) == "runtime"
    return served.first.text(frames.K_MESSAGE) or ""


def warmed(script: str, tmp_path: Any, **more: Any) -> Served:
    return Served({"script": script, "workdir": str(tmp_path), **more})


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name_with_a_remedy(name: str, tmp_path: Any) -> None:
    with warmed(REFUSED[name], tmp_path) as served:
        lines = message(served).splitlines()
        found = [line for line in lines if line.startswith("  %s: " % name)]
        assert found and " -> " in found[0]
        assert DETAILS.get(name, "") in found[0]
        assert '"%s"' % name in lines[-1]
        assert served.process.wait(30) == 1


@pytest.mark.parametrize("name", ["thread", "socket", "pipe", "event_fd", "file", "device"])
def test_allowed_by_name(name: str, tmp_path: Any) -> None:
    with warmed(REFUSED[name], tmp_path, allow=[name]) as served:
        assert served.ready, message(served)
        assert served.run("code", "print(1)").stdout == b"1\n"
        assert "warned: %s: " % name in served.close()[1]


def test_all_are_named_at_once_and_all_can_be_tolerated(tmp_path: Any) -> None:
    script = "\n".join(REFUSED[name] for name in ("thread", "socket", "file"))
    with warmed(script, tmp_path) as served:
        text = message(served)
        assert all("  %s: " % name in text for name in ("thread", "socket", "file"))
    with warmed(script, tmp_path, allow=["thread", "file"]) as served:
        text = message(served)
        assert "  socket: " in text and "  thread: " not in text
    with warmed(script, tmp_path, unsafe="warn") as served:
        assert served.ready


def test_what_is_tolerated_is_still_not_shared(tmp_path: Any) -> None:
    """A socket's number stays taken, by something harmless."""
    script = "import socket, os; a, b = socket.socketpair()"
    with warmed(script, tmp_path, unsafe="warn") as served:
        session = served.session()
        assert session.eval("os.readlink('/proc/self/fd/%d' % a.fileno())").result == "'/dev/null'"
        assert session.eval("a.close(); open('/dev/zero').fileno() > 2").result == "True"


def cured(served: Served) -> List[str]:
    assert served.ready, message(served)
    return [line for line in served.close()[1].splitlines() if line.startswith("cured: ")]


def test_a_file_for_reading_has_a_private_offset(tmp_path: Any) -> None:
    (tmp_path / "data").write_text("0123456789")
    script = "f = open('data', 'rb', 0); f.read(3)"
    with warmed(script, tmp_path) as served:
        first, second = served.session(), served.session()
        assert first.eval("f.read(4)").result == "b'3456'"
        assert second.eval("f.read(4)").result == "b'3456'"
        assert first.eval("f.read(4)").result == "b'789'"
        third = served.session()
        assert third.eval("f.read(2)").result == "b'34'"
        assert any("is opened anew" in line for line in cured(served))


def test_a_log_file_is_opened_anew_for_appending(tmp_path: Any) -> None:
    script = "import logging; logging.basicConfig(filename='log'); logging.warning('warm')"
    with warmed(script, tmp_path) as served:
        assert served.ready
        os.rename(str(tmp_path / "log"), str(tmp_path / "old"))  # as if on another file system
        assert served.run("code", "import logging; logging.warning('child')").status == 0
    assert (tmp_path / "old").read_text() == "WARNING:root:warm\n"
    assert (tmp_path / "log").read_text() == "WARNING:root:child\n"


def test_a_needed_file_that_is_gone_stops_the_program(tmp_path: Any) -> None:
    (tmp_path / "data").write_text("x")
    with warmed("f = open('data')", tmp_path) as served:
        os.unlink(str(tmp_path / "data"))
        ended = served.run("code", "print('ran')")
        assert (ended.status, ended.stdout) == (126, b"")
        assert b"No such file" in ended.stderr and b"data" in ended.stderr


def test_a_deleted_file_is_refused(tmp_path: Any) -> None:
    with warmed("import tempfile; f = tempfile.TemporaryFile()", tmp_path) as served:
        assert "(deleted)" in message(served)


@pytest.mark.parametrize(
    "script",
    [
        "import mmap; m = mmap.mmap(-1, 8192); m[0] = 7",
        "import multiprocessing as mp; lock = mp.get_context('fork').Lock(); m = [7]",
    ],
)
def test_shared_memory_is_private_to_each_child(tmp_path: Any, script: str) -> None:
    with warmed(script, tmp_path) as served:
        first, second = served.session(), served.session()
        if "lock" in script:
            assert first.eval("lock.acquire()").result == "True"
            assert second.eval("lock.acquire(False)").result == "True"
            assert first.eval("lock.acquire(False)").result == "False"
        assert first.eval("m[0] += 1; m[0]").result == "8"
        assert second.eval("m[0]").result == "7"
        # but it is shared with what the child itself forks
        code = "import os\nif not os.fork(): m[0] = 9; os._exit(0)\nos.wait(); m[0]"
        assert first.eval(code).result == ("8" if "lock" in script else "9")


def test_exit_callbacks_of_warm_up_do_not_run_in_children(tmp_path: Any) -> None:
    script = (
        "import atexit, tempfile, weakref, logging\n"
        "def farewell(): print('farewell of the parent')\n"
        "atexit.register(farewell)\n"
        "directory = tempfile.TemporaryDirectory(dir='.')\n"
        "class A: pass\na = A(); weakref.finalize(a, print, 'finalized')\n"
    )
    own = "import atexit; atexit.register(print, 'own'); import logging; print('ran')"
    with warmed(script, tmp_path) as served:
        kept = os.listdir(str(tmp_path))
        assert served.run("code", own).stdout == b"ran\nown\n"
        assert os.listdir(str(tmp_path)) == kept and kept
        assert any("farewell" in line and "finalizer" in line for line in cured(served))
    with warmed(script, tmp_path, allow=["atexit"]) as served:
        assert b"farewell of the parent" in served.run("code", own).stdout


def test_an_idle_event_loop_is_closed(tmp_path: Any) -> None:
    script = "import asyncio, warnings; warnings.simplefilter('ignore'); asyncio.get_event_loop()"
    script = "import asyncio; asyncio.set_event_loop(asyncio.new_event_loop())"
    with warmed(script, tmp_path) as served:
        code = "import asyncio\nasync def f(): return 1\nprint(asyncio.run(f()))"
        assert served.run("code", code).stdout == b"1\n"
        assert any(line.startswith("cured: asyncio") for line in cured(served))


def test_signals_timers_hooks_and_faulthandler(tmp_path: Any) -> None:
    script = (
        "import signal, sys, faulthandler\n"
        "signal.signal(signal.SIGUSR1, print); signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "signal.setitimer(signal.ITIMER_REAL, 1000)\n"
        "sys.excepthook = print; sys.settrace(lambda *a: None); faulthandler.enable()"
    )
    code = (
        "import signal, sys, faulthandler\n"
        "print(signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGINT))\n"
        "print(signal.pthread_sigmask(0, []), signal.getitimer(signal.ITIMER_REAL))\n"
        "print(sys.excepthook, sys.gettrace(), faulthandler.is_enabled())\n"
        "sys.stdout.flush(); faulthandler._sigsegv()"
    )
    with warmed(script, tmp_path) as served:
        ended = served.run("code", code)
        assert ended.stdout.splitlines() == [
            b"0 <built-in function default_int_handler>"
            if b"Handlers" not in ended.stdout
            else b"Handlers.SIG_DFL <built-in function default_int_handler>",
            b"set() (0.0, 0.0)",
            b"<built-in function excepthook> None True",
        ]
        assert (ended.status, b"Segmentation fault" in ended.stderr) == (-11, True)
        names = {line.split(": ")[1] for line in cured(served)}
        assert names >= {"signal", "timer", "hook", "faulthandler"}


def test_buffered_text_is_written_once(tmp_path: Any) -> None:
    script = "import sys; sys.stdout.write('held back '); log = open('log', 'a'); log.write('x')"
    with warmed(script, tmp_path) as served:
        for _ in range(3):
            assert served.run("code", "print('own')").stdout == b"own\n"
        assert served.close()[1].count("held back") == 1
    assert (tmp_path / "log").read_text() == "x"


def test_helper_processes_of_multiprocessing_are_stopped(tmp_path: Any) -> None:
    script = "from multiprocessing import resource_tracker as r; r.ensure_running()"
    with warmed(script, tmp_path) as served:
        code = (
            "from multiprocessing import shared_memory as s\n"
            "m = s.SharedMemory(create=True, size=10); m.close(); m.unlink(); print('ok')"
        )
        assert served.run("code", code).stdout == b"ok\n"
        assert any(line.startswith("cured: resource_tracker") for line in cured(served))


def test_random_generators_are_told_of(tmp_path: Any) -> None:
    script = "import random; r = random.Random(); s = random.SystemRandom()"
    with warmed(script, tmp_path) as served:
        assert served.ready
        assert "warned: rng: 1 random generators" in served.close()[1]


def test_warnings_are_shown_again(tmp_path: Any) -> None:
    (tmp_path / "shy.py").write_text("import warnings\ndef f(): warnings.warn('shy')\n")
    with warmed("import shy; shy.f()", tmp_path, path=[str(tmp_path)]) as served:
        assert served.ready
        assert b"UserWarning: shy" in served.run("code", "import shy; shy.f()").stderr


def test_maps_are_read_as_the_kernel_writes_them() -> None:
    lines = [
        "7f10-7f20 rw-s 00000000 00:01 1024     /dev/zero (deleted)\n",
        "7f20-7f30 r--s 00000000 fe:00 338846   /usr/lib/gconv-modules.cache\n",
        "7f30-7f40 rw-p 00000000 00:00 0 \n",
        "7f40-8f40 rw-s 00000000 00:05 99       /dev/nvidia0\n",
        "8f40-8f50 -w-s 00000000 00:05 99       /a b\n",
    ]
    found = writable_shared(lines)
    assert [(shared.length, shared.path) for shared in found] == [
        (0x10, "/dev/zero (deleted)"),
        (0x1000, "/dev/nvidia0"),
        (0x10, "/a b"),
    ]


OPENMP = """
import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info
X = np.random.RandomState(0).rand(2000, 4)
def fit():
    return KMeans(3, n_init=1, random_state=0).fit(X).n_iter_ > 0
assert fit()
"""


@pytest.mark.parametrize("threads", ["2", "1"])
def test_openmp_and_openblas_work_in_children_and_their_children(
    threads: str, tmp_path: Any
) -> None:
    needs("sklearn")
    env = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    spec = {"imports": ["sklearn.cluster"], "script": OPENMP}
    with Served(spec, env) as served:
        assert served.ready, message(served)
        session = served.session()
        assert session.eval("bool(fit()), (X @ X.T).shape").result == "(True, (2000, 2000))"
        code = (
            "import os\npid = os.fork()\n"
            "if not pid: os._exit(0 if fit() and (X @ X.T).any() else 1)\n"
            "os.waitpid(pid, 0)[1]"
        )
        assert session.eval(code).result == "0"
        assert any(line.startswith("cured: openmp: ") for line in cured(served))

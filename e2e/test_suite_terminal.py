"""`forkd test` at a terminal: the debugger, and runs that wait for a change."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Tuple

from conftest import HOME, Installation
from suites import project  # noqa: F401 (a fixture)


def at_a_terminal(
    installation: Installation,
    project: Path,
    args: "list[str]",
    prompt: bytes,
    *answers: bytes,
) -> Tuple[int, bytes]:
    """Exit code and output without colours; each time that the prompt comes, an answer is typed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project)
        command = str(HOME / "forkd")
        os.execve(command, ["forkd", "test", *args], installation.environment)
    out = b""
    prompted = 0
    waiting = list(answers)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and select.select([terminal], [], [], 60)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # EIO: nobody has the other end any more
            break
        out += data
        seen = out.find(prompt, prompted)
        if waiting and seen >= 0:
            os.write(terminal, waiting.pop(0))
            prompted = len(out)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), re.sub(rb"\x1b\[[0-9;]*m", b"", out)


def test_the_debugger_has_the_terminal(installation: Installation, rest, project: Path) -> None:
    (project / "test_one.py").write_text("def test_a():\n    x = 41\n    assert x == 42\n")
    code, out = at_a_terminal(
        installation, project, ["--", "--trace"], b"(Pdb) ", b"n\np x + 1000\nc\n"
    )
    assert b"1041" in out, out
    assert b"1 failed" in out
    assert code == 1


def test_who_fails_is_kept_for_the_debugger(
    installation: Installation, rest, project: Path
) -> None:
    """In the worker, with its fixtures, for longer than a test may take; then the run goes on."""
    (project / "conftest.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def opened(tmp_path):\n"
        "    place = tmp_path / 'opened'\n"
        "    place.write_text('still here')\n"
        "    yield place\n"
        "    place.unlink()\n"
    )
    (project / "test_one.py").write_text(
        "def test_before(): pass\n"
        "def test_a(opened, capfd):\n"
        "    x = 41\n"
        "    print('said before')\n"
        "    assert x == 42\n"
        "def test_after(capfd):\n"
        "    print('captured again')\n"
        "    assert capfd.readouterr().out == 'captured again\\n'\n"
        "def test_b():\n"
        "    y = 7\n"
        "    raise KeyError('second')\n"
    )
    looks = b"import os, time; time.sleep(2)\np x + 1000, opened.read_text(), os.isatty(0)\nc\n"
    code, out = at_a_terminal(
        installation,
        project,
        ["--pdb", "-n", "2", "--timeout", "1.5"],
        b"entering PDB",
        looks,
        b"p y + 2000\nc\n",
    )
    assert b"(1041, 'still here', True)" in out, out
    assert b"2007" in out, out
    assert b"2 failed, 2 passed" in out, out
    assert out.count(b"\nsaid before") == 2, out  # beside the prompt, and in the report
    assert b"entering PDB" in out
    assert code == 1


def test_quitting_the_debugger_ends_the_run(
    installation: Installation, rest, project: Path
) -> None:
    (project / "test_one.py").write_text(
        "def test_a():\n    x = 41\n    assert x == 42\n"
        "def test_b(): assert 0\n"
    )
    for more in ([], ["--", "-x"]):
        args = ["--pdb", *more]
        code, out = at_a_terminal(installation, project, args, b"(Pdb) ", b"p x + 1000\nq\n")
        assert b"1041" in out, out
        assert b"Exit: Quitting debugger" in out, out
        assert b"1 failed" in out
        assert code == 2
    code, out = at_a_terminal(installation, project, args, b"(Pdb) ", b"\x03", b"c\n")
    assert b"KeyboardInterrupt" in out
    assert code == 1, out


def test_watching_runs_what_changes(installation: Installation, rest, project: Path) -> None:
    module = project / "test_one.py"
    module.write_text("def test_a(): pass\n")
    watching = subprocess.Popen(
        [str(HOME / "forkd"), "test", "--watch"],
        cwd=project,
        env=installation.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert watching.stdout is not None
    seen: "list[bytes]" = []

    def until(text: bytes) -> bytes:
        """What was said before it, since the last time."""
        said = b""
        while text not in said:
            data = os.read(watching.stdout.fileno(), 65536)  # type: ignore[union-attr]
            assert data, (said, seen)
            said += data
        seen.append(said)
        return said

    try:
        assert b"1 passed" in until(b"waiting for a change")
        module.write_text("def test_a(): pass\ndef test_b(): assert 0\n")
        assert b"1 failed, 1 passed" in until(b"waiting for a change")
        module.write_text("import threading, time\n"
                          "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
                          )  # fmt: skip
        assert b"thread" in until(b"waiting for a change")
        module.write_text("def test_b(): pass\n")
        assert b"1 passed" in until(b"waiting for a change")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
    finally:
        watching.kill()
        watching.wait()

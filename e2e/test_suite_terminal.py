"""`forkd test` at a terminal: the debugger."""

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Tuple

from conftest import HOME, Installation
from suites import project  # noqa: F401 (a fixture)


def at_a_terminal(
    installation: Installation, project: Path, args: "list[str]", prompt: bytes, answer: bytes
) -> Tuple[int, bytes]:
    """Exit code and output; the answer is typed when the prompt is there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project)
        command = str(HOME / "forkd")
        os.execve(command, ["forkd", "test", *args], installation.environment)
    out = b""
    answered = False
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and select.select([terminal], [], [], 60)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # EIO: nobody has the other end any more
            break
        out += data
        if prompt in out and not answered:
            answered = True
            os.write(terminal, answer)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), out


def test_the_debugger_has_the_terminal(installation: Installation, rest, project: Path) -> None:
    (project / "test_one.py").write_text("def test_a():\n    x = 41\n    assert x == 42\n")
    code, out = at_a_terminal(
        installation, project, ["--", "--pdb"], b"(Pdb) ", b"p x + 1000\nq\n"
    )
    assert b"1041" in out, out
    assert b"1 failed" in out
    assert code == 2


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

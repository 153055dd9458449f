"""`forkd test` at a terminal: the debugger, the display, and runs that wait for a change."""

import os
import pty
import re
import select
import signal
import subprocess
from pathlib import Path
from typing import Tuple

import host
import pytest
from conftest import HOME, Installation
from suites import project  # noqa: F401 (a fixture)


def said(pid: int, terminal: int, before: bytes) -> bytes:
    """What comes next; nothing at the end."""
    if not select.select([terminal], [], [], host.PATIENCE)[0]:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pytest.fail("it says nothing more after %r" % before[-2000:])
    try:
        return os.read(terminal, 4096)
    except OSError:  # EIO: nobody has the other end any more
        return b""


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
    while True:
        data = said(pid, terminal, out)
        if not data:
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


SLOW = """
import time, pytest
@pytest.mark.parametrize("n", range(8))
def test_many(n):
    time.sleep(0.15)
    assert n != 2, "two is wrong"
"""


def seen(installation: Installation, project: Path, *args: str, **env: str) -> bytes:
    """What a person saw, control sequences and all."""
    (project / "test_one.py").write_text(SLOW)
    command = [str(HOME / "forkd"), "test", "-n", "2", *args]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project)
        usual = {"TERM": "xterm", "CI": "", "NO_COLOR": ""}
        os.execve(command[0], command, {**installation.environment, **usual, **env})
    out = b""
    data = said(pid, terminal, out)
    while data:
        out += data
        data = said(pid, terminal, out)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    os.close(terminal)
    return out


def screen(out: bytes) -> "list[str]":
    """The lines that are left on a screen high enough for all: what was drawn, erased, drawn."""
    lines, row, column, saved = [""], 0, 0, (0, 0)
    for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\x1b.|[^\x1b]", out.decode()):
        if part == "\x1b7":
            saved = (row, column)
        elif part == "\x1b8":
            row, column = saved
        elif part in ("\n", "\x1bD"):
            row += 1
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b["):
            if part.endswith("A"):
                row -= int(part[2:-1])
            elif part == "\x1b[J":
                lines[row] = lines[row][:column]
                del lines[row + 1 :]
            elif part == "\x1b[K":
                lines[row] = lines[row][:column]
        else:
            lines.extend([""] * (row + 1 - len(lines)))
            lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + 1 :]
            column += 1
        lines.extend([""] * (row + 1 - len(lines)))
    return [line.rstrip() for line in lines]


def test_a_person_sees_how_the_run_stands(installation: Installation, rest, project: Path) -> None:
    out = seen(installation, project)
    assert re.search(rb"\[#+ +\] [1-7]/8 ", out), out
    assert b"1 failed" in out and b"about 0:0" in out
    assert re.search(rb" s  test_one.py::test_many\[\d\]", out), out
    left = screen(out)
    assert not any(line.startswith("[#") or " s  test_one.py" in line for line in left), left
    at_once = left.index("FAILED test_one.py::test_many[2] - AssertionError: two is wrong")
    assert at_once < next(n for n, line in enumerate(left) if "= FAILURES =" in line)
    assert sum(line.startswith("FAILED test_one.py::test_many[2]") for line in left) == 2
    assert any("1 failed, 7 passed" in line for line in left)


def test_colours_dots_and_lines_as_the_user_wants(
    installation: Installation, rest, project: Path
) -> None:
    assert b"\x1b[31m" not in seen(installation, project, NO_COLOR="1")
    for args, env in ((["--no-display"], {}), ([], {"CI": "true"}), ([], {"TERM": "dumb"})):
        out = seen(installation, project, *args, **env)
        assert not re.search(rb"\[#+ *\] \d/8", out), out
        assert re.sub(rb"\x1b\[[0-9;]*m", b"", out).count(b".") >= 7
    left = screen(seen(installation, project, "--", "-v"))
    assert sum("PASSED test_one.py::test_many" in line for line in left) == 7, left


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

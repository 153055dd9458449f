"""A part of the collected session, in a fork: what pytest says of these files, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Tuple

import pytest
from fan_out import environment

CODE = """
import os, sys
from forkd_pytest import parent, slice
parent.collect(["-q", "-p", "no:cacheprovider"])
pid = os.fork()
if pid == 0:
    try: slice.main()
    except SystemExit as leaving:
        if isinstance(leaving.code, str): print(leaving.code, file=sys.stderr)
        sys.stdout.flush(); os._exit(leaving.code if isinstance(leaving.code, int) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(
        "import pytest\n@pytest.fixture(scope='session')\n"
        "def once(): print('made once'); return 1\n")
    (tmp_path / "test_good.py").write_text(
        "import time\ndef test_a(once): assert once\ndef test_b(capsys): print('x')\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/test_bad.py").write_text(
        "import pytest\ndef test_c(once): print('seen'); assert once == 2\n"
        "@pytest.mark.skip(reason='not now')\ndef test_d(): pass\n")
    return tmp_path


def run(project: Path, *command: str) -> Tuple[int, str, str]:
    done = subprocess.run([sys.executable, *command], cwd=project, env=environment(),
                          capture_output=True, text=True, timeout=60)
    return done.returncode, re.sub(r"in [0-9.]+s", "in -s", done.stdout), done.stderr


@pytest.mark.parametrize("files", [
    ("test_good.py",), ("sub/test_bad.py",), ("test_good.py", "sub/test_bad.py"),
    ("./sub/../test_good.py",)])
def test_it_says_what_pytest_says(project: Path, files: Tuple[str, ...]) -> None:
    plain = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files)
    code, out, err = run(project, "-c", CODE, *files)
    # The session's order is that of the whole suite, in which sub/ comes first.
    assert (code, err) == (plain[0], plain[2])
    assert sorted(out.splitlines()) == sorted(plain[1].splitlines()) or len(files) > 1
    assert out.splitlines()[-1] == plain[1].splitlines()[-1]


def test_a_file_without_tests_of_the_session_is_told(project: Path) -> None:
    code, out, err = run(project, "-c", CODE, "test_good.py", "test_none.py")
    assert code == 1 and "no test of test_none.py was collected" in err and out == ""


def test_without_a_session_it_says_why(project: Path) -> None:
    code, _, err = run(project, "-c", "from forkd_pytest import slice; slice.main()")
    assert code == 1 and "no fork of a collected session: nothing was collected" in err

"""`forkd test` as a user types it: verdicts, exit codes, isolation, what is warm and when."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, Iterator
from xml.etree import ElementTree

import pytest
from conftest import HOME, Installation
from suites import empty_project, run

TESTS = """
import os, pathlib, socket, time
import pytest

@pytest.mark.parametrize("n", range(6))
def test_port(n):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 8000))
        s.listen(1)
        time.sleep(0.05)
    pathlib.Path("/tmp/forkd-e2e.db").write_text("x")
    pathlib.Path("golden%d.txt" % n).write_text("new")

def test_fails():
    assert os.getcwd() == "elsewhere"

def test_crashes():
    os._exit(0)
"""


@pytest.fixture
def project() -> Iterator[Path]:
    with empty_project() as directory:
        (directory / "test_one.py").write_text(TESTS)
        yield directory


def verdicts(path: Path) -> Dict[str, str]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"].partition("::")[2]: row["verdict"] for row in rows}


def test_a_suite_from_collected_to_changed(installation: Installation, rest, project: Path) -> None:
    lines = project / "lines.jsonl"
    options = ("-n", "3", "--by", "test", "--json-lines", str(lines))
    first = run(installation, project, *options)
    assert first.returncode == 1, first.stderr
    expected = {"test_port[%d]" % n: "passed" for n in range(6)}
    expected.update(test_fails="failed", test_crashes="crashed")
    assert verdicts(lines) == expected
    assert b"forkd: collected" in first.stderr
    assert not list(project.glob("golden*"))  # what tests write stays in their sandbox
    assert (project / ".pytest_cache/v/cache/lastfailed").exists()  # what pytest writes does not
    assert not os.path.exists("/tmp/forkd-e2e.db")

    second = run(installation, project, *options)
    assert b"forkd: warm" in second.stderr
    assert verdicts(lines) == expected

    (project / "test_one.py").write_text("def test_other(): pass\n")
    third = run(installation, project, *options)
    assert third.returncode == 0
    assert b"forkd: collected" in third.stderr
    assert verdicts(lines) == {"test_other": "passed"}


def test_writes_are_kept_on_request(installation: Installation, rest, project: Path) -> None:
    done = run(installation, project, "--keep-writes", "--", "-k", "port")
    assert done.returncode == 0, done.stdout
    assert len(list(project.glob("golden*"))) == 6


@pytest.mark.parametrize(
    "args, code", [(["-k", "nothing"], 5), (["missing.py"], 4), (["--bogus"], 4), (["-x"], 1)]
)
def test_exit_codes_are_those_of_pytest(
    installation: Installation, rest, project: Path, args: "list[str]", code: int
) -> None:
    assert run(installation, project, "--", *args).returncode == code


def test_parallel_runs_and_refusals(installation: Installation, rest, project: Path) -> None:
    assert run(installation, project, "--shard", "3/2").returncode == 125
    assert b"--shard" in run(installation, project, "--shard", "3/2").stderr
    refused = run(installation, project, "--python", "/nowhere/python3")
    assert refused.returncode == 125
    assert b"there is no Python at /nowhere/python3" in refused.stderr


def test_a_virtual_environment_is_found(installation: Installation, rest, project: Path) -> None:
    (project / "test_one.py").write_text(
        "import sys\n"
        "def test_prefix():\n"
        "    import of_the_environment\n"
        "    assert sys.prefix == %r\n" % str(project / ".venv")
    )
    subprocess.run(
        ["/usr/bin/python3", "-m", "venv", "--without-pip", "--system-site-packages", ".venv"],
        cwd=project,
        check=True,
    )
    site = next((project / ".venv/lib").glob("python3*/site-packages"))
    (site / "of_the_environment.py").write_text("")
    done = run(installation, project)
    assert done.returncode == 0, done.stdout


def test_shards_are_merged_or_refused(installation: Installation, rest, project: Path) -> None:
    for name in "bcd":
        (project / ("test_%s.py" % name)).write_text("def test_%s(): pass\n" % name)
    parts = [str(project / ("part%d.json" % number)) for number in (1, 2)]
    plan = ("--plan", str(project / "plan.json"))
    codes = set()
    for number, part in enumerate(parts):
        shard = ("--shard", "%d/2" % (number + 1), "--part", part)
        report = ("--", "--junitxml=shard%d.xml" % (number + 1))
        codes.add(run(installation, project, *shard, *plan, *report).returncode)
    assert codes == {0, 1}
    merged = run(installation, project, "--merge", "--junitxml=all.xml", *parts)
    assert merged.returncode == 1
    out = merged.stdout.decode()
    assert "2 shards, 11 tests: 1 crashed, 1 failed, 9 passed" in out
    assert "FAILED test_one.py::test_crashes" in out
    whole, *shards = [
        ElementTree.parse(project / name).getroot()[0]
        for name in ("all.xml", "shard1.xml", "shard2.xml")
    ]
    for count in ("tests", "errors", "failures", "skipped"):
        assert int(whole.get(count)) == sum(int(shard.get(count)) for shard in shards)
    told = [(case.get("classname"), case.get("name")) for case in whole.iter("testcase")]
    halves = [[(c.get("classname"), c.get("name")) for c in s.iter("testcase")] for s in shards]
    assert sorted(told) == sorted(halves[0] + halves[1]) and len(told) >= 11
    collected = run(installation, project, "--", "--collect-only", "-q").stdout.decode().split()
    order = [line.rpartition("::")[2] for line in collected if "::" in line]
    assert [name for _, name in told if name in order] == order
    for wrong in (parts[:1], [*parts, parts[0]]):
        refused = run(installation, project, "--merge", *wrong)
        assert refused.returncode == 125
        assert b"cannot merge" in refused.stderr


def test_a_shard_without_a_report_is_missed_in_the_whole(
    installation: Installation, rest, project: Path
) -> None:
    part = str(project / "part.json")
    assert run(installation, project, "--part", part).returncode == 1
    refused = run(installation, project, "--merge", "--junitxml=all.xml", part)
    assert refused.returncode == 125
    assert b"was run without --junitxml" in refused.stderr
    assert not (project / "all.xml").exists()


def test_an_edit_imports_nothing_again(installation: Installation, rest, project: Path) -> None:
    (project / "helper.py").write_text("ANSWER = 1\n")
    (project / "test_one.py").write_text(
        "import os, wsgiref.util, helper\n"
        "MADE = os.getpid()\n"
        "def test_answer(): assert helper.ANSWER == 1\n"
    )
    lines = project / "lines.jsonl"

    def tried(*more: str) -> Dict[str, str]:
        done = run(installation, project, "--json-lines", str(lines), *more)
        assert b"forkd: collected" in done.stderr, done.stderr
        return verdicts(lines)

    assert tried() == {"test_answer": "passed"}
    # An edit, a new file in a new directory, a file that is gone: each collected in a fork.
    (project / "helper.py").write_text("ANSWER = 2\n")
    assert tried() == {"test_answer": "failed"}
    (project / "more").mkdir()
    (project / "more/test_more.py").write_text("def test_more(): pass\n")
    assert tried() == {"test_answer": "failed", "test_more": "passed"}
    (project / "more/test_more.py").unlink()
    (project / "helper.py").write_text("ANSWER = 1\n")
    assert tried("-n", "2") == {"test_answer": "passed"}
    snapshots = installation.rest.ok("GET", "/v1/snapshots")
    ours = [one for one in snapshots if one["tag"].startswith("deps-")]
    assert len(ours) == 1  # one template with the dependencies served them all
    branched = [one for one in snapshots if one.get("branched_from")]
    assert branched, snapshots
    # What a branch cannot carry is collected anew, and refused as always.
    (project / "helper.py").write_text(
        "import threading, time\nANSWER = 1\n"
        "threading.Thread(target=time.sleep, args=(600,), name='late', daemon=True).start()\n"
    )
    refused = run(installation, project)
    assert refused.returncode == 125 and b"late" in refused.stderr


SHARED = """
import os, pytest

@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("base")

@pytest.fixture(scope="session")
def costly(base):
    with open("/tmp/setups", "a") as file:
        file.write("set up\\n")
    yield {"pid": os.getpid(), "base": base, "seen": []}
    with open(os.path.join(os.path.dirname(__file__), "torn"), "a") as file:
        file.write("torn down\\n")

@pytest.fixture(scope="session", params=[1, 2])
def several(request):
    return request.param

@pytest.fixture(scope="session")
def broken():
    raise RuntimeError("no database")
"""

SHARED_TESTS = """
import os, pytest

@pytest.mark.parametrize("n", range(6))
def test_once(costly, n):
    assert costly["pid"] != os.getpid() and costly["base"].is_dir()
    assert open("/tmp/setups").read() == "set up\\n"
    costly["seen"].append(n)

def test_several(several, costly):
    assert several in (1, 2)

def test_broken(broken):
    pass
"""


@pytest.mark.parametrize("how", [(), ("--isolate", "test")])
def test_a_session_fixture_is_set_up_once_for_all(
    installation: Installation, rest, project: Path, how: "tuple[str, ...]"
) -> None:
    (project / "conftest.py").write_text(SHARED)
    (project / "test_one.py").write_text(SHARED_TESTS)
    for _ in range(2):  # collected, and warm
        done = run(installation, project, "-n", "2", "--share-fixtures", "all", *how)
        out = done.stdout.decode()
        assert done.returncode == 1, out
        assert "8 passed, 1 error" in out and "RuntimeError: no database" in out
        assert "fixture several has parameters" in out
        assert (project / "torn").read_text() == "torn down\n"
        (project / "torn").unlink()
    each = run(installation, project, "-n", "2", "--share-fixtures", "costly,base", *how)
    assert "8 passed, 1 error" in each.stdout.decode()


@pytest.mark.parametrize(
    "left, named",
    [
        ("import threading; threading.Thread(target=SLEEP, name='Beat').start()", "Beat"),
        ("import socket; global s; s = socket.socket()", "socket"),
        ("import subprocess; global p; p = subprocess.Popen(['sleep', '1000'])", "child process"),
    ],
)
def test_a_fixture_that_cannot_be_shared_is_named(
    installation: Installation, rest, project: Path, left: str, named: str
) -> None:
    left = left.replace("SLEEP", "__import__('time').sleep, args=(1000,), daemon=True")
    (project / "test_one.py").write_text(
        "import pytest\n"
        "@pytest.fixture(scope='session')\n"
        f"def alive():\n    {left}\n    yield 1\n"
        "def test_a(alive): pass\n"
    )
    done = run(installation, project, "--share-fixtures", "alive")
    assert done.returncode == 125, done.stdout
    said = done.stderr.decode()
    assert "session fixture alive cannot be set up once" in said and named in said, said
    unknown = run(installation, project, "--share-fixtures", "nobody")
    assert b"no test uses a session fixture nobody" in unknown.stderr
    assert run(installation, project).returncode == 0


@pytest.fixture
def short() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="f"))  # a unix socket's path is short
    yield directory
    shutil.rmtree(directory)


def test_without_a_daemon_nothing_is_left(project: Path, short: Path) -> None:
    (project / "test_one.py").write_text("def test_a(): pass\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith("FORKD_")}
    env.update(FORKD_STATE_DIR=str(short / "state"))
    done = subprocess.run(
        [str(HOME / "forkd"), "test", "--no-daemon"],
        cwd=project,
        env={**env, "JAVA_TOOL_OPTIONS": "-Djava.io.tmpdir=%s" % short},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert b"1 passed" in done.stdout
    assert b"forkd: collected" in done.stderr
    assert list(short.iterdir()) == []  # no state, no socket, no log
    command = [HOME / "forkd", "stop"]
    assert subprocess.run(command, env=env, capture_output=True).stdout.startswith(b"no daemon")

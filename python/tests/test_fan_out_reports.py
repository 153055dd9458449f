"""What forkd_pytest tells beside pytest's own reports: shards, times, trials, findings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fan_out import PYTHON, Outcome, fork, plain, project


def shards(suite: Path, of: int, **settings: object) -> "list[Outcome]":
    return [fork(suite, shard=[number + 1, of], **settings) for number in range(of)]


def test_shards_are_the_suite_and_a_plan_keeps_them(tmp_path: Path) -> None:
    files = {"test_%d" % n: "def test_%d(): pass\n" % n * (n % 3 + 1) for n in range(7)}
    suite = project(tmp_path, **files)
    plan = str(tmp_path / "plan.json")
    first = shards(suite, 3, plan=plan)
    names = [name for outcome in first for name in outcome.verdicts]
    assert sorted(names) == sorted(plain(suite).verdicts)
    # Times that would be cut in another way do not change a plan.
    (tmp_path / ".test_durations").write_text('{"test_0.py::test_0": 50.0}')
    assert [o.verdicts for o in shards(suite, 3, plan=plan)] == [o.verdicts for o in first]
    refused = fork(suite, shard=[1, 2], plan=plan)
    assert refused.code == 4 and "is for 3 shards" in refused.err
    (tmp_path / "test_9.py").write_text("def test_9(): pass\n")
    assert fork(suite, shard=[1, 3], plan=plan).code == 4
    (tmp_path / "plan.json").write_text("[]")
    assert "is no plan" in fork(suite, shard=[1, 3], plan=plan).err


def test_a_part_tells_what_merging_needs(tmp_path: Path) -> None:
    suite = project(tmp_path, test_a="def test_a(): pass\n", test_b="def test_b(): assert 0\n")
    parts = []
    for number in (1, 2):
        path = tmp_path / ("part%d.json" % number)
        code = fork(suite, shard=[number, 2], part=str(path)).code
        parts.append(json.loads(path.read_text()))
        assert parts[-1]["exit_code"] == code
    assert [part["shard"] for part in parts] == [[1, 2], [2, 2]]
    assert parts[0]["collection"] == parts[1]["collection"]
    assert {part["collected"] for part in parts} == {2}
    verdicts = {test["id"]: test["verdict"] for part in parts for test in part["tests"]}
    assert verdicts == {"test_a.py::test_a": "passed", "test_b.py::test_b": "failed"}


def test_times_name_the_long_pole(tmp_path: Path) -> None:
    slow = "import time\ndef test_slow(): time.sleep(0.5)\ndef test_quick(): pass\n"
    got = fork(project(tmp_path, test_slow=slow), workers=2, by="test", clock=True)
    assert "the ideal is 0.5 s" in got.out
    pole = got.out.partition("no number of workers gets below 0.5 s:")[2]
    assert pole.splitlines()[1].endswith("0.5 s test_slow.py::test_slow")


def test_a_trial_explains_what_differs(tmp_path: Path) -> None:
    module = """
import os, time
import pytest
STATE = []

def test_first(): STATE.append(1)

@pytest.mark.xdist_group("other")
def test_needs_the_first(): assert STATE

def test_differs(): assert "FORKD_SLOT" not in os.environ

def test_same(): pass
"""
    suite = project(tmp_path, test_module=module)
    got = fork(suite, "-q", workers=2, by="test", trial=True)
    told = [line for line in got.out.splitlines() if line.startswith("forkd try: ")]
    assert any("plain pytest: 4 tests, exit code 0" in line for line in told), got.out
    differs = told.index("forkd try: test_module.py::test_differs: plain passed, forks failed")
    assert "it differs in every fork" in told[differs + 1]
    assert not any("test_same" in line or "test_first" in line for line in told)


@pytest.mark.parametrize(
    "alone, after, word",
    [("passed", "passed", "order"), ("failed", "passed", "needs"), ("failed", "failed", "every")],
)
def test_reasons_of_differences(alone: str, after: str, word: str) -> None:
    sys.path.insert(0, str(PYTHON))
    from forkd_pytest.trial import explain

    expected = {"order": "it depends on what ran", "needs": "it needs", "every": "it differs"}
    assert explain("passed", alone, after).startswith(expected[word])


def test_the_doctor_names_modules_and_variables(tmp_path: Path) -> None:
    (tmp_path / "lazy_one.py").write_text("import lazy_two\n")
    (tmp_path / "lazy_two.py").write_text("")
    suite = project(tmp_path, test_lazy="def test_a():\n    import lazy_one\n")
    hazards = [
        {"name": "socket", "action": "warned", "detail": "descriptor 9: a peer"},
        {"name": "openmp", "action": "cured", "detail": "paused"},
    ]
    got = fork(suite, workers=1, doctor=True, hazards=hazards)
    assert "unsafe: socket: descriptor 9: a peer. connect in a fixture" in got.out
    assert "cured: openmp: paused" in got.out
    assert "2 modules were imported in workers" in got.out
    assert "lazy_one, lazy_two" in got.out
    assert "MiB for itself" in got.out

"""Huge pages for the warm heap, in an interpreter of its own."""

from __future__ import annotations

import platform
import subprocess
from typing import Dict, List

import pytest
from serving import ENVIRONMENT, PYTHON, ROOT

PROGRAM = """
import os, sys
from forkd_runtime.heap import Heap
heap = Heap()
with heap:
    kept = [str(i) * 3 for i in range(300000)]
    dropped = [(i, str(i)) for i in range(300000)]
    del dropped  # arenas become empty while they come from the C library
    heap.check()
before = kept[:]
huge = heap.collapse()
mapped = 0
inside = False
for line in open('/proc/self/smaps'):
    inside = '[heap]' in line if '-' in line.split()[0] else inside
    if inside and line.startswith('AnonHugePages:'):
        mapped += int(line.split()[1])
assert kept == before and kept[299999] == '299999' * 3
pid = os.fork()
if pid == 0:
    kept[:] = [value + '!' for value in kept]
    os._exit(0 if kept[7] == '777!' else 1)
status = os.waitpid(pid, 0)[1]
intact = kept[7] == '777'
del kept, before  # arenas become empty when the usual allocator is back
again = [str(i) * 3 for i in range(300000)]
print(huge > 0, mapped >= huge > 0, status, intact, again[299999] == '299999' * 3)
"""


def run(env: Dict[str, str]) -> List[str]:
    command = [PYTHON, "-c", PROGRAM]
    env = {**ENVIRONMENT, "PYTHONPATH": ROOT, **env}
    return subprocess.check_output(command, env=env, timeout=60).decode().split()


def test_what_is_made_in_the_heap_lies_in_huge_pages_and_lives_on() -> None:
    release = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    if release < (6, 1) or platform.libc_ver()[0] != "glibc":
        pytest.skip("MADV_COLLAPSE and glibc are needed")
    assert run({}) == ["True", "True", "0", "True", "True"]


@pytest.mark.parametrize("env", [{"FORKD_HUGE_PAGES": "0"}, {"PYTHONMALLOC": "malloc"}])
def test_it_does_no_harm_where_it_does_nothing(env: Dict[str, str]) -> None:
    assert run(env)[2:] == ["0", "True", "True"]
    if "FORKD_HUGE_PAGES" in env:
        assert run(env)[0] == "False"

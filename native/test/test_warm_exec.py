"""python3 inside a sandbox: a fork of the warm interpreter, and nobody can tell."""
from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator

import frames
import pytest
from frames import Client
from launcher import HERE, Launcher, finish

FRONT = str(HERE.parent / "build" / "forkd-python")
PROBES = HERE.parent.parent / "python" / "tests" / "probes.py"
WARM = {"imports": ["json", "logging", "logging.handlers", "threading", "tempfile", "numpy",
                    "multiprocessing.pool", "concurrent.futures.thread", "asyncio", "dataclasses",
                    "subprocess", "pickle", "pytest", "unittest", "argparse"], "exec": True}
ENVIRONMENT = ["PATH=/usr/bin:/bin", "HOME=/root", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1",
               "LANG=C.UTF-8"]


@pytest.fixture(scope="module")
def family() -> Iterator[Launcher]:
    started = Launcher()
    started.hello()
    layer = Path(tempfile.mkdtemp(dir="/dev/shm"))
    layer.chmod(0o755)
    (layer / "opt").mkdir()
    for source in (PROBES, HERE / "front_driver.py"):
        shutil.copy(source, layer / "opt" / source.name)
    try:
        env = ["PYTHONPATH=/.forkd/python", *ENVIRONMENT]
        started.template(layers=[{"path": str(layer), "copy": 1}, {"path": "/"}], warm=WARM,
                         env=env, argv=["/usr/bin/python3", "-m", "forkd_runtime.zygote"],
                         front=FRONT)
        yield started
    finally:
        finish(started)
        shutil.rmtree(layer)


@pytest.fixture(scope="module")
def box(family: Launcher) -> Client:
    return family.sandbox("box")


def test_every_probe_gives_the_same(box: Client) -> None:
    box.deadline = 400
    command = ["/.forkd/real/python3", "/opt/front_driver.py"]
    result = box.run(command, env=ENVIRONMENT)
    assert result.exit_code == 0, result.stderr.decode()
    found: Dict[str, Any] = json.loads(result.stdout)
    assert found["probes"] >= 100
    report = "\n".join("%s\n  real %r\n  warm %r" % (name, *pair)
                       for name, pair in sorted(found["different"].items()))
    assert not found["different"], report

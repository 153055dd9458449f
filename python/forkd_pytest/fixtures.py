"""xdist's fixtures, for suites that use them where xdist itself is not installed."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def worker_id(request: Any) -> str:
    """The worker's name, as xdist gives it: `gw0`, `gw1`, ..."""
    workerinput = getattr(request.config, "workerinput", None)
    return workerinput["workerid"] if workerinput else "master"


@pytest.fixture(scope="session")
def testrun_uid(request: Any) -> str:
    """A text that all workers of one run share and no other run has."""
    workerinput = getattr(request.config, "workerinput", None)
    return workerinput["testrunuid"] if workerinput else "master"

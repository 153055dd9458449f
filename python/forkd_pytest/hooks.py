"""The plugin by which a runner hears of what pytest does."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from forkd_pytest import wire
from forkd_pytest.record import PHASES

HOOKS = "forkd_hooks"
_PHASE = {name: number for number, name in enumerate(PHASES)}


class Hooks:
    """Registered once, in the keeper: to register a plugin costs each fork a millisecond."""

    def __init__(self) -> None:
        self.runner: Optional[Any] = None  # set in its process

    def pytest_runtest_setup(self, item: Any) -> None:
        if self.runner is not None:
            self.runner.enters(_PHASE["setup"])

    def pytest_runtest_call(self, item: Any) -> None:
        if self.runner is not None:
            self.runner.enters(_PHASE["call"])

    def pytest_runtest_teardown(self, item: Any, nextitem: Any) -> None:
        if self.runner is not None:
            self.runner.enters(_PHASE["teardown"])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if self.runner is not None:
            self.runner.reported(report)

    def pytest_warning_recorded(
        self, warning_message: Any, when: str, nodeid: str, location: Any
    ) -> None:
        # Before there is a runner pytest tells of the warnings of collection: the controller has
        # them.
        if self.runner is not None:
            self.runner.warned((_described(warning_message), when, nodeid, location))


def _described(recorded: Any) -> Tuple[Any, ...]:
    category = recorded.category
    message = recorded.message
    return (
        category.__module__,
        category.__qualname__,
        str(message),
        wire.plain(getattr(message, "args", ())),
        str(recorded.filename),
        recorded.lineno,
    )

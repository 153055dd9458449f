"""A terminal reporter that can be asked but reports nothing."""

from __future__ import annotations

from typing import Any

_NAME = "terminalreporter"


class Quiet:
    """What plugins find under the reporter's name in a worker: all of it but its hooks."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter

    def __getattr__(self, name: str) -> Any:
        if name.startswith("pytest_"):
            raise AttributeError(name)
        return getattr(self._reporter, name)


def quieten(pluginmanager: Any) -> None:
    """Takes the reporter's hooks away."""
    reporter = pluginmanager.getplugin(_NAME)
    if reporter is not None:
        pluginmanager.unregister(reporter)
        pluginmanager.register(Quiet(reporter), _NAME)

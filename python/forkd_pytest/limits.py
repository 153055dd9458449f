"""How long a test may take: pytest-timeout's mark and ini value, else the option of forkd."""

from __future__ import annotations

import contextlib
from typing import Any, Optional


class Timeouts:
    """Seconds of each item; 0 is no limit. Silent where pytest-timeout does the work itself."""

    def __init__(self, config: Any, option: float) -> None:
        self._off = config.pluginmanager.hasplugin("timeout")
        self._default = option or (0.0 if self._off else _ini(config))

    def of(self, item: Any) -> float:
        if self._off:
            # The plugin acts first; what it cannot end (a hang in C) is ended here, later.
            return self._default
        mark = item.get_closest_marker("timeout")
        value: Optional[Any] = None
        if mark is not None:
            value = mark.args[0] if mark.args else mark.kwargs.get("timeout")
        with contextlib.suppress(TypeError, ValueError):
            return float(value)  # type: ignore[arg-type]
        return self._default


def _ini(config: Any) -> float:
    # Not a known ini value without the plugin: read as the file has it.
    with contextlib.suppress(TypeError, ValueError, AttributeError):
        return float(config.inicfg.get("timeout", 0))
    return 0.0

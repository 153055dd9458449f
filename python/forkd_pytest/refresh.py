"""Brings what the session read at its beginning, maybe long ago, up to date."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any, Dict, Optional

from forkd_pytest import coverage
from forkd_pytest.link import Link

_KEYS = ("cache/lastfailed", "cache/nodeids", "cache/stepwise")


def refresh(config: Any, link: Link) -> None:
    """Clocks and the cache of pytest."""
    clocks(config)
    _cache(config, link)
    coverage.refresh(config, link)


def clocks(config: Any) -> None:
    """A session's time is counted from here on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    plugins = [plugin for plugin in config.pluginmanager.get_plugins() if plugin is not None]
    junit = [plugin for plugin in plugins if type(plugin).__name__ == "LogXML"]
    with contextlib.suppress(ImportError):
        from _pytest import timing

        instant = getattr(timing, "Instant", None)
        for owner, old, new in [
            (reporter, "_sessionstarttime", "_session_start"),
            *[(one, "suite_start_time", "suite_start") for one in junit],
        ]:
            if hasattr(owner, new) and instant is not None:
                setattr(owner, new, instant())
            elif hasattr(owner, old):
                setattr(owner, old, time.time())


def _cache(config: Any, link: Link) -> None:
    cache = getattr(config, "cache", None)
    directory = getattr(cache, "_cachedir", None)
    if cache is None or directory is None:
        return
    known: Dict[str, Any] = {}
    for key in _KEYS:
        value = _stored(link, os.path.join(str(directory), "v", *key.split("/")))
        if value is not None:
            cache.set(key, value)
            known[key] = value
    plugins = config.pluginmanager
    last = plugins.getplugin("lfplugin")
    if last is not None and hasattr(last, "lastfailed"):
        last.lastfailed = dict(known.get("cache/lastfailed", {}))
    nodes = plugins.getplugin("nfplugin")
    if nodes is not None and hasattr(nodes, "cached_nodeids"):
        nodes.cached_nodeids.update(known.get("cache/nodeids", []))


def _stored(link: Link, path: str) -> Optional[Any]:
    data = link.read(path)
    try:
        return None if data is None else json.loads(data.decode("utf-8"))
    except ValueError:
        return None  # damaged: pytest ignores it, too


def last_failed(config: Any) -> "set[str]":
    """Node ids that failed the last time."""
    plugin = config.pluginmanager.getplugin("lfplugin")
    return set(getattr(plugin, "lastfailed", None) or ())

"""The order of the JUnit file: that of collection, whichever worker was first."""

from __future__ import annotations

from typing import Any, Dict, Tuple


def in_collection_order(session: Any) -> None:
    """Before the file is written."""
    for plugin in session.config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "LogXML":
            places = _places(session, plugin)
            # What is no test of the suite (a collection error) was there before all tests.
            plugin.node_reporters_ordered.sort(
                key=lambda reporter: places.get(_address(reporter), -1)
            )


def _places(session: Any, plugin: Any) -> Dict[Tuple[str, str], int]:
    from _pytest.junitxml import bin_xml_escape, mangle_test_address

    found: Dict[Tuple[str, str], int] = {}
    for index, item in enumerate(session.items):
        names = mangle_test_address(item.nodeid)
        parts = names[:-1]
        if plugin.prefix:
            parts.insert(0, plugin.prefix)
        found.setdefault((".".join(parts), bin_xml_escape(names[-1])), index)
    return found


def _address(reporter: Any) -> Tuple[str, str]:
    # A finished reporter is nothing any more but its element.
    element = reporter.to_xml()
    return element.get("classname", ""), element.get("name", "")

"""The JUnit file of a run: in the order of collection, whichever worker was first; and what of a
shard's file goes to where shards are merged."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, List, Optional, Tuple
from xml.etree import ElementTree

_SUITE = "testsuite"


def in_collection_order(session: Any) -> None:
    """Before the file is written."""
    for plugin in _writers(session):
        places = _places(session, plugin)
        # What is no test of the suite (a collection error) was there before all tests.
        plugin.node_reporters_ordered.sort(key=lambda one: places.get(_address(one.to_xml()), -1))


def of_shard(session: Any) -> Optional[Dict[str, Any]]:
    """The file that was written, with each test's place in the collection; None without one."""
    for plugin in _writers(session):
        with contextlib.suppress(OSError, ElementTree.ParseError):
            root = ElementTree.parse(plugin.logfile).getroot()
            suite = root if root.tag == _SUITE else root.find(_SUITE)
            if suite is not None:
                return _told(suite, _places(session, plugin))
    return None


def _told(suite: Any, places: Dict[Tuple[str, str], int]) -> Dict[str, Any]:
    return {
        "suite": dict(suite.attrib),
        "cases": [
            [places.get(_address(case), -1), ElementTree.tostring(case, encoding="unicode")]
            for case in suite.findall("testcase")
        ],
    }


def _writers(session: Any) -> List[Any]:
    plugins = session.config.pluginmanager.get_plugins()
    return [plugin for plugin in plugins if type(plugin).__name__ == "LogXML"]


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


def _address(case: Any) -> Tuple[str, str]:
    return case.get("classname", ""), case.get("name", "")

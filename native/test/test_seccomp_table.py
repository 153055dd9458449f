"""The documented list of refused system calls is the filter's."""
from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_documentation_names_what_the_filter_refuses() -> None:
    source = (ROOT / "native/common/seccomp.c").read_text()
    refused = {name.lstrip("_") for name in re.findall(r"\{SYS_(\w+), REFUSE\}", source)}
    text = (ROOT / "docs/security.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("Refused with EPERM: "))
    documented = set(re.findall(r"`(\w+)`", line)) - {"quotactl_fd"}
    assert len(refused) > 50 and documented == refused


def test_those_that_can_be_asked_for_are_named_alike() -> None:
    source = (ROOT / "native/common/seccomp.c").read_text()
    askable = set(re.findall(r"CALL\((\w+)\)[,}]", source))
    java = (ROOT / "src/main/java/dev/forkd/model/SystemCalls.java").read_text()
    text = (ROOT / "docs/security.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("Can be asked for: "))
    assert len(askable) > 10 and askable == set(re.findall(r'^ +"(\w+)"[,)]', java, re.M))
    assert askable == set(re.findall(r"`(\w+)`", line))

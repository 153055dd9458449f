"""What is left on the host: the leak check of every test."""

import os
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, List, Set

PATIENCE = 60.0  # seconds: longer than anything here may take, shorter than a person would wait


def eventually(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)  # polling the outside of another process


def children_of(pid: int) -> List[int]:
    """All descendants of a process."""
    parents: Dict[int, List[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it ended while we looked
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        for child in parents.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def command(pid: int) -> bytes:
    """The arguments of a process, each ended by a null; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def cgroups(label: str) -> Set[str]:
    """Every cgroup directory whose path holds the label."""
    found = set()
    for root, directories, _ in os.walk("/sys/fs/cgroup"):
        found.update(os.path.join(root, d) for d in directories if label in os.path.join(root, d))
    return found


def mounts() -> Set[str]:
    """Without what others make meanwhile: names of network namespaces, a test's small disk."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line for line in lines if " /run/netns/" not in line and " forkd-e2e " not in line}


def network_namespaces() -> Set[str]:
    """All that have a name."""
    return {entry.name for entry in Path("/run/netns").glob("*")}


def networks(run_dir: Path) -> Set[str]:
    """Network namespaces that a daemon has noted as its own."""
    return {entry.name for entry in run_dir.glob("*-networks/*")}


def private_kib(pid: int) -> int:
    """Memory that a process shares with nobody; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def prepare_network_names() -> None:
    """The directory of named namespaces becomes a mount at its first use, and stays one."""
    name = "forkd-e2e-%d" % os.getpid()
    for verb in ("add", "del"):
        subprocess.run(["ip", "netns", verb, name], check=True, timeout=30)

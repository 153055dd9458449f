"""Virtual machines as the end-to-end tests need them: a small image, a daemon, what it holds."""

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, List

import host
import pytest
from conftest import HOME, Installation, own_installation
from name_server import NameServer
from rest import Rest

TREE = Path(os.environ.get("FORKD_VM_CACHE", HOME / "target/vm-cache")) / "numpy-tree"
RECIPE = """\
name: {name}
engine: vm
image: {{dir: {tree}}}
runtime: {{language: python, interpreter: /usr/bin/python3}}
warm:
  imports: [json, random, socket]
  deadline: 60s
workdir: /workdir
network: {network}
limits: {{disk: 64MiB, tmp: 32MiB, shm: 16MiB, cpus: 1}}
pool: {pool}
"""


def recipe(name: str, pool: int = 0, network: str = "local") -> Dict[str, str]:
    """The body of a request for a snapshot."""
    text = RECIPE.format(name=name, tree=TREE, pool=pool, network=network)
    return {"recipe": text, "recipe_dir": "/"}


def make_tree() -> None:
    """The small Debian that the integration tests use as well."""
    if TREE.is_dir():
        return
    part = TREE.with_name("part-%d" % os.getpid())
    part.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mmdebstrap", "--variant=minbase", "--include=python3,python3-numpy",
                    "bookworm", str(part)], check=True, timeout=600)
    part.rename(TREE)


@pytest.fixture(scope="module")
def machines() -> Iterator[Installation]:
    with daemon() as installed:
        yield installed


@contextlib.contextmanager
def daemon() -> Iterator[Installation]:
    """One with the snapshot `vm-e2e`, that leaves nothing."""
    make_tree()
    with own_installation() as installed:
        installed.rest = Rest(str(installed.socket), 600)
        installed.names = NameServer()
        installed.start("--bind", "none", "--name-servers", installed.names.address)
        reply = installed.rest.ok("POST", "/v1/snapshots", recipe("vm-e2e", pool=1))
        assert reply["engine"] == "vm"
        yield installed
        label = installed.label()
        installed.stop()
        nothing_left(installed, label)
        assert host.networks(installed.run_dir) == set()


def processes(*words: bytes) -> List[int]:
    """Those whose command line holds all of the words."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue  # it ended while we looked
        if line and all(word in line for word in words):
            found.append(int(entry.name))
    return found


def emulators(label: str) -> List[int]:
    """Every QEMU of a daemon; they carry its label as their name."""
    return processes(b"qemu-system", (label + "-").encode())


def helpers(installed: Installation) -> List[int]:
    """The daemon's own processes beside QEMU: those that hold and those that copy memory."""
    assert installed.process is not None
    ours = set(host.children_of(installed.process.pid))
    return [pid for pid in processes(b"/forkd-vm\0") if pid in ours]


def nothing_left(installed: Installation, label: str) -> None:
    """After the daemon has ended, or has swept what another one left."""
    deadline = time.monotonic() + 30
    while emulators(label) and time.monotonic() < deadline:
        time.sleep(0.05)  # the kernel ends them when their daemon has ended
    assert emulators(label) == []
    # The process engine's launcher has its groups elsewhere.
    assert host.cgroups(label + "-vm") == set()
    records = installed.run_dir / "vm-networks"
    assert not records.exists() or list(records.iterdir()) == []

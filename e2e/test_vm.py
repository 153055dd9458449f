"""Virtual machines as a user drives them, and what is left when things are killed at random.

FORKD_CRASH_ROUNDS says how often something is killed (4; `make crash-vm` takes 50).
"""

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Iterator, List

import host
import pytest
from conftest import HOME, Installation
from rest import Rest

ROUNDS = int(os.environ.get("FORKD_CRASH_ROUNDS", "4"))
TREE = Path(os.environ.get("FORKD_VM_CACHE", HOME / "target/vm-cache")) / "numpy-tree"
RECIPE = """\
name: vm-e2e
engine: vm
image: {{dir: {tree}}}
runtime: {{language: python, interpreter: /usr/bin/python3}}
warm:
  imports: [json, random, socket]
  deadline: 60s
workdir: /workdir
network: local
limits: {{disk: 64MiB, tmp: 32MiB, shm: 16MiB, cpus: 1}}
pool: 1
"""


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
    make_tree()
    directory = Path(tempfile.mkdtemp(prefix="forkd-e2e-"))
    installed = Installation(directory)
    installed.rest = Rest(str(installed.socket), 600)
    before = host.network_namespaces()
    installed.start()
    try:
        reply = installed.rest.ok(
            "POST", "/v1/snapshots",
            {"recipe": RECIPE.format(tree=TREE), "recipe_dir": "/"})
        assert reply["engine"] == "vm"
        yield installed
        label = installed.label()
        installed.stop()
        nothing_left(installed, label)
        assert host.network_namespaces() == before
    finally:
        if installed.process is not None and installed.process.poll() is None:
            installed.stop()
        shutil.rmtree(directory)


def emulators(label: str) -> List[int]:
    """Every QEMU of a daemon; they carry its label as their name."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue  # it ended while we looked
        if b"qemu-system" in words and (label + "-").encode() in words:
            found.append(int(entry.name))
    return found


def nothing_left(installed: Installation, label: str) -> None:
    deadline = time.monotonic() + 30
    while emulators(label) and time.monotonic() < deadline:
        time.sleep(0.05)  # the kernel ends them when their daemon has ended
    assert emulators(label) == []
    # The process engine's launcher has its groups elsewhere.
    assert host.cgroups(label + "-vm") == set()
    records = installed.run_dir / "vm-networks"
    assert not records.exists() or list(records.iterdir()) == []


def test_a_machine_is_reached_at_its_address_in_a_network_that_ip_netns_knows(machines):
    rest = machines.rest
    one, two = rest.fork("vm-e2e", 2)
    assert one["netns"] != two["netns"]
    assert one["guest_addr"].startswith("10.42.0.2")
    assert one["netns"] in host.network_namespaces()
    code = ("import socket, threading; s = socket.socket(); s.bind(('', 8888)); s.listen();"
            "threading.Thread(target=lambda: s.accept()[0].sendall(b'here'), daemon=True).start()")
    assert rest.eval(one["id"], code)["error"] is None
    ask = ("import socket; s = socket.create_connection(('10.42.0.2', 8888), 10);"
           "print(s.recv(9).decode())")
    said = subprocess.run(["ip", "netns", "exec", one["netns"], "/usr/bin/python3", "-c", ask],
                          capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout == "here\n"
    for sandbox in (one, two):
        rest.kill(sandbox["id"])
    assert one["netns"] not in host.network_namespaces()


def test_the_pool_hands_out_machines_that_stood_still(machines):
    rest = machines.rest
    deadline = time.monotonic() + 60
    while b"forkd_sandboxes_parked 1" not in rest.raw("GET", "/metrics")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the pool is filled in the background
    (sandbox,) = rest.fork("vm-e2e", 1)
    ahead = float(rest.eval(sandbox["id"], "__import__('time').time()")["result"]) - time.time()
    assert -5 < ahead < 1
    rest.kill(sandbox["id"])


def kill_one(installed: Installation, label: str, stop: threading.Event) -> None:
    """Some QEMU, at some moment of the next second."""
    stop.wait(random.random())
    victims = emulators(label)
    if victims:
        try:
            os.kill(random.choice(victims), signal.SIGKILL)
        except ProcessLookupError:
            pass  # it ended by itself: as good


def kill_daemon(installed: Installation) -> None:
    assert installed.process is not None
    for pid in [installed.process.pid, *host.children_of(installed.process.pid)]:
        words = Path(f"/proc/{pid}/cmdline")
        if host.alive(pid) and b"forkd.jar" in words.read_bytes():
            os.kill(pid, signal.SIGKILL)
    installed.process.wait(30)
    installed.start()


def test_random_kills_leak_nothing_and_lose_nothing(machines):
    rest, label = machines.rest, machines.label()
    for number in range(ROUNDS):
        stop = threading.Event()
        if number == ROUNDS - 1 or random.random() < 0.1:
            rest.fork("vm-e2e", 2)
            kill_daemon(machines)
            nothing_left(machines, label)
        else:
            killer = threading.Thread(target=kill_one, args=(machines, label, stop))
            killer.start()
            status, reply = rest.call(
                "POST", "/v1/sandboxes", {"snapshot_tag": "vm-e2e", "n": 3})
            stop.set()
            killer.join()
            assert status in (201, 500, 504), reply
        for sandbox in rest.ok("GET", "/v1/sandboxes"):
            rest.kill(sandbox["id"])
        (again,) = rest.fork("vm-e2e", 1)
        assert rest.eval(again["id"], "6 * 7")["result"] == "42"
        rest.kill(again["id"])
    # What is parked in the pool is all there is.
    deadline = time.monotonic() + 60
    while len(emulators(label)) > 1:
        assert time.monotonic() < deadline, emulators(label)
        time.sleep(0.05)


def test_doctor_tells_whether_kvm_runs_a_guest(machines):
    checks = json.loads(machines.command("doctor", "--json").stdout)
    (kvm,) = [check for check in checks if check["name"] == "kvm"]
    assert kvm["text"]
    if kvm["verdict"] != "pass":
        assert kvm["remedy"]
        warnings.warn("virtual machines were emulated (TCG) in this run: " + kvm["text"])

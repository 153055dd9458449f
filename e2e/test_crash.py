"""What a killed daemon leaves behind, and that nothing leaks over many cycles."""

import os
import signal

import host
from conftest import own_daemon


def test_kill_9_of_the_daemon_leaves_nothing():
    mounts = host.mounts()
    with own_daemon() as installed:
        installed.rest.fork("tiny", 20)
        label = installed.label()
        family = host.children_of(installed.process.pid)
        assert len(family) > 40 and host.cgroups(label)
        for pid in [installed.process.pid, *family]:
            if b"forkd.jar" in host.command(pid):
                os.kill(pid, signal.SIGKILL)
        installed.process.wait(30)
        installed.start()
        assert installed.rest.ok("GET", "/v1/sandboxes") == []
        assert [p for p in family if host.alive(p)] == []
        assert host.mounts() == mounts
        assert host.cgroups(label) == set()
        assert [s["tag"] for s in installed.rest.ok("GET", "/v1/snapshots")] == ["tiny"]
        # The snapshot came from a recipe: it is warmed again by its next fork.
        again = installed.rest.fork("tiny", 2)
        assert len(again) == 2
        assert sorted(p.name for p in (installed.run_dir / "agents").iterdir()) == sorted(
            s["id"] + ".agent" for s in again)


def test_a_thousand_cycles_leak_nothing(installation, rest):
    def cycle(n: int) -> None:
        for sandbox in rest.fork("tiny", n):
            rest.kill(sandbox["id"])

    cycle(10)
    daemon = [p for p in [installation.process.pid, *host.children_of(installation.process.pid)]]
    before = {p: host.open_files(p) for p in daemon if host.alive(p)}
    groups = host.cgroups(installation.label())
    mounts = host.mounts()
    for _ in range(100):
        cycle(10)
    for pid, files in before.items():
        assert abs(host.open_files(pid) - files) <= 4, f"pid {pid} had {files} descriptors"
    assert host.cgroups(installation.label()) == groups
    assert host.mounts() == mounts
    assert list((installation.run_dir / "agents").iterdir()) == []


def test_a_hundred_children_at_once_and_memory_returns(installation, rest):
    def used() -> int:
        """KiB: what the daemon's processes hold for themselves, and memory file systems."""
        processes = [installation.process.pid, *host.children_of(installation.process.pid)]
        with open("/proc/meminfo") as lines:
            shmem = next(int(line.split()[1]) for line in lines if line.startswith("Shmem:"))
        return shmem + sum(host.private_kib(pid) for pid in processes)

    for sandbox in rest.fork("heavy", 100):
        rest.kill(sandbox["id"])
    before = used()
    ids = [s["id"] for s in rest.fork("heavy", 100)]
    assert len(set(ids)) == 100
    assert rest.eval(ids[57], "float(numpy.zeros(5).sum())")["result"] == "0.0"
    for sandbox in ids:
        rest.kill(sandbox)
    assert used() - before < 32 * 1024, "KiB that did not come back"

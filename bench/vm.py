"""Virtual machines: fork against a cold boot to the same warm state, pool, memory."""
import re
import time
from typing import Callable, Dict, List

from daemon import Daemon, children
from figures import Figure, Section, timed
from forks import batch

RECIPE = "python-numpy"
TAG = "bench-vm"
POOLED = "bench-vm-pool"
BATCHES = (1, 4, 16)
POOL_DEADLINE = 120.0
# Room for what the recipe does, and no more: as the design's 512 MiB machine.
SIZES = "limits: {disk: 64MiB, tmp: 32MiB, shm: 16MiB}\n"
STEP = re.compile(r"(\w+)_ms=([\d.]+)")


def _steps(daemon: Daemon, event: str, skip: int) -> Dict[str, List[float]]:
    """What the daemon's log tells of each step of one kind of event; the first few left out."""
    found: Dict[str, List[float]] = {}
    for line in daemon.lines("event=%s " % event)[skip:]:
        for name, value in STEP.findall(line):
            found.setdefault(name, []).append(float(value))
    return found


def forks(daemon: Daemon, rounds: int) -> List[Section]:
    """Image and kernel are made before the clock starts: the boot and the warm-up are timed."""
    daemon.snapshot(RECIPE, TAG, "engine: vm\n" + SIZES)
    client = daemon.client()
    booted = []
    for number in range(3):
        # A snapshot keeps the image that the next one is made of.
        tag = "%s-%d" % (TAG, number)
        daemon.snapshot(RECIPE, tag, "engine: vm\n" + SIZES)
        booted.append(float(client.request("GET", "/v1/snapshots/%s/info" % tag)["warm_ms"]))
        client.request("DELETE", "/v1/snapshots/" + tag)
    section = Section("Virtual machines: fork until all n have answered")
    section.add(Figure("cold boot of the same machine to the same state", "ms", booted))
    for n in BATCHES:
        batch(daemon, TAG, n)
        values = [batch(daemon, TAG, n) for _ in range(rounds if n < 16 else max(3, rounds // 3))]
        section.add(Figure("fork %d" % n, "ms", values, section.figures[0].name))
    return [section, _parts(daemon, rounds), _started(daemon, rounds), _memory(daemon, 4)]


def _parts(daemon: Daemon, rounds: int) -> Section:
    section = Section("Virtual machines: steps of one fork")
    before = len(daemon.lines("event=resumed "))
    for _ in range(rounds):
        batch(daemon, TAG, 1)
    named = {
        "qemu": "descriptors, group, exec of QEMU",
        "greeting": "QEMU's start, restore, first answer of the agent",
        "identity": "identity acknowledged by agent and runtime",
        "answer": "agent and runtime asked once more",
    }
    steps = _steps(daemon, "resumed", before)
    for step, text in named.items():
        section.add(Figure(text, "ms", steps[step]))
    return section


def _started(daemon: Daemon, rounds: int) -> Section:
    """What a shell starts in a machine: a fork of the warm runtime, or a new interpreter."""
    section = Section("Virtual machines: sh -c \"python3 -c 'import numpy'\"")
    client = daemon.client()
    with children(client, TAG, 1) as (sandbox,):
        path = "/v1/sandboxes/%s/exec" % sandbox

        def run(before: str) -> None:
            line = before + "python3 -c 'import numpy; numpy.zeros(5).sum()'; true"
            reply = client.request("POST", path, {"args": ["sh", "-c", line]})
            if reply["exit_code"] != 0:
                raise RuntimeError("%s: %s" % (line, reply))

        for before in ("", "FORKD_COLD=1 "):
            run(before)
        warm = [timed(lambda: run("")) for _ in range(rounds)]
        base = section.add(Figure("a fork of the warm runtime", "ms", warm))
        cold = [timed(lambda: run("FORKD_COLD=1 ")) for _ in range(max(3, rounds // 3))]
        section.add(Figure("a new interpreter (FORKD_COLD=1)", "ms", cold, base.name))
    return section


def _rollup(pid: int, field: str) -> float:
    with open("/proc/%d/smaps_rollup" % pid) as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no %s of %d" % (field, pid))


def _own_pages(pid: int, wanted: Callable[[str], bool]) -> float:
    """MiB that a process has of its own in those of its mappings whose line is wanted."""
    kib, counted = 0, False
    with open("/proc/%d/smaps" % pid) as file:
        for line in file:
            name = line.split()[0]
            if not name.endswith(":"):
                counted = wanted(line)
            elif counted and name == "Anonymous:":
                kib += int(line.split()[1])
    return kib / 1024


def _memory(daemon: Daemon, count: int) -> Section:
    section = Section("Virtual machines: memory of one of %d" % count)
    client = daemon.client()
    measures: Dict[str, Callable[[int], float]] = {
        "its own": lambda pid: _rollup(pid, "Anonymous"),
        "of that the guest's RAM": lambda pid: _own_pages(pid, lambda l: "forkd-template" in l),
        "of that translated code": lambda pid: _own_pages(pid, lambda l: " rwxp " in l),
        "its share of all": lambda pid: _rollup(pid, "Pss"),
    }
    with children(client, TAG, count) as ids:
        pids = [client.request("GET", "/v1/sandboxes/" + one)["pid"] for one in ids]
        for when in ("idle", "after numpy.zeros(5).sum()"):
            for text, measure in measures.items():
                name = "%s, %s" % (when, text)
                section.add(Figure(name, "MiB", [measure(pid) for pid in pids]))
            for one in ids:
                client.eval(one, "import numpy; numpy.zeros(5).sum()")
    return section


def pool(daemon: Daemon, rounds: int) -> Section:
    section = Section("Virtual machines: one from the pool")
    daemon.snapshot(RECIPE, POOLED, "engine: vm\npool: 1\n" + SIZES)
    client = daemon.client()
    taken, asked = [], []
    for _ in range(rounds):
        deadline = time.monotonic() + POOL_DEADLINE
        while daemon.gauge("forkd_sandboxes_parked") < 1:
            if time.monotonic() > deadline:
                raise RuntimeError("the pool was not filled")
            time.sleep(0.01)
        start = time.perf_counter()
        with children(client, POOLED, 1) as (sandbox,):
            taken.append((time.perf_counter() - start) * 1000)
            path = "/v1/sandboxes/%s/ping" % sandbox
            asked.append(timed(lambda path=path: client.request("POST", path, {})))
    steps = _steps(daemon, "woken", 0)
    bare = [c + a for c, a in zip(steps["cont"], asked)]
    floor = section.add(Figure("QMP cont, and one round trip to agent and runtime", "ms", bare))
    woken = [c + i for c, i in zip(steps["cont"], steps["identity"])]
    section.add(Figure("cont until identity and runtime are acknowledged", "ms", woken, floor.name))
    section.add(Figure("the whole request", "ms", taken, floor.name))
    client.request("DELETE", "/v1/snapshots/" + POOLED)
    return section

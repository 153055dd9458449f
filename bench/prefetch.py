#!/usr/bin/env python3
"""Would it help to map ahead, in each virtual machine, what a first one has touched?

usage: bench/prefetch.py [ROUNDS]

A copy of this installation gets a forkd-memory.so that reads ranges of guest memory from a file and
asks the kernel for them (madvise(2): MADV_POPULATE_READ, MADV_POPULATE_WRITE) when QEMU maps it.
The file is written from /proc/PID/pagemap of a child that has answered its first exec. Rounds with
and without it alternate.
"""
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from typing import Dict, Iterator, List, Tuple

from daemon import HOME, Daemon, children
from figures import Figure, Section
from vm import RECIPE, SIZES

TAG = "bench-prefetch"
PAGE = 4096
POPULATE_READ, POPULATE_WRITE = 22, 23
PARTS = ("forkd", "scripts", "python", "recipes", "target/forkd.jar", "target/lib", "native/build")
PROGRAM = ["/usr/bin/python3", "-c", "import numpy; print(numpy.zeros(5).sum())"]
Range = Tuple[int, int, int]


def build(to: str, file: str) -> None:
    """The copy, with the library of the experiment."""
    for part in PARTS:
        source, target = os.path.join(HOME, part), os.path.join(to, part)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        (shutil.copytree if os.path.isdir(source) else shutil.copy2)(source, target)
    subprocess.run(
        ["gcc", "-std=c17", "-Os", "-fPIC", "-fno-stack-protector", "-fno-builtin",
         "-fvisibility=hidden", "-shared", "-nostdlib", '-DPREFETCH_FILE="%s"' % file,
         "-o", os.path.join(to, "native/build/forkd-memory.so"),
         os.path.join(HOME, "native/preload/memory.c")], check=True)


def mappings(pid: int) -> Iterator[Tuple[int, int, int]]:
    """Start, pages and first page in the file, of the guest's RAM."""
    with open("/proc/%d/maps" % pid) as maps:
        for line in maps:
            if "forkd-template" in line:
                first, last, offset = re.match(r"(\w+)-(\w+) \S+ (\w+)", line).groups()
                pages = (int(last, 16) - int(first, 16)) // PAGE
                yield int(first, 16), pages, int(offset, 16) // PAGE


def touched(pid: int) -> List[Range]:
    """Pages that are mapped: a copy of its own is to be written ahead, another one to be read."""
    found: List[Range] = []
    with open("/proc/%d/pagemap" % pid, "rb") as pagemap:
        for start, pages, first in mappings(pid):
            pagemap.seek(start // PAGE * 8)
            entries = struct.unpack("<%dQ" % pages, pagemap.read(pages * 8))
            for index, entry in enumerate(entries):
                if not entry >> 63:
                    continue
                advice = POPULATE_READ if entry >> 61 & 1 else POPULATE_WRITE
                page = first + index
                if found and found[-1][0] + found[-1][1] == page and found[-1][2] == advice:
                    found[-1] = (found[-1][0], found[-1][1] + 1, advice)
                else:
                    found.append((page, 1, advice))
    return found


def mebibytes(ranges: List[Range], advice: int) -> float:
    return sum(count for _, count, how in ranges if how == advice) * PAGE / (1 << 20)


def once(daemon: Daemon) -> Tuple[float, float]:
    """Milliseconds until the fork is answered, and until its first exec is."""
    client = daemon.client()
    start = time.perf_counter()
    with children(client, TAG, 1) as (sandbox,):
        forked = time.perf_counter()
        reply = client.request("POST", "/v1/sandboxes/%s/exec" % sandbox, {"args": PROGRAM})
        ended = time.perf_counter()
        if reply["stdout"] != "0.0\n":
            raise RuntimeError(str(reply))
    return (forked - start) * 1000, (ended - start) * 1000


def learn(daemon: Daemon) -> List[Range]:
    client = daemon.client()
    with children(client, TAG, 1) as (sandbox,):
        client.request("POST", "/v1/sandboxes/%s/exec" % sandbox, {"args": PROGRAM})
        return touched(client.request("GET", "/v1/sandboxes/" + sandbox)["pid"])


def compare(daemon: Daemon, file: str, rounds: int) -> None:
    section = Section("Virtual machines: fork and first exec, with and without prefetch")
    ranges = learn(daemon)
    reads = [(first, count, POPULATE_READ) for first, count, _ in ranges]
    ways: Dict[str, List[Range]] = {"without": [], "all mapped": reads, "copies made": ranges}
    times: Dict[str, List[Tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, wanted in ways.items():
            with open(file + ".new", "wb") as out:
                out.write(b"".join(struct.pack("<3Q", *one) for one in wanted))
            os.chmod(file + ".new", 0o644)
            os.rename(file + ".new", file)
            times[way].append(once(daemon))
    for index, what in enumerate(("fork answered", "first exec answered")):
        base = ""
        for way in ways:
            values = [pair[index] for pair in times[way]]
            figure = section.add(Figure("%s, %s" % (what, way), "ms", values, base))
            base = base or figure.name
    print("touched: %.1f MiB read, %.1f MiB written, in %d ranges" % (
        mebibytes(ranges, POPULATE_READ), mebibytes(ranges, POPULATE_WRITE), len(ranges)))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    place = tempfile.mkdtemp(prefix="fp")
    os.chmod(place, 0o755)  # QEMU, which is nobody, reads the ranges
    file = os.path.join(place, "ranges")
    home = os.path.join(place, "forkd")
    try:
        build(home, file)
        daemon = Daemon(os.path.join(home, "forkd"))
        try:
            daemon.start()
            daemon.snapshot(RECIPE, TAG, "engine: vm\n" + SIZES)
            once(daemon)
            compare(daemon, file, rounds)
        finally:
            daemon.stop()
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()

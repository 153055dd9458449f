"""What hardening costs: python3 measure_hardening.py [rounds]. Not a test: nothing here can fail.

A second launcher is built from the same sources with masks, system-call filters and the dropping of
capabilities taken out, and both fork in turn: the ratio holds on a busy machine as well. The user
namespace stays in both: without it there is no engine.
"""
from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List

import frames
import launcher
from launcher import Launcher

NATIVE = Path(__file__).resolve().parents[1]
# What is the first statement of a function becomes its last.
TAKEN_OUT = {
    "launcher/masks.c":
        "int masks_apply(const struct family *f, const char *root, struct error *e) {",
    "common/seccomp.c": "int filter_install(const struct filter *filter, struct error *e) {",
    "launcher/caps.c": "int caps_limit(uint64_t keep, uint64_t bounding, struct error *e) {",
}


def build_without(directory: Path) -> str:
    tree = directory / "native"
    shutil.copytree(NATIVE, tree, ignore=shutil.ignore_patterns("build", "test", "fuzz"))
    for name, head in TAKEN_OUT.items():
        path = tree / name
        text = path.read_text()
        assert text.count(head) == 1, "%s has changed" % name
        first = text[text.index(head):].splitlines()[0]
        arguments = [word.split()[-1].lstrip("*") for word in
                     first[first.index("(") + 1:first.index(")")].split(",")]
        unused = " ".join("(void)%s;" % argument for argument in arguments)
        path.write_text(text.replace(head, head + "\n  %s\n  if (1) return 0;" % unused))
    subprocess.run(["make", "-s", "-C", str(tree), "build/forkd-launcher"], check=True,
                   stdout=subprocess.DEVNULL)
    return str(tree / "build" / "forkd-launcher")


def started(program: str) -> Launcher:
    launcher.LAUNCHER = program
    made = Launcher()
    made.hello()
    made.template(warm={"imports": ["json", "decimal", "unittest"]})
    return made


def batch(under: Launcher, n: int) -> float:
    """Milliseconds from the request to the last runtime's answer."""
    names = ["m%d" % index for index in range(n)]
    begin = time.perf_counter()
    under.fork(names)
    for name in names:
        client = under.connect(name)
        client.ask(frames.PING_RUNTIME)
    taken = (time.perf_counter() - begin) * 1e3
    under.destroy(*names)
    return taken


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    whole = launcher.LAUNCHER
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        both: Dict[str, Launcher] = {"with": started(whole)}
        both["without"] = started(build_without(Path(directory)))
        try:
            for n in (1, 16):
                taken: Dict[str, List[float]] = {name: [] for name in both}
                for _ in range(max(12, rounds // n)):
                    for name, under in both.items():
                        taken[name].append(batch(under, n))
                medians = {name: statistics.median(values) for name, values in taken.items()}
                print("fork %3d: with hardening %6.1f ms, without %6.1f ms, ratio %.2f (n=%d)" % (
                    n, medians["with"], medians["without"], medians["with"] / medians["without"],
                    len(taken["with"])))
        finally:
            for under in both.values():
                under.close()
                under.remove_run_dir()


if __name__ == "__main__":
    main()

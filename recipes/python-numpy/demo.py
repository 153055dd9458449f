#!/usr/bin/python3
"""Forks three children of a warm numpy and shows that what one does, no other sees.

    demo.py [--tag python-numpy] [--socket PATH | --url URL]

Exit code: 0 all as promised, 1 not so, 2 trouble.
"""
import argparse
import contextlib
import os
import sys
import time
from typing import List

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
import forkd_api  # noqa: E402


def evaluated(daemon: forkd_api.Forkd, sandbox: str, code: str) -> str:
    start = time.perf_counter()
    reply = daemon.eval(sandbox, code)
    ms = (time.perf_counter() - start) * 1000
    shown = reply["error"] or reply["result"] or ""
    print("  %s  %6.1f ms  %-44s %s" % (sandbox, ms, code, shown))
    return shown


def check(holds: bool, promise: str, broken: List[str]) -> None:
    print("  %s %s" % ("ok  " if holds else "FAIL", promise))
    if not holds:
        broken.append(promise)


def demo(daemon: forkd_api.Forkd, tag: str) -> int:
    broken: List[str] = []
    with contextlib.ExitStack() as cleanup:

        def fork(n: int) -> List[str]:
            start = time.perf_counter()
            ids = [sandbox["id"] for sandbox in daemon.fork(tag, n)]
            for sandbox in ids:
                cleanup.callback(daemon.destroy, sandbox)
            print("fork of %d: %.0f ms" % (n, (time.perf_counter() - start) * 1000))
            return ids

        first, second, third = fork(3)
        sums = [evaluated(daemon, s, "numpy.zeros(5).sum()") for s in (first, second, third)]
        check(sums == ["0.0"] * 3, "numpy is there, warm, in all three", broken)

        evaluated(daemon, first, "state = np.arange(1_000_000); np.zeros = None")
        kept = evaluated(daemon, first, "int(state.sum())")
        check(kept == "499999500000", "a child keeps its state between evals", broken)
        other = evaluated(daemon, second, "state")
        check(other.startswith("NameError"), "its sibling does not see it", broken)
        intact = evaluated(daemon, third, "np.zeros(2).tolist()")
        check(intact == "[0.0, 0.0]", "its sibling's numpy is intact", broken)

        draws = {evaluated(daemon, s, "np.random.random()") for s in (second, third)}
        check(len(draws) == 2, "random numbers differ between siblings", broken)

        (later,) = fork(1)
        fresh = evaluated(daemon, later, "'state' in globals(), np.zeros(1).tolist()")
        check(fresh == "(False, [0.0])", "the parent never changed: a later fork is fresh", broken)
    return 1 if broken else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Three children of a warm numpy.")
    forkd_api.add_arguments(parser)
    parser.add_argument("--tag", default="python-numpy", help="the snapshot of this recipe")
    arguments = parser.parse_args()
    try:
        return demo(forkd_api.connect(arguments), arguments.tag)
    except forkd_api.ForkdError as error:
        print("demo: %s" % error, file=sys.stderr)
        if "not found" in str(error):
            print("demo: warm it first: forkd snapshot %s" % HERE, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

"""The recipe's fan-out by its own clock, the making of the sandboxes included, against cold pytest.

    FORKD_STATE_DIR=... bench/fan_out.py     # a daemon with the snapshot `ci-pytest` must run

Both take turns; prints medians in ms and the ratio for 1, 2, 4 and 5 children.
"""
import statistics
import sys
import time
from pathlib import Path

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
sys.path[:0] = [str(RECIPES / "ci-parallel-pytest"), str(RECIPES)]

import demo  # noqa: E402
import forkd_api  # noqa: E402

ROUNDS = 12


def main() -> None:
    daemon = forkd_api.Forkd(forkd_api.default_address())
    files = demo.suite()
    weight = demo.weights(files)
    warm = {n: [] for n in (1, 2, 4, 5)}
    cold = []
    for turn in range(ROUNDS):
        for n, values in warm.items():
            slices = demo.plan(files, weight, n)
            values.append(demo.fan_out(daemon, "ci-pytest", slices).total_ms)
        if turn % 2 == 0:
            start = time.perf_counter()
            demo.cold(files)
            cold.append(demo.elapsed_ms(start))
    base = statistics.median(cold)
    print("cold: %.0f ms" % base)
    for n, values in warm.items():
        median = statistics.median(values)
        print("%d children: %.0f ms, %.2f times faster" % (n, median, base / median))


if __name__ == "__main__":
    main()

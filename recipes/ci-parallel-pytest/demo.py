#!/usr/bin/python3
"""Runs a pytest suite in N forks of one warm sandbox and compares that with the usual ways.

    demo.py [--tag ci-pytest] [--workers 4] [--best] [--socket PATH | --url URL]

Exit code: 0 all tests passed and all three ways ran the same tests; 1 not so; 2 trouble.
"""
import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
import forkd_api  # noqa: E402

PYTEST = ["-q", "-p", "no:cacheprovider"]
RUN_SLICE = "import forkd_pytest.slice; forkd_pytest.slice.main()"
TIMEOUT = 120.0
CHILDREN_TO_TRY = (1, 2, 4, 5)
ROUNDS = 3
PER_FILE_SECONDS = 0.01  # collecting a file, however short its tests
COUNTED = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|deselected)\b")
DURATION = re.compile(r"^([\d.]+)s (?:call|setup|teardown) +(\S+?)::", re.MULTILINE)


class Slice(NamedTuple):
    """What one worker runs."""

    files: List[str]


class Ran(NamedTuple):
    """One pytest session: its exit code, output, and how long it took as seen from here."""

    files: List[str]
    status: int
    output: str
    ms: float

    def counts(self) -> Dict[str, int]:
        """Outcome to number of tests, from the last line that tells them."""
        for line in reversed(self.output.splitlines()):
            found = COUNTED.findall(line)
            if found:
                return {outcome.rstrip("s"): int(number) for number, outcome in found}
        return {}


class FanOut(NamedTuple):
    """One parallel run: times in milliseconds."""

    spawn_ms: float
    total_ms: float
    ran: List[Ran]


def suite() -> List[str]:
    names = os.listdir(os.path.join(HERE, "tests"))
    return sorted(n for n in names if n.startswith("test_") and n.endswith(".py"))


def weights_file() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "forkd", "ci-pytest-weights.json")


def weights(files: List[str]) -> Dict[str, float]:
    """Seconds per file as measured by an earlier run; without one, the files' sizes."""
    try:
        with open(weights_file()) as file:
            known = json.load(file)
        if sorted(known) == files:
            return {name: float(known[name]) for name in files}
    except (OSError, ValueError, TypeError):
        pass  # no earlier run, or its file is damaged: sizes do as well
    return {n: float(os.path.getsize(os.path.join(HERE, "tests", n))) for n in files}


def measured(output: str, files: List[str]) -> Dict[str, float]:
    """Seconds per file from a session that reported its durations."""
    seconds = {name: PER_FILE_SECONDS for name in files}
    for took, path in DURATION.findall(output):
        name = os.path.basename(path)
        if name in seconds:
            seconds[name] += float(took)
    return seconds


def remember(seconds: Dict[str, float]) -> None:
    """Keeps what each file took, for the next plan."""
    with contextlib.suppress(OSError):  # a read-only home only costs the next plan some balance
        os.makedirs(os.path.dirname(weights_file()), exist_ok=True)
        staging = "%s.%d" % (weights_file(), os.getpid())
        with open(staging, "w") as file:
            json.dump(seconds, file)
        os.replace(staging, weights_file())


def plan(files: List[str], weight: Dict[str, float], workers: int) -> List[Slice]:
    """Longest first, each to the worker that has least to do."""
    slices: List[Slice] = [Slice([]) for _ in range(min(workers, len(files)))]
    load = [0.0] * len(slices)
    for name in sorted(files, key=lambda n: (-weight[n], n)):
        least = load.index(min(load))
        slices[least].files.append(name)
        load[least] += weight[name]
    return slices


def elapsed_ms(start: float) -> float:
    return (time.perf_counter() - start) * 1000


@contextlib.contextmanager
def children(daemon: forkd_api.Forkd, tag: str, n: int) -> Iterator[Tuple[List[str], float]]:
    """n sandboxes and how long their fork took; destroyed on the way out, come what may."""
    start = time.perf_counter()
    ids = [sandbox["id"] for sandbox in daemon.fork(tag, n)]
    spawn_ms = elapsed_ms(start)
    try:
        yield ids, spawn_ms
    finally:
        with ThreadPoolExecutor(len(ids)) as pool:
            list(pool.map(lambda sandbox: daemon.same().destroy(sandbox), ids))


def run_in(daemon: forkd_api.Forkd, sandbox: str, files: List[str]) -> Ran:
    """Those files' tests of the session that the snapshot holds: warm.py has collected it."""
    paths = ["tests/" + name for name in files]
    start = time.perf_counter()
    reply = daemon.call_code(sandbox, RUN_SLICE, paths, TIMEOUT, {"FORKD_REVEAL": "all"})
    return ran(files, reply, start)


def durations(daemon: forkd_api.Forkd, sandbox: str, files: List[str]) -> Dict[str, float]:
    """Seconds per file, from a pytest session of the sandbox's own."""
    args = PYTEST + ["--durations=0", "--durations-min=0"] + ["tests/" + name for name in files]
    start = time.perf_counter()
    return measured(ran(files, daemon.call(sandbox, "pytest", args, TIMEOUT), start).output, files)


def ran(files: List[str], reply: Dict[str, Any], start: float) -> Ran:
    output = reply["stdout"] + reply["stderr"] + (reply.get("error") or "")
    return Ran(files, reply["exit_code"], output, elapsed_ms(start))


def fan_out(daemon: forkd_api.Forkd, tag: str, slices: List[Slice]) -> FanOut:
    start = time.perf_counter()
    with children(daemon, tag, len(slices)) as (ids, spawn_ms):
        with ThreadPoolExecutor(len(ids)) as pool:
            ran = list(
                pool.map(lambda s, part: run_in(daemon.same(), s, part.files), ids, slices)
            )
        total_ms = elapsed_ms(start)
    return FanOut(spawn_ms, total_ms, ran)


def cold(files: List[str]) -> Ran:
    """A new interpreter on the host. Like the children, it has no cached bytecode of the tests."""
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    # As in recipe.yaml
    environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    environment.update(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    command = ["/usr/bin/python3", "-m", "pytest"] + PYTEST + ["tests/" + f for f in files]
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=HERE,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT,
    )
    output = done.stdout.decode("utf-8", "replace")
    return Ran(files, done.returncode, output, elapsed_ms(start))


def show_plan(slices: List[Slice], tag: str, engine: str) -> None:
    print("Plan: %d worker(s) x pytest slice off `%s` (engine %s)" % (len(slices), tag, engine))
    for number, part in enumerate(slices):
        print("  worker %d: %d file(s) - %s" % (number, len(part.files), ", ".join(part.files)))
    print()


def show(ran: Ran, label: str) -> None:
    verdict = "PASS" if ran.status == 0 else "FAIL"
    print("  [%s] %s  exec=%6.0f ms  files=%s" % (label, verdict, ran.ms, ",".join(ran.files)))
    if ran.status != 0:
        print("    exit code %d\n%s" % (ran.status, indented(ran.output)))


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def show_fan_out(run: FanOut) -> None:
    n = len(run.ran)
    print("=== fan-out: %d worker%s in parallel ===" % (n, "" if n == 1 else "s"))
    print("  batch spawn (%d children): %.0f ms" % (n, run.spawn_ms))
    for number, ran in enumerate(run.ran):
        show(ran, str(number))
    slowest = max(ran.ms for ran in run.ran)
    print(
        "fan-out wall-clock: %.0f ms (batch spawn=%.0f ms = ~%.1f ms/worker, slowest worker"
        " exec=%.0f ms)\n" % (run.total_ms, run.spawn_ms, run.spawn_ms / n, slowest)
    )


def total_counts(ran: List[Ran]) -> Dict[str, int]:
    total: Dict[str, int] = {}
    for one in ran:
        for outcome, number in one.counts().items():
            total[outcome] = total.get(outcome, 0) + number
    return total


def best_of(
    daemon: forkd_api.Forkd, tag: str, files: List[str], weight: Dict[str, float]
) -> List[FanOut]:
    """Every number of children a few times; the best run comes last."""
    runs = []
    print("=== which number of children is best here (best of %d each) ===" % ROUNDS)
    for n in CHILDREN_TO_TRY:
        slices = plan(files, weight, n)
        some = [fan_out(daemon, tag, slices) for _ in range(ROUNDS)]
        runs.extend(some)
        best = min(run.total_ms for run in some)
        print("  N=%d: %.0f ms" % (len(slices), best))
    print()
    return sorted(runs, key=lambda run: -run.total_ms)


def baselines(
    daemon: forkd_api.Forkd, tag: str, files: List[str], rounds: int
) -> Tuple[FanOut, Ran]:
    """The best of so many runs each: as many chances as the fan-out had."""
    print("=== sequential baseline: one child runs the whole suite ===")
    runs = [fan_out(daemon, tag, [Slice(files)]) for _ in range(rounds)]
    sequential = min(runs, key=lambda run: run.total_ms)
    show(sequential.ran[0], "s")
    print(
        "sequential wall-clock: %.0f ms (spawn=%.0f ms)\n"
        % (sequential.total_ms, sequential.spawn_ms)
    )
    print("=== cold baseline: a new python3 -m pytest, no forkd ===")
    without = min((cold(files) for _ in range(rounds)), key=lambda ran: ran.ms)
    show(without, "c")
    print("cold wall-clock: %.0f ms\n" % without.ms)
    return sequential, without


def judge(runs: List[FanOut], sequential: FanOut, without: Ran) -> int:
    """0 when everything passed and every way ran the same tests."""
    expected = without.counts()
    ways = [("fan-out", run.ran) for run in runs] + [("sequential", sequential.ran)]
    status = 0
    for name, ran in ways:
        if total_counts(ran) != expected:
            print("MISMATCH: %s ran %s, cold %s" % (name, total_counts(ran), expected))
            status = 1
    every = [one for _, ran in ways for one in ran] + [without]
    if any(one.status != 0 for one in every) or not expected.get("passed"):
        status = 1
    print("tests: %s" % ", ".join("%d %s" % (n, o) for o, n in sorted(expected.items())))
    return status


def demo(arguments: argparse.Namespace) -> int:
    daemon = forkd_api.connect(arguments)
    tag, files = arguments.tag, suite()
    engine = daemon.snapshot(tag)["engine"]
    weight = weights(files)
    rounds = ROUNDS if arguments.best else 1
    if arguments.best:
        runs = best_of(daemon, tag, files, weight)
        show_plan([Slice(ran.files) for ran in runs[-1].ran], tag, engine)
    else:
        slices = plan(files, weight, arguments.workers)
        show_plan(slices, tag, engine)
        runs = [fan_out(daemon, tag, slices)]
    show_fan_out(runs[-1])
    sequential, without = baselines(daemon, tag, files, rounds)
    status = judge(runs, sequential, without)
    with children(daemon, tag, 1) as (ids, _):
        remember(durations(daemon, ids[0], files))
    best = runs[-1].total_ms
    print(
        "fan-out speed-up: %.2fx over sequential in a child, %.2fx over cold pytest"
        % (sequential.total_ms / best, without.ms / best)
    )
    return status


def positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError("must be 1 to 1000")
    return number


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Runs a pytest suite in forks of one warm sandbox and compares."
    )
    forkd_api.add_arguments(parser)
    parser.add_argument("--tag", default="ci-pytest", help="the snapshot of this recipe")
    parser.add_argument("--workers", type=positive, default=4, metavar="N")
    parser.add_argument("--best", action="store_true", help="try N = 1, 2, 4, 5; report the best")
    arguments = parser.parse_args()
    # The sandboxes are destroyed when this is told to stop, as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return demo(arguments)
    except forkd_api.ForkdError as error:
        print("demo: %s" % error, file=sys.stderr)
        if "not found" in str(error):
            print("demo: warm it first: forkd snapshot %s" % HERE, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

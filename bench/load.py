"""A daemon with a thousand sandboxes: how fast it still answers, and how large it gets."""
import threading
import time
from typing import Callable, List, Optional

from daemon import Daemon, forkd_api
from figures import Figure, Section, timed

TAG = "bench-load"
# With a memory limit, so that every sandbox has a control group that lists and metrics look at.
RECIPE = """\
name: bench-load
image: host
runtime: {language: python, interpreter: /usr/bin/python3}
warm:
  imports: [json, random, uuid, tempfile]
limits: {memory: 256MiB, pids: 64}
"""
SANDBOXES = 1000
BATCH = 100
ANSWER_MS = 100.0
RESIDENT_MIB = 200.0
PER_MINUTE = 2000
THREADS = 4
# The heap finds its size in the first minutes; then nothing may come that stays.
FLAT_MIB = 8.0


def _answers(section: Section, name: str, rounds: int, action: Callable[[], object]) -> None:
    action()
    values = [timed(action) for _ in range(rounds)]
    figure = Figure(name, "ms", values, bound="p90 under %.0f ms" % ANSWER_MS)
    figure.holds = figure.p90() < ANSWER_MS
    section.add(figure)


class Paced:
    """Execs at a fixed pace from several threads, each with a connection of its own."""

    def __init__(self, daemon: Daemon, ids: List[str]) -> None:
        self._daemon = daemon
        self._ids = ids
        self._next = 0
        self._lock = threading.Lock()
        self._failure: Optional[Exception] = None

    def _turn(self) -> str:
        with self._lock:
            self._next += 1
            return self._ids[self._next % len(self._ids)]

    def _run(self, calls: int, interval: float, took: List[float]) -> None:
        client = self._daemon.client()
        begun = time.perf_counter()
        body = {"args": ["/bin/true"]}
        try:
            for call in range(calls):
                time.sleep(max(0.0, begun + call * interval - time.perf_counter()))
                path = "/v1/sandboxes/%s/exec" % self._turn()
                start = time.perf_counter()
                if client.request("POST", path, body)["exit_code"] != 0:
                    raise RuntimeError("/bin/true failed")
                took.append((time.perf_counter() - start) * 1000)
        except (forkd_api.ForkdError, RuntimeError) as error:
            self._failure = error

    def minute(self) -> List[float]:
        """The milliseconds of every exec of one minute; that many were asked for, or this fails."""
        took: List[List[float]] = [[] for _ in range(THREADS)]
        share = PER_MINUTE // THREADS
        threads = [
            threading.Thread(target=self._run, args=(share, 60.0 / share, mine)) for mine in took
        ]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise RuntimeError("an exec failed under load: %s" % self._failure)
        if time.perf_counter() - start > 66.0:
            raise RuntimeError("%d execs took longer than a minute" % PER_MINUTE)
        return sorted(value for mine in took for value in mine)


def crowd(daemon: Daemon, rounds: int) -> "tuple[Section, List[str]]":
    """Forks the thousand, and looks at them."""
    section = Section("A thousand sandboxes of a small parent")
    client = daemon.client()
    client.request("POST", "/v1/snapshots", {"recipe": RECIPE, "recipe_dir": "/"})
    section.add(Figure("resident memory of the daemon, no sandbox", "MiB", [daemon.resident_mib()]))
    ids: List[str] = []
    batches = []
    for _ in range(SANDBOXES // BATCH):
        start = time.perf_counter()
        ids += [sandbox["id"] for sandbox in client.fork(TAG, BATCH)]
        batches.append((time.perf_counter() - start) * 1000)
    section.add(Figure("fork n=%d, ten in a row" % BATCH, "ms", batches))
    some = "/v1/sandboxes/" + ids[SANDBOXES // 2]
    true = {"args": ["/bin/true"]}
    for name, action in (
        ("list of 1000 sandboxes", lambda: client.request("GET", "/v1/sandboxes")),
        ("list, a page of 100", lambda: client.request("GET", "/v1/sandboxes?limit=100")),
        ("metrics", lambda: client.text("/metrics")),
        ("one sandbox", lambda: client.request("GET", some)),
        ("exec /bin/true", lambda: client.request("POST", some + "/exec", true)),
    ):
        _answers(section, name, rounds * 2, action)
    resident = Figure(
        "resident memory of the daemon, 1000 sandboxes",
        "MiB",
        [daemon.resident_mib()],
        bound="under %.0f MiB" % RESIDENT_MIB,
    )
    resident.holds = resident.median() < RESIDENT_MIB
    section.add(resident)
    return section, ids


def pace(daemon: Daemon, ids: List[str], minutes: int) -> Section:
    section = Section("%d execs a minute over 1000 sandboxes" % PER_MINUTE)
    paced = Paced(daemon, ids)
    memory: List[float] = []
    for minute in range(1, minutes + 1):
        took = paced.minute()
        memory.append(daemon.resident_mib())
        section.add(Figure("exec, minute %d" % minute, "ms", took))
        section.add(Figure("resident memory after minute %d" % minute, "MiB", memory[-1:]))
    half = memory[len(memory) // 2]
    growth = Figure(
        "growth of resident memory in the second half",
        "MiB",
        [memory[-1] - half],
        bound="under %.0f MiB" % FLAT_MIB,
    )
    growth.holds = growth.median() < FLAT_MIB
    section.add(growth)
    return section


def load(daemon: Daemon, rounds: int, minutes: int) -> List[Section]:
    first, ids = crowd(daemon, rounds)
    second = pace(daemon, ids, minutes)
    client = daemon.client()
    start = time.perf_counter()
    for sandbox in ids:
        client.destroy(sandbox)
    each = (time.perf_counter() - start) * 1000 / len(ids)
    second.add(Figure("destroy, one after the other, each", "ms", [each]))
    client.request("DELETE", "/v1/snapshots/" + TAG)
    return [first, second]

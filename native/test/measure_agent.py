"""Measures the agent: python3 measure_agent.py. Not a test: nothing here can fail."""
from __future__ import annotations

import os
import statistics
import tempfile
import time
from typing import Callable, List

from conftest import AGENT, Agent
from frames import BYTES, DATA, EXITED, OUTPUT, PING, STREAM, WINDOW, Client


def microseconds(action: Callable[[], object], times: int) -> List[float]:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        taken.append((time.perf_counter() - begin) * 1e6)
    return sorted(taken)


def report(what: str, taken: List[float]) -> None:
    print("%-34s median %7.0f us, min %7.0f, p95 %7.0f (n=%d)" % (
        what, statistics.median(taken), taken[0], taken[int(len(taken) * 0.95)], len(taken)))


def fork_and_wait() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def stream(client: Client, size: int) -> float:
    ident = client.start(["head", "-c", str(size), "/dev/zero"])
    begin = time.perf_counter()
    while True:
        frame = client.next(ident)
        if frame.type == EXITED:
            return size / (time.perf_counter() - begin) / 1e6
        if frame.type == OUTPUT:
            client.send(WINDOW, ident, [(STREAM, 1), (BYTES, len(frame.bytes(DATA)))])


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="forkd-measure-") as directory:
        path = directory + "/agent.sock"
        agent = Agent([AGENT, "--listen", path], path)
        client = agent.connect()
        print("resident after start: %d KiB" % agent.rss_kib())
        report("PING", microseconds(lambda: client.ask(PING), 2000))
        report("posix_spawn /bin/true (no agent)", microseconds(fork_and_wait, 500))
        report("EXEC /bin/true", microseconds(lambda: client.run(["/bin/true"]), 1000))
        begin = time.perf_counter()
        for ident in [client.start(["/bin/true"]) for _ in range(200)]:
            client.finish(ident)
        print("200 at once: %.0f us each" % ((time.perf_counter() - begin) * 1e6 / 200))
        print("output: %.0f MB/s" % stream(client, 1 << 30))
        print("resident at the end: %d KiB" % agent.rss_kib())
        agent.close()


if __name__ == "__main__":
    main()

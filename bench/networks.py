"""A thousand sandboxes with a way out: what one more costs, and whether the host feels them."""
import socket
import subprocess
import time
from typing import List, Tuple

from daemon import Daemon, forkd_api
from figures import Figure, Section, timed

TAG = "bench-networks"
RECIPE = """\
name: bench-networks
image: host
runtime: {language: python, interpreter: /usr/bin/python3}
network: nat
"""
SANDBOXES = 1000
BATCH = 50
SLOWER = 1.3
HOST_BOUND = "at most %.1f times" % SLOWER
# Fewer would be the noise of one switch between processes.
ROUND_TRIPS = 20_000
# Nobody uses it any more (RFC 7526): packets for it are dropped by the route below.
NOWHERE = "192.88.99.77"


def _forks(client: forkd_api.Forkd, ids: List[str], batches: int) -> List[float]:
    """Milliseconds for each sandbox of each batch."""
    took = []
    for _ in range(batches):
        start = time.perf_counter()
        ids += [sandbox["id"] for sandbox in client.fork(TAG, BATCH)]
        took.append((time.perf_counter() - start) * 1000 / BATCH)
    return took


def _microseconds_per_datagram() -> float:
    """A datagram to a socket on loopback and back: it passes the host's rules four times."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        one.connect(two.getsockname())
        two.connect(one.getsockname())
        start = time.perf_counter()
        for _ in range(ROUND_TRIPS):
            one.send(b"x")
            two.send(two.recv(9))
            one.recv(9)
        return (time.perf_counter() - start) * 1e6 / ROUND_TRIPS


def _rules() -> int:
    """Lines of the host's own rules."""
    told = subprocess.run(["/usr/sbin/nft", "list", "ruleset"], capture_output=True, check=True)
    return len(told.stdout.splitlines())


def _answers(client: forkd_api.Forkd, ident: str, rounds: int) -> Tuple[List[float], List[float]]:
    """Milliseconds of a change of what one may reach, and of a look at it."""
    path = "/v1/sandboxes/%s/network" % ident
    allow = {"network": "nat", "allow": [NOWHERE + ":80"]}
    changes = [timed(lambda: client.request("PUT", path, allow)) for _ in range(rounds)]
    return changes, [timed(lambda: client.request("GET", path)) for _ in range(rounds)]


def networks(daemon: Daemon, rounds: int) -> List[Section]:
    client = daemon.client()
    client.request("POST", "/v1/snapshots", {"recipe": RECIPE, "recipe_dir": "/"})
    section = Section("%d sandboxes with a way out (network: nat)" % SANDBOXES)
    ids: List[str] = []
    try:
        _measure(client, section, ids, rounds)
    finally:
        for ident in ids:
            client.request("DELETE", "/v1/sandboxes/" + ident)
        client.request("DELETE", "/v1/snapshots/" + TAG)
    return [section]


def _measure(client: forkd_api.Forkd, section: Section, ids: List[str], rounds: int) -> None:
    first = _forks(client, ids, 2)
    before, rules = [_microseconds_per_datagram() for _ in range(rounds)], _rules()
    few = _answers(client, ids[0], rounds)
    _forks(client, ids, SANDBOXES // BATCH - 4)
    last = _forks(client, ids, 2)
    after = [_microseconds_per_datagram() for _ in range(rounds)]
    many = _answers(client, ids[0], rounds)
    for name, unit, one, two, bound in (
        ("fork, each of %d" % BATCH, "ms", first, last, ""),
        ("datagram on the host's loopback and back", "us", before, after, HOST_BOUND),
        ("change of what one may reach", "ms", few[0], many[0], ""),
        ("what one was refused", "ms", few[1], many[1], ""),
    ):
        reference = name + ", %d sandboxes" % (2 * BATCH)
        base = section.add(Figure(reference, unit, one))
        figure = Figure(name + ", %d" % SANDBOXES, unit, two, reference=reference,
                        bound=bound)
        figure.holds = not bound or figure.median() <= SLOWER * base.median()
        section.add(figure)
    figure = Figure("lines of the host's rules", "lines", [float(_rules())],
                    bound="as with %d" % (2 * BATCH))
    figure.holds = figure.median() == rules
    section.add(figure)

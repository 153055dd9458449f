"""Measures forkd and what it is compared with, on this machine, now.

Exit code: 0 all bounds hold; 1 one is broken; 2 it could not be measured.
"""
import argparse
import os
import shlex
import signal
import sys
import time
from typing import Callable, Dict, Iterable, List

import branches
import commands
import forks
import load
import networks
import report
import suite
import suites
import vm
from daemon import HOME, Daemon, running
from figures import Section, machine

USUAL = ("forks", "pool", "memory", "trips", "commands", "start", "branch", "suite", "suites")
# An image of its own, or ten minutes of load: asked for by name only.
PARTS = (*USUAL, "vm", "load", "networks")


def parts(
    daemon: Daemon, rounds: int, minutes: int, only: List[str]
) -> Dict[str, Callable[[], Iterable[Section]]]:
    """Every part, with its number of rounds from the one that the user chose."""
    few = max(3, rounds // 3)
    return {
        "forks": lambda: [forks.forks(daemon, rounds)],
        "pool": lambda: [forks.pool(daemon, rounds)],
        "memory": lambda: [forks.memory(daemon, 16)],
        "trips": lambda: [forks.round_trips(daemon, rounds * 10)],
        "commands": lambda: [commands.command_line(daemon, rounds)],
        "start": lambda: [commands.start(daemon.command, few)],
        "branch": lambda: [branches.branches(daemon, rounds)],
        "suite": lambda: suite.suite(daemon, rounds),
        "suites": lambda: suites.suites(daemon.command, max(2, rounds // 5), only),
        "load": lambda: load.load(daemon, rounds, minutes),
        "networks": lambda: networks.networks(daemon, rounds),
        "vm": lambda: [*vm.forks(daemon, few), vm.pool(daemon, few)],
    }


def measure(arguments: argparse.Namespace, sections: List[Section]) -> str:
    """Fills the sections; the daemon's version."""
    with running(arguments.forkd) as daemon:
        version = daemon.client().request("GET", "/version")["version"]
        if set(arguments.only) - {"vm", "suites", "load", "networks"}:
            daemon.snapshot(forks.RECIPE, forks.TAG)
        chosen = parts(daemon, arguments.rounds, arguments.minutes, arguments.suite)
        for name in PARTS:
            if name in arguments.only:
                print("%s ..." % name, flush=True)
                for section in chosen[name]():
                    sections.append(section)  # at once: what comes later may be interrupted
        return version


def load_average() -> str:
    return " ".join("%.2f" % value for value in os.getloadavg())


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each figure (15)")
    parser.add_argument("--minutes", type=int, default=10, help="of the load (10)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=USUAL, metavar="PART")
    parser.add_argument("--suite", action="append", default=[], choices=suites.NAMES,
                        help="of the part suites only this one; may repeat")  # fmt: skip
    parser.add_argument("--forkd", default=os.path.join(HOME, "forkd"), help="the command")
    parser.add_argument("--out", default=report.RESULTS, metavar="DIR", help="bench/results")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no daemon is left behind
    if arguments.minutes < 1:
        parser.error("--minutes must be at least 1")
    if arguments.rounds < 3:
        parser.error("--rounds must be at least 3")
    about = {
        "date": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        "command": "bench/run.sh --rounds %d --only %s%s"
        % (
            arguments.rounds,
            shlex.join(arguments.only),
            "".join(" --suite " + shlex.quote(name) for name in arguments.suite),
        ),
        "machine": machine(),
        "load before": load_average(),
    }
    sections: List[Section] = []
    try:
        about["forkd"] = measure(arguments, sections)
    except KeyboardInterrupt:
        about["interrupted"] = "what was not measured by then is missing"
    except (RuntimeError, OSError) as error:
        print("bench: %s" % error, file=sys.stderr)
        return 2
    about["load after"] = load_average()
    path = report.write(about, sections, arguments.out)
    with open(path) as file:
        print("\n" + file.read())
    print("written: %s (and .json)" % os.path.relpath(path))
    return 0 if all(f.holds for section in sections for f in section.figures) else 1


if __name__ == "__main__":
    sys.exit(main())

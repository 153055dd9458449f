"""What a user waits for at a terminal: the command line and the start of the daemon."""
import subprocess

from daemon import Daemon
from figures import Figure, Section, timed


def _ls(daemon: Daemon, **environment: str) -> None:
    subprocess.run(
        [daemon.command, "ls"],
        env=dict(daemon.environment(), **environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def command_line(daemon: Daemon, rounds: int) -> Section:
    section = Section("Command line, wall-clock of the whole process")
    _ls(daemon)
    through = [timed(lambda: _ls(daemon)) for _ in range(rounds)]
    section.add(Figure("forkd ls", "ms", through))
    alone = [timed(lambda: _ls(daemon, FORKD_NO_RELAY="1")) for _ in range(max(3, rounds // 3))]
    section.add(Figure("forkd ls without the relay (a JVM of its own)", "ms", alone, "forkd ls"))
    return section


def start(command: str, rounds: int) -> Section:
    section = Section("Daemon: from `forkd serve` to its first answer")
    values = []
    for _ in range(rounds):
        daemon = Daemon(command)
        try:
            values.append(daemon.start())
        finally:
            daemon.stop()
    section.add(Figure("forkd serve", "ms", values))
    return section


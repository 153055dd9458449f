"""A forkd daemon of the benchmark's own: own state directory, no TCP, ended with the benchmark."""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Callable, Dict, Iterator, List, Optional

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RECIPES = os.path.join(HOME, "recipes")
sys.path.insert(0, RECIPES)
import forkd_api  # noqa: E402

START_DEADLINE = 120.0
STOP_DEADLINE = 60.0
POLL_SECONDS = 0.002


class Daemon:
    """`forkd serve` in a fresh directory."""

    def __init__(self, command: str, before_exec: Optional[Callable[[], None]] = None) -> None:
        self.command = command
        self._before_exec = before_exec
        # Short: the path of a unix socket has at most 107 bytes.
        self.directory = tempfile.mkdtemp(prefix="fb")
        self.run = os.path.join(self.directory, "run")
        self._log_path = os.path.join(self.directory, "log")
        self._process: Optional[subprocess.Popen] = None

    def environment(self) -> Dict[str, str]:
        """For commands that shall talk to this daemon."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FORKD_")}
        return dict(kept, FORKD_STATE_DIR=self.directory, FORKD_RUN_DIR=self.run)

    def client(self) -> forkd_api.Forkd:
        return forkd_api.Forkd("unix:" + os.path.join(self.run, "forkd.sock"))

    def start(self) -> float:
        """Milliseconds from the command to the first answer."""
        start = time.perf_counter()
        with open(self._log_path, "ab") as log:
            self._process = subprocess.Popen(
                [self.command, "serve", "--state-dir", self.directory, "--bind", "none"],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._before_exec,
            )
        while time.perf_counter() - start < START_DEADLINE:
            try:
                self.client().request("GET", "/healthz")
                return (time.perf_counter() - start) * 1000
            except forkd_api.ForkdError:
                if self._process.poll() is not None:
                    break
                time.sleep(POLL_SECONDS)
        raise RuntimeError("the daemon did not start:\n" + self.log())

    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        with open(self._log_path, errors="replace") as log:
            return "".join(log.readlines()[-40:])

    def lines(self, text: str) -> List[str]:
        """All lines of the log that hold the text."""
        with open(self._log_path, errors="replace") as log:
            return [line for line in log if text in line]

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.directory)

    def snapshot(self, recipe: str, tag: str, more: str = "") -> None:
        """Warms a recipe of this repository, with more lines at its end."""
        directory = os.path.join(RECIPES, recipe)
        with open(os.path.join(directory, "recipe.yaml")) as file:
            text = file.read() + more
        body = {"recipe": text, "recipe_dir": directory, "tag": tag}
        self.client().request("POST", "/v1/snapshots", body)

    def cpu_ms(self) -> float:
        """CPU time so far of the daemon, all its descendants, and those of them that ended."""
        assert self._process is not None
        parents: Dict[int, List[int]] = {}
        ticks: Dict[int, int] = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % name) as file:
                    stat = file.read().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while we looked
            parents.setdefault(int(stat[1]), []).append(int(name))
            ticks[int(name)] = sum(int(value) for value in stat[11:15])
        total, queue = 0, [self._process.pid]
        while queue:
            pid = queue.pop()
            total += ticks.get(pid, 0)
            queue += parents.get(pid, [])
        return total * 1000 / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Of the daemon itself, without what it started."""
        assert self._process is not None
        with open("/proc/%d/status" % self._process.pid) as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        raise RuntimeError("the daemon has ended")

    def gauge(self, name: str) -> float:
        """A value of /metrics."""
        text = self.client().text("/metrics")
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise RuntimeError("no metric " + name)


@contextlib.contextmanager
def running(command: str) -> Iterator[Daemon]:
    daemon = Daemon(command)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()


@contextlib.contextmanager
def children(client: forkd_api.Forkd, tag: str, n: int) -> Iterator[List[str]]:
    """n sandboxes that are gone afterwards."""
    ids = [sandbox["id"] for sandbox in client.fork(tag, n)]
    try:
        yield ids
    finally:
        for sandbox in ids:
            client.destroy(sandbox)

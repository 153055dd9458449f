"""The keeper of one sandbox: forks the runner, watches it, replaces it when it dies.

It runs no user code itself, so it is there to tell what became of a runner that crashed, hung or
left by os._exit, and can fork the next one from the same collected state.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import signal
import sys
import time
from typing import Any, Deque, NamedTuple, NoReturn, Optional

from forkd_pytest import memory, wire
from forkd_pytest.parent import Held, held
from forkd_pytest.record import NOTHING, PHASES, Record
from forkd_pytest.runner import Runner, Settings, prepare
from forkd_pytest.tree import Tree

DUMP_SIGNAL = signal.SIGRTMAX - 1
_TAIL = 65536
_TICK = 0.1
_BEAT = 0.5
_DUMP_GRACE = 0.3  # seconds that a runner has to print its stacks
_END_GRACE = 10.0  # seconds between a runner's last message and its end


class _Child(NamedTuple):
    pid: int
    commands: int
    results: int
    raw: int
    record: Record


class Keeper:
    """Serves one controller on two descriptors until END or their end."""

    def __init__(self, session: Held, commands: int, results: int) -> None:
        self._held = session
        self._in = commands
        self._out = results
        self._outgoing = wire.Outgoing(results)
        self._from_controller = wire.Decoder()
        self._from_runner = wire.Decoder()
        self._settings: Optional[Settings] = None
        self._record = Record()
        self._queue: Deque[int] = collections.deque()
        self._ending = False
        self._flushed = False
        self._child: Optional[_Child] = None
        self._spare: Optional[_Child] = None  # waits for the next item, where each has its own fork
        self._before: Optional[Tree] = None
        self._finished = False
        self._last_message = 0.0
        self._beaten = 0.0
        self._tail = bytearray()

    def serve(self) -> None:
        """Returns when the work is done."""
        while not (self._ending and not self._queue and self._child is None):
            if self._queue and self._child is None:
                self._fork()
            self._wait()
        self._drop_spare()
        self._outgoing.flush()
        if self._before is not None:
            for path, data in self._before.changed():
                self._send(wire.FILE, (path, data))

    # The controller

    def _command(self) -> None:
        data = wire.read_some(self._in)
        if data == b"":
            raise EOFError("the controller is gone")
        for kind, body in self._from_controller.feed(data or b""):
            if kind == wire.INIT:
                self._settings = Settings(*wire.load(body))
                prepare(self._held, self._settings)
                if self._settings.keep:
                    self._before = Tree(str(self._held.cwd))
            elif kind == wire.RUN:
                self._enqueue(wire.load(body))
            elif kind == wire.FLUSH:
                self._flushed = True
                if self._child is not None and not self._isolated():
                    self._tell(wire.FLUSH, None)
            elif kind == wire.END:
                self._ending = True
                if self._child is not None:
                    self._tell(wire.END, None)
            elif kind == wire.CANCEL:
                self._queue.clear()
                self._ending = True
                self._kill()

    def _enqueue(self, indices: Any) -> None:
        self._queue.extend(indices)
        self._flushed = False
        if self._child is not None and not self._isolated():
            self._tell(wire.RUN, list(indices))

    def _isolated(self) -> bool:
        return self._settings is not None and self._settings.isolate == "test"

    def _send(self, kind: int, value: Any) -> None:
        self._outgoing.add(wire.frame(kind, wire.dump(value)))
        self._outgoing.flush()

    # The runner

    def _tell(self, kind: int, value: Any) -> None:
        assert self._child is not None
        try:
            wire.write_all(self._child.commands, wire.frame(kind, wire.dump(value)))
        except BrokenPipeError:
            return  # it has ended: its results say so, too

    def _fork(self) -> None:
        """Takes the runner that waits, or makes one; gives it what there is to run."""
        child, self._spare = self._spare or self._made(), None
        self._record = child.record
        self._from_runner = wire.Decoder()
        self._finished = False
        self._tail.clear()
        self._child = child
        if self._isolated():
            self._tell(wire.RUN, [self._queue[0]])
            self._tell(wire.END, None)
            if len(self._queue) > 1:
                self._spare = self._made()  # while that one runs
        else:
            self._tell(wire.RUN, list(self._queue))
            if self._ending:
                self._tell(wire.END, None)
            elif self._flushed:
                self._tell(wire.FLUSH, None)

    def _made(self) -> _Child:
        command_read, command_write = os.pipe()
        result_read, result_write = os.pipe()
        raw_read, raw_write = os.pipe()
        record = Record()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            for fd in (command_write, result_read, raw_read):
                os.close(fd)
            self._become_runner((command_read, result_write, raw_write), record)
        for fd in (command_read, result_write, raw_write):
            os.close(fd)
        for fd in (result_read, raw_read):
            os.set_blocking(fd, False)
        return _Child(pid, command_write, result_read, raw_read, record)

    def _drop_spare(self) -> None:
        if self._spare is not None:
            spare, self._spare = self._spare, None
            os.kill(spare.pid, signal.SIGKILL)
            self._reap(spare)

    def _become_runner(self, fds: "tuple[int, int, int]", record: Record) -> NoReturn:
        commands, results, raw = fds
        os.setpgid(0, 0)
        memory.prefer_to_end_this()
        os.close(self._in)
        os.close(self._out)
        if self._child is not None:  # this is the spare of one that runs
            for fd in (self._child.commands, self._child.results, self._child.raw):
                os.close(fd)
        os.dup2(raw, 1)
        os.dup2(raw, 2)
        assert self._settings is not None
        runner = Runner(self._held, self._settings, record, high(commands), high(results))
        runner.run(DUMP_SIGNAL)

    def _wait(self) -> None:
        child = self._child
        watched = [self._in] + ([child.results, child.raw] if child else [])
        ready, _, _ = select.select(watched, [], [], self._outgoing.wait(_TICK))
        self._outgoing.flush_if_due()
        if self._in in ready:
            self._command()
        if child is None or self._child is None:
            return
        if child.raw in ready:
            self._raw(child)
        if child.results in ready and not self._results(child):
            self._ended(child)
            return
        self._watch(child)

    def _raw(self, child: _Child) -> None:
        data = wire.read_some(child.raw)
        if data:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._tail += data
        del self._tail[:-_TAIL]
        if self._settings is not None and self._settings.live:
            self._send(wire.OUTPUT, data)

    def _results(self, child: _Child) -> bool:
        """Passes messages on; False at their end."""
        data = wire.read_some(child.results)
        if data is None:
            return True
        if not data:
            return False
        self._last_message = time.monotonic()
        for kind, body in self._from_runner.feed(data):
            if kind == wire.DONE:
                if self._queue and self._queue[0] == wire.done_index(body):
                    self._queue.popleft()
            elif kind == wire.FINISHED:
                self._finished = True
                continue
            elif kind in (wire.STOP, wire.EXIT, wire.INTERNAL):
                self._queue.clear()
                self._finished = True
            self._outgoing.add(wire.frame(kind, body))
            if kind not in (wire.DONE, wire.WARNING):
                self._outgoing.flush()
        return True

    def _watch(self, child: _Child) -> None:
        now = time.monotonic()
        if self._finished and now - self._last_message > _END_GRACE:
            self._kill()
            return
        doing = self._record.read()
        if doing.index == NOTHING:
            return
        if doing.deadline and now > doing.deadline:
            self._timed_out(child)
        elif now - doing.began > _BEAT and now - self._beaten > _BEAT:
            self._beaten = now
            self._send(wire.BEAT, (doing.index, now - doing.began))

    def _timed_out(self, child: _Child) -> None:
        doing = self._record.read()
        os.kill(child.pid, DUMP_SIGNAL)
        until = time.monotonic() + _DUMP_GRACE
        while time.monotonic() < until:
            if select.select([child.raw], [], [], until - time.monotonic())[0]:
                if not wire.read_some_into(child.raw, self._tail):
                    break
        del self._tail[:-_TAIL]
        seconds = doing.deadline - doing.began
        self._kill()
        self._results(child)
        if self._queue and self._queue[0] == doing.index:
            self._blame(child, "timeout", "more than %g s" % seconds)
        self._reap(child)

    def _kill(self) -> None:
        if self._child is not None:
            for target in (-self._child.pid, self._child.pid):
                try:
                    os.kill(target, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def _ended(self, child: _Child) -> None:
        """The runner closed its results: it has ended, or is about to."""
        _, status, usage = os.wait4(child.pid, 0)
        self._drain(child)
        clean = self._finished and os.WIFEXITED(status)
        doing = self._record.read()
        if not clean and (self._queue or doing.index != NOTHING):
            if os.WIFSIGNALED(status):
                how, detail = "signal", str(os.WTERMSIG(status))
            else:
                how, detail = "exit", str(os.WEXITSTATUS(status))
            self._blame(child, how, detail, usage.ru_maxrss)
        self._close(child)

    def _reap(self, child: _Child) -> None:
        os.wait4(child.pid, 0)
        self._close(child)

    def _blame(self, child: _Child, how: str, detail: str, rss_kib: int = 0) -> None:
        doing = self._record.read()
        if doing.index != NOTHING:
            index, phase = doing.index, PHASES[doing.phase % len(PHASES)]
        else:  # between two items: the next one has not begun, so nobody is to blame but it
            index, phase = self._queue[0], "setup"
        if self._queue and self._queue[0] == index:
            self._queue.popleft()
        seconds = time.monotonic() - doing.began if doing.began else 0.0
        tail = bytes(self._tail).decode("utf-8", "replace")
        own_kib = max(0, rss_kib - memory.resident_kib())  # beyond what it was forked with
        self._send(wire.CRASH, (index, phase, how, detail, tail, rss_kib, own_kib, seconds))

    def _drain(self, child: _Child) -> None:
        data = wire.read_some(child.raw)
        while data:
            self._keep(data)
            data = wire.read_some(child.raw)

    def _close(self, child: _Child) -> None:
        for fd in (child.commands, child.results, child.raw):
            os.close(fd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # what the tests have left running
        self._child = None


def high(fd: int) -> int:
    """Out of the way of tests that look at, or close, low descriptors."""
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 512)
    os.close(fd)
    return moved


def main() -> NoReturn:
    """In a sandbox: commands come on descriptor 0, results go to 1."""
    session = held()
    code = 0
    try:
        commands, results = high(os.dup(0)), high(os.dup(1))
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)
        if not isinstance(session, Held):
            raise EOFError("this is no fork of a collected session: %s" % session.reason)
        Keeper(session, commands, results).serve()
    except EOFError as error:
        sys.stderr.write("forkd: worker: %s\n" % error)
        code = 1
    sys.stderr.flush()
    os._exit(code)

"""The eval session: a fork of the runtime that evaluates one EVAL after the other."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import time
from types import FrameType, ModuleType
from typing import Any, Callable, List, Optional, Tuple

from forkd_runtime import branch, capture, frames, inherit, program, reseed, streams, syscalls
from forkd_runtime.channel import Channel
from forkd_runtime.evaluate import Evaluator, Outcome
from forkd_runtime.frames import Frame, Value
from forkd_runtime.warmed import Warmed

_DEFAULT_OUTPUT = 65536
_TRACEBACK_MAX = 65536
_ERROR_MAX = 16384


class Session:
    """In the forked child, at the bottom of its stack."""

    def __init__(self, socket: int, tap: capture.Tap, warmed: Warmed) -> None:
        self._socket = socket
        self._tap = tap
        self._warmed = warmed
        self._pid = 0

    def run(self) -> Callable[[], Any]:
        """Returns only in a twin of the session: what that is to do."""
        try:
            channel = self._become()
            while True:
                for frame in channel.receive():
                    step = self._serve(channel, frame)
                    if step is not None:
                        return step
        except (EOFError, ConnectionError):
            os._exit(0)
        except BaseException as error:
            os.write(2, ("forkd: the eval session failed: %r\n" % error).encode())
            os._exit(70)

    def _become(self) -> Channel:
        os.setsid()
        self._pid = os.getpid()
        kept = self._tap.attach()
        self._socket = capture.move_high(self._socket)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        syscalls.close_from(3, (*kept, self._socket))
        inheritance = self._warmed.inheritance
        inheritance.restore()
        inherit.default_signals()
        _open_streams(self._warmed)
        reseed.reseed(reseed.chosen_seed(os.environ, self._warmed.seed))
        inheritance.restore_exit_callbacks()
        if self._warmed.evaluator is not None:
            self._evaluator = self._warmed.evaluator  # goes on where its session was branched
        else:
            sys.argv = [""]
            sys.path[:] = ["", *self._warmed.path]
            self._evaluator = Evaluator(vars(self._main()))
        self._evaluator.calm()
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGURG, _wake)
        if inheritance.collects_garbage:
            gc.enable()
        return Channel(self._socket)

    def _main(self) -> ModuleType:
        # The script's own namespace and no copy: its functions must see what an eval assigns.
        main = self._warmed.script
        if main is None:
            main = program.fresh_main()
        sys.modules["__main__"] = main
        for name, module in self._warmed.imported.items():
            vars(main).setdefault(name, module)
        return main

    def _interrupt(self, number: int, frame: Optional[FrameType]) -> Any:
        self._evaluator.interrupt()

    def _serve(self, channel: Channel, frame: Frame) -> Optional[Callable[[], Any]]:
        if frame.type == frames.BRANCH:
            return self._branch(channel, frame)
        if frame.type == frames.RESEED:
            reseed.reseed_copy(reseed.chosen_seed(os.environ, self._warmed.seed))
            channel.send(frames.RESEEDED, frame.id)
            return None
        if frame.type == frames.CALM:
            # Sent after the signal: the interpreter has it by now, and here its handler runs.
            signal.pthread_sigmask(signal.SIG_BLOCK, ())
            self._evaluator.calm()
            return None
        if frame.type != frames.EVAL:
            raise frames.ProtocolError("request %#x on a session" % frame.type)
        code = frame.text(frames.K_CODE) or ""
        bound = frame.integer(frames.K_MAX_OUTPUT, _DEFAULT_OUTPUT, 0, 2**62)
        outcome = self._evaluator.evaluate(code)
        _flush()
        if os.getpid() != self._pid:
            os._exit(0)  # user code forked, and its child came back here
        captured = self._tap.collect()
        fields = _answer(outcome, captured, min(bound, capture.BOUND - 1))
        channel.send(frames.EVALUATED, frame.id, fields)
        return None

    def _branch(self, channel: Channel, frame: Frame) -> Optional[Callable[[], Any]]:
        def release() -> None:
            channel.close()
            self._tap.release()

        started = time.monotonic()
        ours = (channel.fileno(), *self._tap.descriptors())
        lifetime = frame.integer(frames.K_TIMEOUT_MS, 60000, 1, 2**40)
        done = branch.freeze(self._warmed, self._evaluator, ours, release, lifetime)
        if isinstance(done, branch.Frozen):
            still = round((time.monotonic() - started) * 1e6)
            fields = (
                (frames.K_PID, done.pid),
                (frames.K_DURATION_US, still),
                (frames.K_REPORT, done.report),
            )
            channel.send(frames.BRANCHED, frame.id, fields)
            return None
        assert done.zygote is not None
        return done.zygote(done)


def _wake(number: int, frame: Optional[FrameType]) -> None:
    """Does nothing, but no system call outlasts it before the interpreter has seen a SIGINT.

    One that comes just before user code blocks in a system call would wait for that call to end.
    """


def _open_streams(warmed: Warmed) -> None:
    streams.install(warmed.encoding, os.environ, bool(os.environ.get("PYTHONUNBUFFERED")))
    # By line: output of subprocesses then stands where a reader expects it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # replaced or closed by the user: nothing to flush, then
            continue


def _answer(
    outcome: Outcome, captured: capture.Captured, bound: int
) -> List[Tuple[int, Value]]:
    cut = captured.stdout_cut or captured.stderr_cut
    fields: List[Tuple[int, Value]] = []
    texts = (
        (frames.K_RESULT, outcome.result, bound),
        (frames.K_STDOUT, captured.stdout.decode("utf-8", "replace"), bound),
        (frames.K_STDERR, captured.stderr.decode("utf-8", "replace"), bound),
        (frames.K_ERROR, outcome.error, _ERROR_MAX),
        (frames.K_TRACEBACK, outcome.traceback, _TRACEBACK_MAX),
    )
    for key, text, limit in texts:
        if text is None:
            continue
        # The end of a traceback tells more than its beginning.
        value, was_cut = bounded(text, limit, keep_end=key == frames.K_TRACEBACK)
        fields.append((key, value))
        cut = cut or was_cut
    fields.append((frames.K_TRUNCATED, int(cut)))
    return fields


def bounded(text: str, limit: int, keep_end: bool = False) -> Tuple[bytes, bool]:
    """At most `limit` bytes of UTF-8, cut between characters, and whether something was cut."""
    if len(text) > limit:  # before encoding: it may be huge
        text, cut = (text[-limit:] if keep_end and limit else text[:limit]), True
    else:
        cut = False
    encoded = frames.encode_text(text)
    if len(encoded) <= limit:
        return encoded, cut
    part = encoded[-limit:] if keep_end and limit else encoded[:limit]
    return part.decode("utf-8", "ignore").encode("utf-8"), True

"""The workers of a run: what each was given, and what it is doing."""

from __future__ import annotations

import collections
from typing import Deque, Dict, Iterable, Iterator, List, Optional, Tuple

from forkd_pytest import wire
from forkd_pytest.link import Link
from forkd_pytest.runner import Settings


class Worker:
    """One sandbox, from the controller's side."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.number = settings.worker
        self.decoder = wire.Decoder()
        self.sent: Deque[int] = collections.deque()
        self.started = False
        self.ended = False  # END was sent: nothing more can be
        self.flushed = False  # it runs what it has without waiting for more
        self.locked = False  # it holds a unit with a lock
        self.leaving: Optional[Tuple[str, str, Optional[int]]] = None  # a test ended the session


class Crew:
    """Starts, feeds and ends workers."""

    def __init__(self, link: Link, made: int = 0) -> None:
        self._link = link
        self._workers: Dict[int, Worker] = {}
        self._made = made  # numbers are not used again: what is told late of one is not another's

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers.values()))

    def hire(self, settings: Iterable[Settings]) -> None:
        """Asks for one worker for each."""
        numbers: List[int] = []
        for one in settings:
            self._workers[one.worker] = Worker(one)
            numbers.append(one.worker)
        self._made += len(numbers)
        self._link.spawn(numbers)

    def made(self) -> int:
        """How many were asked for so far."""
        return self._made

    def get(self, number: int) -> "Worker | None":
        return self._workers.get(number)

    def started(self, worker: Worker) -> None:
        worker.started = True
        self._send(worker, wire.INIT, tuple(worker.settings))

    def run(self, worker: Worker, indices: List[int]) -> None:
        worker.sent.extend(indices)
        worker.flushed = False
        self._send(worker, wire.RUN, indices)

    def flush(self, worker: Worker) -> None:
        """What it has is to be run, whatever comes after."""
        if not worker.flushed:
            worker.flushed = True
            self._send(worker, wire.FLUSH, None)

    def end(self, worker: Worker) -> None:
        if not worker.ended:
            worker.ended = True
            self._send(worker, wire.END, None)

    def cancel(self) -> None:
        """Ends everything now."""
        for worker in self:
            if worker.started:
                self._send(worker, wire.CANCEL, None)
            self.gone(worker)

    def gone(self, worker: Worker) -> None:
        self._workers.pop(worker.number, None)
        self._link.drop(worker.number)

    def busy(self) -> bool:
        return any(worker.sent for worker in self)

    def _send(self, worker: Worker, kind: int, value: object) -> None:
        self._link.send(worker.number, wire.frame(kind, wire.dump(value)))

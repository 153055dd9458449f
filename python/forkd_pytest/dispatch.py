"""Hands the items of a session to workers until each has its verdict."""

from __future__ import annotations

import time
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from forkd_pytest import coverage, durations, marks, schedule, shard, times, wire
from forkd_pytest.crew import Crew, Worker
from forkd_pytest.debugging import Debugging
from forkd_pytest.doctor import Findings
from forkd_pytest.journal import Journal
from forkd_pytest.link import Data, Debugged, Ended, Event, Interrupted, Link, Started
from forkd_pytest.live import Live
from forkd_pytest.options import Options
from forkd_pytest.refresh import last_failed
from forkd_pytest.replay import Replayer
from forkd_pytest.retry import Retries
from forkd_pytest.runner import Settings

_WAIT = 1.0
_FAREWELL = 15  # waits for workers to finish, after everything has its verdict


class Dispatch:
    """One run."""

    def __init__(self, session: Any, link: Link, options: Options) -> None:
        self._session = session
        self._config = session.config
        self._link = link
        self._options = options
        self._crew = Crew(link)
        self._done: Set[int] = set()
        self._seconds: Dict[str, float] = {}
        self._measured: List[bytes] = []
        self._worked: Dict[int, float] = {}
        self._began = time.monotonic()
        self._durations = durations.Durations(link.read(self._durations_path()))
        split = link.read(self._path(durations.SPLIT_FILE))
        self._durations.learn(durations.of_split(split) if split else {})
        self._queue = schedule.Queue([], 1)
        self._last_phase = True
        self._replayer = Replayer(session, False, options.memory)
        self._retries = Retries(options)
        self._debugging = Debugging(link)
        self._live = Live(session, link, options)
        self.findings: Optional[Findings] = None  # for --doctor
        self.journal = Journal(session, link, options)

    def made(self) -> int:
        """How many workers were asked for."""
        return self._crew.made()

    def run(self) -> None:
        """Returns when every item has been reported; raises what ends a session early."""
        try:
            self._run()
        finally:
            self._live.end()
            self._crew.cancel()
            self.journal.deliver()
            self._durations.update(self._seconds)
            self._link.write(self._durations_path(), self._durations.text().encode())
            self._link.write(self._path(durations.IGNORE_FILE), durations.IGNORE)

    def _run(self) -> None:
        items = self._items()
        main = [item for item in items if marks.SERIAL not in item.locks]
        serial = [item for item in items if marks.SERIAL in item.locks]
        estimates = schedule.estimates(items)
        self._live.begin(estimates)
        units = schedule.units(main, estimates)
        number = self._number(units)
        self._replayer = Replayer(self._session, number > 1, self._options.memory)
        if items:
            self._crew.hire(self._settings(worker, number, "") for worker in range(number))
        self._phase(schedule.Queue(units, number), not serial)
        self._phase(schedule.Queue(schedule.units(serial, estimates), 1), True)
        self._farewell()
        if self._retries.wanted():
            self._again()
        for item in items:
            if item.index not in self._done:
                self._verdict(item.index, [self._lost(item.index, "it was never run")], 0)
        coverage.unite(self._measured)
        if self._options.clock:
            self._times(units)

    def _times(self, units: List[schedule.Unit]) -> None:
        items = self._session.items
        stretches = [
            times.Stretch(nodeid, seconds) for nodeid, seconds in self._seconds.items()
        ] + [
            times.Stretch("%s and what goes with it" % items[whole[0]].nodeid, seconds)
            for whole, seconds in self._whole(units)
        ]
        lines = times.report(self._worked, time.monotonic() - self._began, stretches)
        self._link.show("\n" + "".join("forkd: %s\n" % line for line in lines))

    def _whole(self, units: List[schedule.Unit]) -> Iterator[Tuple[List[int], float]]:
        """Units of several items that are never split, with what they took."""
        names = [item.nodeid for item in self._session.items]
        for indices in (unit.indices for unit in units if not unit.splittable):
            if len(indices) > 1:
                yield indices, sum(self._seconds.get(names[index], 0.0) for index in indices)

    def _items(self) -> List[schedule.Item]:
        described = marks.describe(
            self._session.items,
            self._options.by,
            self._durations.seconds(),
            last_failed(self._config),
        )
        return shard.part(described, self._options, self._session, self._link)

    def _number(self, units: List[schedule.Unit]) -> int:
        if self._options.fixed:
            return self._options.workers
        return schedule.workers_wanted(units, self._options.workers, self._options.small)

    def _settings(self, worker: int, count: int, isolate: str) -> Settings:
        options = self._options
        live = getattr(self._config.option, "capture", "fd") == "no"
        how = isolate or options.isolate
        timeout, keep = options.timeout, options.keep
        seed, doctor, debug = options.seed, options.doctor, options.debug
        return Settings(worker, count, options.uid, timeout, how, live, keep, seed, doctor, debug)

    # Phases

    def _phase(self, queue: schedule.Queue, last: bool) -> None:
        """Until the queue is empty and everything that was handed out is done."""
        self._queue, self._last_phase = queue, last
        while not queue.empty() or self._crew.busy():
            self._feed()
            self._live.tell(self._crew)
            for event in self._link.receive(_WAIT):
                self._handle(event)

    def _feed(self) -> None:
        for worker in self._crew:
            if not worker.started or worker.ended:
                continue
            if worker.locked and not worker.sent:
                worker.locked = False
                self._queue.released(worker.number)
            while len(worker.sent) < 2 and not worker.locked:
                indices = self._queue.next(worker.number, bool(worker.sent))
                if not indices:
                    break
                self._crew.run(worker, indices)
                worker.locked = self._queue.holds(worker.number)
            if worker.locked:
                self._crew.flush(worker)
            elif len(worker.sent) < 2:
                self._nothing_more(worker)

    def _nothing_more(self, worker: Worker) -> None:
        if self._queue.empty() and self._last_phase:
            self._crew.end(worker)
        elif worker.sent:
            self._crew.flush(worker)

    def _farewell(self) -> None:
        for worker in self._crew:
            self._crew.end(worker)
        for _ in range(_FAREWELL):
            if not list(self._crew):
                return
            for event in self._link.receive(_WAIT):
                self._handle(event)

    def _again(self) -> None:
        """What failed or crashed, each in a fresh fork of the collected state and alone."""
        first = self._crew.made()
        for attempt in self._retries:
            self._queue = schedule.Queue([], 1)
            number = first + self._retries.rounds
            self._crew.hire([self._settings(number, 1, "test")])
            waiting = list(attempt)
            while waiting or self._crew.busy():
                for worker in self._crew:
                    if worker.started and not worker.sent and waiting:
                        self._crew.run(worker, [waiting.pop(0)])
                        self._crew.flush(worker)
                self._live.tell(self._crew)
                for event in self._link.receive(_WAIT):
                    self._handle(event)
            self._farewell()
        for index, reports, worker in self._retries.verdicts(self._replayer):
            self._verdict(index, reports, worker)

    # Events

    def _handle(self, event: Event) -> None:
        if isinstance(event, Interrupted):
            raise KeyboardInterrupt
        if isinstance(event, Debugged):
            self._debugging.ended(event)
            return
        worker = self._crew.get(event.worker)
        if worker is None:
            return
        if isinstance(event, Started):
            self._crew.started(worker)
        elif isinstance(event, Data):
            for kind, body in worker.decoder.feed(event.data):
                value = wire.load_done(body) if kind == wire.DONE else wire.load(body)
                self._message(worker, kind, value)
        elif isinstance(event, Ended):
            self._ended(worker, event.how)

    def _message(self, worker: Worker, kind: int, value: Any) -> None:
        if kind == wire.DONE:
            index, data, seconds = value
            self._gone(worker, index)
            self._seconds[self._session.items[index].nodeid] = seconds
            self._worked[worker.number] = self._worked.get(worker.number, 0.0) + seconds
            self._finished(worker, index, data)
        elif kind == wire.CRASH:
            self._gone(worker, value[0])
            report = self._replayer.crash(value[0], value)
            self._result(value[0], [report], worker.number, True)
        elif kind == wire.WARNING:
            self._replayer.warning(value)
        elif kind == wire.OUTPUT:
            self._link.show(value.decode("utf-8", "replace"))
        elif kind == wire.FILE:
            self._link.write(*value)
        elif kind == wire.DOCTOR and self.findings is not None:
            self.findings.add(*value)
        elif kind == wire.MEMORY:
            self._link.growth(value)
        elif kind == wire.COVERAGE:
            self._measured.append(value)
        elif kind == wire.STOP:
            failed, reason = value
            raise (self._session.Failed if failed else self._session.Interrupted)(reason)
        elif kind == wire.EXIT:
            worker.leaving = value  # how its last item came to that is told next
        elif kind == wire.DEBUG:
            self._debugging.ask(worker.number, value)
        elif kind == wire.INTERNAL:
            raise RuntimeError("in a worker:\n%s" % value)

    def _finished(self, worker: Worker, index: int, data: Any) -> None:
        try:
            self._result(index, self._replayer.reports(data), worker.number, False)
        finally:
            if worker.leaving is not None:
                self._exit(worker.leaving)  # before what --maxfail has to say

    def _exit(self, value: Any) -> None:
        import pytest

        how, message, code = value
        if how == "interrupt":
            raise KeyboardInterrupt
        raise pytest.exit.Exception(message, code)

    def _gone(self, worker: Worker, index: int) -> None:
        if index in worker.sent:
            worker.sent.remove(index)

    def _ended(self, worker: Worker, how: str) -> None:
        """A sandbox is gone: fine when it had nothing left to do."""
        sent = list(worker.sent)
        self._crew.gone(worker)
        self._queue.released(worker.number)
        if not sent:
            return
        self._result(sent[0], [self._lost(sent[0], how)], worker.number, True)
        if len(sent) > 1:
            settings = worker.settings._replace(worker=self._crew.made())
            self._crew.hire([settings])
            self._queue.give_back(sent[1:])

    def _lost(self, index: int, how: str) -> Any:
        body = (index, "run", "lost", how, "", 0, 0, 0.0)
        return self._replayer.crash(index, body)

    # Verdicts

    def _result(self, index: int, reports: List[Any], worker: int, crashed: bool) -> None:
        if index in self._done:
            return
        if self._retries.take(index, reports, worker, crashed):
            return
        self._verdict(index, reports, worker)

    def _verdict(self, index: int, reports: List[Any], worker: int) -> None:
        if index in self._done:
            return
        self._done.add(index)
        with self._live.verdict(index, reports):
            self._replayer.item(index, reports, worker)
        self.journal.add(index, reports, worker)
        session = self._session
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)

    def _path(self, name: str) -> str:
        return "%s/%s" % (_root(self._config), name)

    def _durations_path(self) -> str:
        return self._path(durations.FILE)


def _root(config: Any) -> str:
    root: Optional[Any] = getattr(config, "rootpath", None)
    return str(root if root is not None else config.rootdir)

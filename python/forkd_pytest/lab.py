"""Experiments with single tests: `--grind` and `--bisect`."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Sequence, Tuple

from forkd_pytest import grind, wire
from forkd_pytest.crew import Crew, Worker
from forkd_pytest.link import Data, Ended, Interrupted, Link, Started
from forkd_pytest.options import Options
from forkd_pytest.replay import Replayer
from forkd_pytest.runner import Settings

_WAIT = 1.0
Result = Tuple[int, List[Any]]


class Lab:
    """Runs chosen items in chosen processes."""

    def __init__(self, session: Any, link: Link, options: Options, made: int = 0) -> None:
        self._session = session
        self._link = link
        self._options = options
        self._crew = Crew(link, made)
        self._replayer = Replayer(session, False, options.memory)

    def run(self) -> None:
        """What the options ask for; the results are this session's."""
        try:
            if self._options.grind:
                self._grind(self._options.grind, self._options.times)
            else:
                self._bisect(self._options.bisect)
        finally:
            self._crew.cancel()

    def _index(self, nodeid: str) -> int:
        from _pytest.config import UsageError

        index = grind.find(self._session, nodeid)
        if index is None:
            raise UsageError(
                "%s is not the id, or the end of one id, of a collected test" % nodeid
            )
        return index

    def _say(self, text: str) -> None:
        reporter = self._session.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(text)

    def _grind(self, nodeid: str, times: int) -> None:
        index = self._index(nodeid)
        workers = min(self._options.workers, times)
        shares = [len(range(worker, times, workers)) for worker in range(workers)]
        tally = grind.Tally(times)
        for _, reports in self.results([[index] * share for share in shares], "test"):
            tally.add(reports)
        for reports in tally.shown():
            self._replayer.item(index, reports, 0)
        self._say("\n" + tally.text(self._session.items[index].nodeid))
        if not tally.failed:
            self._session.testscollected = 1

    def _bisect(self, nodeid: str) -> None:
        index = self._index(nodeid)
        last: Dict[int, List[Any]] = {}

        def fails_after(before: Sequence[int]) -> bool:
            found = dict(self.results([[*before, index]], "child"))
            last.update(found)
            return index not in found or any(r.outcome == "failed" for r in found[index])

        if fails_after([]):
            self._say("\nbisect: %s fails alone, too" % nodeid)
        else:
            culprits = grind.bisect(range(index), fails_after)
            if culprits is None:
                self._say("\nbisect: %s passes after all tests before it" % nodeid)
            else:
                fails_after(culprits)
                names = [self._session.items[one].nodeid for one in culprits]
                self._say("\nbisect: it fails after\n  " + "\n  ".join(names))
        if index in last:
            self._replayer.item(index, last[index], 0)

    def results(self, work: Sequence[Sequence[int]], isolate: str) -> Iterator[Result]:
        """Each list in a sandbox of its own."""
        options, first = self._options, self._crew.made()
        tasks = {first + number: list(indices) for number, indices in enumerate(work)}
        self._crew.hire(
            Settings(
                number, len(work), options.uid, options.timeout, isolate, False, False, options.seed
            )
            for number in tasks
        )
        while list(self._crew):
            for event in self._link.receive(_WAIT):
                if isinstance(event, Interrupted):
                    raise KeyboardInterrupt
                worker = self._crew.get(event.worker)
                if worker is None:
                    continue
                if isinstance(event, Started):
                    self._crew.started(worker)
                    self._crew.run(worker, tasks[worker.number])
                    self._crew.end(worker)
                elif isinstance(event, Data):
                    for kind, body in worker.decoder.feed(event.data):
                        yield from self._message(worker, kind, body)
                elif isinstance(event, Ended):
                    yield from self._ended(worker, event.how)

    def _message(self, worker: Worker, kind: int, body: bytes) -> Iterator[Result]:
        if kind not in (wire.DONE, wire.CRASH):
            return
        value = wire.load_done(body) if kind == wire.DONE else wire.load(body)
        worker.sent.remove(value[0])
        if kind == wire.DONE:
            yield value[0], self._replayer.reports(value[1])
        else:
            yield value[0], [self._replayer.crash(value[0], value)]

    def _ended(self, worker: Worker, how: str) -> Iterator[Result]:
        self._crew.gone(worker)
        for index in worker.sent:
            yield index, [self._replayer.crash(index, (index, "run", "lost", how, "", 0, 0, 0.0))]

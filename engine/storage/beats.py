"""Proof of life across machines: a counter in the database for each worker, raised by a thread.

The thread is not the event loop's, so a handler that blocks the loop does not look dead.
"""

from __future__ import annotations

import logging
from threading import Event, Lock, Thread
from time import monotonic

from sqlalchemy import Connection, Engine, delete, select

from engine.storage import tables
from engine.storage.engines import writing_engine
from engine.storage.faults import unavailable
from engine.storage.statements import conflict_insert
from engine.storage.urls import Address

#: Seconds between two beats.
INTERVAL = 3.0

#: Seconds without a beat after which a worker is dead.
PATIENCE = 15.0

#: Seconds between two looks after which the observer itself was away: then all counting starts anew.
BLINK = 2 * INTERVAL + 1

_beats = tables.beats
_log = logging.getLogger(__name__)


class Beats:
    """Raises this worker's counter, and watches those of the others."""

    def __init__(self, address: Address, worker: str | None) -> None:
        self._address = address
        self._worker = worker
        self._engine: Engine = writing_engine(address)
        self._lock = Lock()
        self._observed = Observations()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="warren-beat", daemon=True)

    def open(self) -> None:
        """Beat for the first time, and go on in the thread."""
        try:
            self._beat()
        except Exception as error:
            self._engine.dispose()
            raise (unavailable(error, self._address.shown) or error) from error
        self._thread.start()

    def alive(self, worker: str) -> bool:
        """Whether the worker's counter still moves, as far as was seen."""
        with self._lock:
            return self._observed.alive(worker, monotonic())

    def close(self) -> None:
        """Stop beating, and take this worker's counter away."""
        self._stop.set()
        self._thread.join(PATIENCE)
        if self._worker is not None:
            try:
                with self._engine.begin() as connection:
                    connection.execute(delete(_beats).where(_beats.c.worker == self._worker))
            except Exception as error:  # then the others find out by its silence
                _log.debug("the counter of %s was not taken away: %s", self._worker, error)
        self._engine.dispose()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                self._beat()
            except Exception as error:  # the observations show the gap; the next beat may succeed
                _log.debug("a beat of %s was missed: %s", self._worker, error)

    def _beat(self) -> None:
        began = monotonic()
        with self._engine.begin() as connection:
            if self._worker is not None:
                _raise_counter(connection, self._worker)
        with self._engine.connect() as connection:
            counters = {row.worker: row.counter for row in connection.execute(select(_beats))}
        with self._lock:
            self._observed.look(counters, began)


class Observations:
    """What one observer saw of the counters, on its own clock (`now`, in seconds)."""

    def __init__(self) -> None:
        self._counters: dict[str, tuple[int, float]] = {}
        self._asked: dict[str, float] = {}
        self._last = float("-inf")

    def look(self, counters: dict[str, int], now: float) -> None:
        """Take note of all counters, as read from the database at `now` or later."""
        away = now - self._last > BLINK
        seen = {}
        for worker, counter in counters.items():
            before = self._counters.get(worker)
            unchanged = before is not None and before[0] == counter and not away
            seen[worker] = before if before is not None and unchanged else (counter, now)
            self._asked.pop(worker, None)
        self._counters = seen
        self._last = now

    def alive(self, worker: str, now: float) -> bool:
        """Whether the worker may be alive."""
        known = self._counters.get(worker)
        if known is not None:
            return self._last - known[1] < PATIENCE
        # Without a counter it has gone, unless it came after the last look.
        return self._last <= self._asked.setdefault(worker, now)


def _raise_counter(connection: Connection, worker: str) -> None:
    statement = conflict_insert(connection, _beats).values(worker=worker, counter=1)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["worker"], set_={"counter": _beats.c.counter + 1})
    )

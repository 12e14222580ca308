"""Group commit: all that waits is written in one transaction, and the next group gathers meanwhile.

There is no timer: a lone item is written at once, and under load a group is whatever came
while the last one was being written. A group that fails for a reason of its items is
written once more item by item, so that the culprit alone fails. A group that fails for a
reason of the environment (locked, full, connection lost) is kept and tried until it works.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection

from engine.errors import DatabaseError, DatabaseUnavailable
from engine.storage.faults import unavailable
from engine.storage.pen import Pen

#: Items of one section in one transaction, at most.
GROUP_LIMIT = 512

#: Seconds between two tries of a group: the first, and the longest.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0

#: Seconds until a database that does not answer is reported.
PATIENCE = 8.0

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")

_log = logging.getLogger(__name__)


class Section(Protocol[T_contra, R]):
    """A kind of work that is written in groups."""

    name: str

    def apply(self, connection: Connection, items: Sequence[T_contra], /) -> Sequence[R]:
        """In the writer's thread, within the transaction: write the items, one result for each.

        It runs again after a rollback, and also when it was committed without our knowing.
        """

    def done(self, items: Sequence[T_contra], results: Sequence[R], /) -> None:
        """On the event loop: the items are committed."""

    def failed(self, item: T_contra, error: Exception, /) -> None:
        """On the event loop: this item alone cannot be written."""


class Inlet(Generic[T]):
    """Where a section's items come in. Only for the event loop."""

    def __init__(self, section: Section[T, Any], wake: Callable[[], None]) -> None:
        self.section = section
        self._items: deque[T] = deque()
        self._wake = wake

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Have one item written."""
        self._items.append(item)
        self._wake()

    def extend(self, items: Iterable[T]) -> None:
        """Have several items written, in their order."""
        self._items.extend(items)
        self._wake()

    def take(self) -> list[T]:
        """The next items in line, at most `GROUP_LIMIT`."""
        items = self._items
        if len(items) <= GROUP_LIMIT:
            taken = list(items)
            items.clear()
            return taken
        return [items.popleft() for _ in range(GROUP_LIMIT)]


class _Part(NamedTuple):
    section: Section[Any, Any]
    items: list[Any]


class _Outcome(NamedTuple):
    section: Section[Any, Any]
    items: list[Any]
    results: list[Any]
    failures: list[tuple[Any, Exception]]


class GroupWriter:
    """Writes the items of all its sections, in the order in which the sections were added.

    That order is the same in every process, and each section writes in key order, so two
    writers never wait for each other in a circle.

    `on_state` is told of trouble with the environment, and None when it is over.
    """

    def __init__(self, pen: Pen) -> None:
        self.on_state: Callable[[DatabaseError | None], None] | None = None
        self._pen = pen
        self._inlets: list[Inlet[Any]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._trouble: DatabaseError | None = None
        self._task = asyncio.create_task(self._run(), name="warren-writer")

    def add(self, section: Section[T, R]) -> Inlet[T]:
        """Take on a kind of work; later sections are written after earlier ones."""
        inlet = Inlet(section, self._woken)
        self._inlets.append(inlet)
        return inlet

    @property
    def trouble(self) -> DatabaseError | None:
        """What keeps the present group from being written, if anything does."""
        return self._trouble

    async def drain(self) -> None:
        """Wait until all that was put in is written."""
        await self._idle.wait()

    async def close(self, timeout: float | None = None) -> bool:
        """Drain, for at most `timeout` seconds, and stop. False when something was left unwritten."""
        drained = self._idle.is_set()
        if not drained:
            try:
                await asyncio.wait_for(self._idle.wait(), timeout)
                drained = True
            except TimeoutError:
                drained = False
        self._task.cancel()
        await asyncio.wait({self._task})
        return drained

    def _woken(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while group := [_Part(inlet.section, inlet.take()) for inlet in self._inlets if inlet]:
                self._deliver(await self._write(group))
            self._idle.set()

    async def _write(self, group: list[_Part]) -> list[_Outcome]:
        pause = FIRST_PAUSE
        work: Callable[[Connection], list[_Outcome]] = partial(_apply_group, group)
        while True:
            try:
                outcomes = await self._transact(work)
            except DatabaseError as error:
                self._say(error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as error:
                _log.debug("a group is written item by item: %s", error)
                work = partial(_apply_singly, group, self._pen.address.shown)
            else:
                self._say(None)
                return outcomes

    async def _transact(self, work: Callable[[Connection], T]) -> T:
        """One transaction; says so when the database does not answer for long."""
        watch = asyncio.get_running_loop().call_later(PATIENCE, self._silent)
        try:
            return await self._pen.transact(work)
        finally:
            watch.cancel()

    def _silent(self) -> None:
        if self._trouble is None:
            self._say(
                DatabaseUnavailable(
                    f"the database {self._pen.address.shown} has not answered for {PATIENCE:g} seconds",
                    hint="A transaction may hold its lock, or the server is out of reach.",
                )
            )

    def _say(self, trouble: DatabaseError | None) -> None:
        before, self._trouble = self._trouble, trouble
        news = trouble is not before and (trouble is None or before is None or trouble.message != before.message)
        if news and self.on_state is not None:
            try:
                self.on_state(trouble)
            except Exception:
                _log.exception("the callback for the state of the database failed")

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        for section, items, results, failures in outcomes:
            try:
                if items:
                    section.done(items, results)
                for item, error in failures:
                    section.failed(item, error)
            except Exception:  # one section's mistake must not stop the others
                _log.exception("what was written to %s could not be passed on", section.name)


def _apply_group(group: list[_Part], connection: Connection) -> list[_Outcome]:
    return [
        _Outcome(section, items, _checked(section, items, section.apply(connection, items)), [])
        for section, items in group
    ]


def _apply_singly(group: list[_Part], shown: str, connection: Connection) -> list[_Outcome]:
    """Write each item behind a savepoint of its own."""
    outcomes = []
    for section, items in group:
        outcome = _Outcome(section, [], [], [])
        for item in items:
            try:
                with connection.begin_nested():
                    result = _checked(section, [item], section.apply(connection, [item]))
            except Exception as error:
                if unavailable(error, shown) is not None:
                    raise
                outcome.failures.append((item, error))
            else:
                outcome.items.append(item)
                outcome.results.extend(result)
        outcomes.append(outcome)
    return outcomes


def _checked(section: Section[Any, Any], items: Sequence[Any], results: Sequence[Any]) -> list[Any]:
    if len(results) != len(items):
        raise RuntimeError(f"section {section.name} gave {len(results)} results for {len(items)} items")
    return list(results)

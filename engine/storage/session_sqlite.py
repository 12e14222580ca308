"""The writing connection as SQLAlchemy's asyncio dialect for SQLite wants one.

Handler sessions and the group writer share one connection and its thread. A statement
costs one hop to the thread, rows included, where a connection of aiosqlite takes four.
SQLAlchemy calls these methods within a greenlet, where they may wait for the thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import AsyncAdaptedQueuePool, Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from engine.errors import UsageError
from engine.storage.pen import Pen, Ticket

T = TypeVar("T")

#: Connections of sessions that are kept for the next ones. They hold nothing open.
SESSIONS_KEPT = 16


def session_engine(pen: Pen) -> AsyncEngine:
    """An engine whose connections take turns with the group writer."""
    # Pooled, since to set one up costs more than a statement. Nothing to reset: a session ends its transaction.
    return create_async_engine(
        "sqlite+aiosqlite://",
        creator=partial(HeldConnection, pen),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=SESSIONS_KEPT,
        max_overflow=-1,
        pool_reset_on_return=None,
        hide_parameters=True,  # errors are logged, and parameters hold what payloads say
    )


def _nobody() -> None: ...


class HeldConnection:
    """Takes the writer's turn at the first statement, and holds it until commit, rollback or close.

    `work` is what the engine adds to the transaction before it is committed; its `result`
    is kept. Without `work` a commit is refused: it would be the handler's own. `since` is when
    the transaction began, in seconds of the monotonic clock, and None without one.
    """

    isolation_level = None

    def __init__(self, pen: Pen) -> None:
        self.work: Callable[[Connection], Any] | None = None
        self.result: Any = None
        self.since: float | None = None
        self._on_asked: Callable[[], None] = _nobody
        self._on_end: Callable[[], None] = _nobody
        self._pen = pen
        self._asked: float | None = None
        self._queued = 0.0
        #: The loop's side: this connection asked for the turn and has not given it back.
        self._holding = False
        self._busy = False
        #: The thread's side: it has the turn, and a transaction on this raw connection.
        self._raw: sqlite3.Connection | None = None

    @property
    def _connection(self) -> HeldConnection:
        """What the dialect shows as the driver's own."""
        return self

    def lend(self, on_asked: Callable[[], None], on_end: Callable[[], None]) -> None:
        """To a session, of whose transactions these hear. What an earlier session left behind is forgotten."""
        self.work = self.result = None
        self._asked, self._queued = None, 0.0
        self._on_asked, self._on_end = on_asked, on_end

    def queued(self) -> float:
        """Seconds since it was lent that it stood in line for the turn."""
        asked = self._asked
        return self._queued + (0.0 if asked is None else time.monotonic() - asked)

    # --- what SQLAlchemy calls ----------------------------------------------------------------

    def cursor(self, server_side: bool = False) -> HeldCursor:
        """A cursor; its statements run in the writer's thread."""
        return HeldCursor(self, server_side)

    def commit(self) -> None:
        """Run `work` and commit, in one hop."""
        work, self.work = self.work, None
        if work is not None:
            try:
                # A caller who is cancelled meanwhile does not stop it: the thread ends the turn.
                self.result = await_only(self._hop(partial(self._finish, work)).future)
            finally:
                self._let_go()
        elif self._holding:
            raise UsageError("a handler committed its transaction", hint="The engine does, when the handler returns.")

    def rollback(self) -> None:
        """Undo, and let the next one in; the next statement begins again."""
        if self._holding:
            await_only(self._give_up())

    def close(self) -> None:
        """Undo what was not committed."""
        self.rollback()

    def terminate(self) -> None:
        """Undo without waiting for it."""
        if self._holding:
            self._give_up()

    def create_function(self, *_arguments: object, **_options: object) -> None:
        """The writing connection has the dialect's functions already."""

    def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the connection in the writer's thread, beginning the transaction if need be."""
        self._busy = True  # and stays so for a caller who is cancelled: the thread is still at it
        ticket = self._hop(lambda: function(self._begun()))
        try:
            result = await_only(ticket.future)
        except asyncio.CancelledError:
            if self._pen.withdraw(ticket):
                self._let_go()
            raise
        except Exception:
            self._busy = False
            if self._raw is None:
                self._let_go()
            raise
        self._busy = False
        return result

    # --- on the loop --------------------------------------------------------------------------

    def _hop(self, function: Callable[[], T]) -> Ticket[T]:
        """To the thread, with the turn."""
        if self._holding:
            return self._pen.go_on(function)
        self._holding = True
        self._asked = time.monotonic()
        self._on_asked()
        return self._pen.enter(function)

    def _give_up(self) -> asyncio.Future[None]:
        raw = self._raw
        if self._busy and raw is not None:
            raw.interrupt()  # a statement that nobody waits for any more
        self._let_go()
        return self._pen.go_on(self._undo).future

    def _let_go(self) -> None:
        self._holding = False
        self._busy = False
        self._asked = None
        self._on_end()
        self.since = None

    # --- in the thread ------------------------------------------------------------------------

    def _begun(self) -> sqlite3.Connection:
        if self._raw is None:
            self._queued, self._asked = self.queued(), None  # in this order: who looks between them sees more, not less
            try:
                raw: Any = self._pen.begin().connection.driver_connection
            except BaseException:
                self._pen.leave()
                raise
            self.since = time.monotonic()
            self._raw = raw
        assert self._raw is not None
        return self._raw

    def _finish(self, work: Callable[[Connection], T]) -> T:
        self._begun()
        try:
            return self._pen.complete(work)
        finally:
            self._raw = None
            self._pen.leave()

    def _undo(self) -> None:
        if self._raw is not None:  # else it never began, and left when that failed
            self._raw = None
            try:
                self._pen.rollback()
            finally:
                self._pen.leave()


class _Answer(NamedTuple):
    """What a statement gave."""

    description: Any
    rowcount: int
    lastrowid: int | None
    rows: Sequence[Any]


class HeldCursor:
    """What SQLAlchemy calls on a cursor. Rows are fetched in the hop of their statement."""

    __slots__ = ("_held", "_rows", "arraysize", "description", "lastrowid", "rowcount", "server_side")

    def __init__(self, held: HeldConnection, server_side: bool) -> None:
        self._held = held
        self._rows: deque[Any] = deque()
        self.server_side = server_side
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> HeldCursor:
        """Run a statement, and fetch all its rows."""
        return self._keep(self._held.run(lambda raw: _answer(raw.execute(statement, parameters))))

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> HeldCursor:
        """Run a statement once for each row of parameters."""
        return self._keep(self._held.run(lambda raw: _answer(raw.executemany(statement, parameters))))

    def fetchone(self) -> Any:
        """The next row, or None."""
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def close(self) -> None:
        """Nothing stays open."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """The rows stay; there is nothing else to close."""

    def __iter__(self) -> Iterator[Any]:
        while self._rows:
            yield self._rows.popleft()

    def _keep(self, answer: _Answer) -> HeldCursor:
        self.description, self.rowcount, self.lastrowid, rows = answer
        self._rows.extend(rows)
        return self


def _answer(cursor: sqlite3.Cursor) -> _Answer:
    rows = cursor.fetchall() if cursor.description else ()
    return _Answer(cursor.description, cursor.rowcount, cursor.lastrowid, rows)

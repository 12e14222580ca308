"""The writing connection as SQLAlchemy's asyncio dialect for SQLite wants one.

Handler sessions and the group writer share one connection and its thread. A statement
costs one hop to the thread, rows included, where a connection of aiosqlite takes four.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from sqlalchemy import AsyncAdaptedQueuePool, Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from engine.errors import UsageError
from engine.storage.pen import Pen

T = TypeVar("T")

#: Connections of sessions that are kept for the next ones. They hold nothing open.
SESSIONS_KEPT = 16


def session_engine(pen: Pen) -> AsyncEngine:
    """An engine whose connections take turns with the group writer."""

    async def connect(*_arguments: object, **_options: object) -> HeldConnection:
        return HeldConnection(pen)

    # Pooled, since to set one up costs more than a statement. Nothing to reset: a session ends its transaction.
    return create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=connect,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=SESSIONS_KEPT,
        max_overflow=-1,
        pool_reset_on_return=None,
    )


class HeldConnection:
    """Takes the writer's turn at the first statement, and holds it until commit, rollback or close.

    `work` is what the engine adds to the transaction before it is committed; its `result`
    is kept. Without `work` a commit is refused: it would be the handler's own.
    """

    isolation_level = None

    def __init__(self, pen: Pen) -> None:
        self.work: Callable[[Connection], Any] | None = None
        self.result: Any = None
        self.on_begin: Callable[[], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self._pen = pen
        self._holding = False
        self._begun = False
        self._busy = False
        self._raw: sqlite3.Connection | None = None

    @property
    def _connection(self) -> Literal[True]:
        """Asked by the dialect before it undoes or commits."""
        return True

    def cursor(self) -> HeldCursor:
        """A cursor; its statements run in the writer's thread."""
        return HeldCursor(self)

    def lend(self, on_begin: Callable[[], None], on_end: Callable[[], None]) -> None:
        """To a session, of whose transactions these hear. What an earlier session left behind is forgotten."""
        self.work = self.result = None
        self.on_begin, self.on_end = on_begin, on_end

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the connection in the writer's thread, beginning the transaction if need be."""
        await self._take_turn()
        self._busy = True
        future = self._pen.submit(partial(self._run, function))
        try:
            result = await asyncio.shield(future)
        except Exception:
            self._give_up_unless_begun()
            raise
        if future.done():
            self._busy = False
        return result

    async def commit(self) -> None:
        """Run `work` and commit, in one hop."""
        work, self.work = self.work, None
        if work is not None:
            await self._take_turn()
            try:
                self.result = await self._pen.last(partial(self._finish, work))
            finally:
                self._let_go()
        elif self._holding:
            raise UsageError("a handler committed its transaction", hint="The engine does, when the handler returns.")

    async def rollback(self) -> None:
        """Undo, and let the next one in; the next statement begins again."""
        if self._holding:
            raw = self._raw
            if self._busy and raw is not None:
                raw.interrupt()  # a statement that nobody waits for any more
            self._let_go()
            await self._pen.last(self._pen.rollback)

    async def close(self) -> None:
        """Undo what was not committed."""
        await self.rollback()

    def stop(self) -> None:
        """Undo without waiting for it."""
        if self._holding:
            asyncio.get_running_loop().create_task(self.rollback())

    async def create_function(self, *_arguments: object, **_options: object) -> None:
        """The writing connection has the dialect's functions already."""

    async def _take_turn(self) -> None:
        if not self._holding:
            await self._pen.turn.acquire()
            self._holding = True
            self._begun = False
            if self.on_begin is not None:
                self.on_begin()

    def _let_go(self) -> None:
        self._holding = False
        self._busy = False
        if self.on_end is not None:
            self.on_end()

    def _give_up_unless_begun(self) -> None:
        self._busy = False
        if not self._begun:
            self._let_go()
            self._pen.turn.release()

    def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return function(self._begin())

    def _begin(self) -> sqlite3.Connection:
        """In the thread."""
        if not self._begun:
            raw: Any = self._pen.begin().connection.driver_connection
            self._raw = raw
            self._begun = True
        assert self._raw is not None
        return self._raw

    def _finish(self, work: Callable[[Connection], T]) -> T:
        """In the thread."""
        self._begin()
        try:
            result = work(self._pen.current)
        except BaseException as error:
            raise self._pen.failed(error) from error
        self._pen.commit()
        return result


class HeldCursor:
    """What the dialect calls on an asyncio cursor. Rows are fetched in the hop of their statement."""

    def __init__(self, held: HeldConnection) -> None:
        self._held = held
        self._rows: deque[Any] = deque()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: Any = None
        self.arraysize = 1

    async def __aenter__(self) -> HeldCursor:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> HeldCursor:
        """Run a statement, and fetch all its rows."""
        return await self._run(lambda raw: raw.execute(statement, parameters))

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> HeldCursor:
        """Run a statement once for each row of parameters."""
        return await self._run(lambda raw: raw.executemany(statement, parameters))

    async def fetchone(self) -> Any:
        """The next row, or None."""
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    async def fetchall(self) -> list[Any]:
        """All rows that are left."""
        rows = list(self._rows)
        self._rows.clear()
        return rows

    async def close(self) -> None:
        """Nothing stays open."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Any]:
        while self._rows:
            yield self._rows.popleft()

    async def _run(self, execute: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> HeldCursor:
        self.description, self.rowcount, self.lastrowid, rows = await self._held.run(partial(_fetched, execute))
        self._rows.extend(rows)
        return self


def _fetched(
    execute: Callable[[sqlite3.Connection], sqlite3.Cursor], raw: sqlite3.Connection
) -> tuple[Any, int, Any, list[Any]]:
    cursor = execute(raw)
    rows = cursor.fetchall() if cursor.description else []
    return cursor.description, cursor.rowcount, cursor.lastrowid, rows

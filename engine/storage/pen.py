"""The one connection with which a process writes, its thread, and the locks in front of it.

SQLite has one writer. Within the process an asyncio lock keeps the turns; between
processes a lock on a file beside the database does, since SQLite's own busy handler is
unfair: whoever polls at the luckier moment wins. PostgreSQL needs neither; there the
lock only keeps the group writer's transactions apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RootTransaction

from engine.errors import DatabaseUnavailable
from engine.storage.engines import writing_engine
from engine.storage.faults import unavailable
from engine.storage.filelock import FileLock
from engine.storage.thread import WorkThread
from engine.storage.urls import Address

T = TypeVar("T")


def lock_path(path: Path) -> Path:
    """The file whose lock is taken before a SQLite database is written."""
    return path.with_name(path.name + "-writer")


class Pen:
    """Begins, commits and undoes transactions on the writing connection, in its thread.

    Hold `turn` around everything from `begin` to `commit` or `rollback`.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.turn = asyncio.Lock()
        self._engine: Engine = writing_engine(address)
        self._thread = WorkThread("warren-writer")
        self._lock = FileLock(lock_path(address.path)) if address.dialect == "sqlite" else None
        self._connection: Connection | None = None
        self._transaction: RootTransaction | None = None

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run a function in the writer's thread, after what is queued there."""
        return self._thread.submit(function)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run one transaction. Errors of the environment come as `DatabaseError`."""
        await self.turn.acquire()
        return await self.last(partial(self.run, work))

    async def last(self, function: Callable[[], T]) -> T:
        """Run in the thread what ends this turn. It ends then, also if the caller is cancelled before."""
        future = self.submit(function)
        future.add_done_callback(self._turn_over)
        return await asyncio.shield(future)

    def _turn_over(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled():
            future.exception()  # seen, even if nobody waits for it any more
        self.turn.release()

    def run(self, work: Callable[[Connection], T]) -> T:
        """In the thread: begin, do the work, commit; undo everything when that fails."""
        connection = self.begin()
        try:
            result = work(connection)
        except BaseException as error:
            raise self.failed(error) from error
        self.commit()
        return result

    def begin(self) -> Connection:
        """In the thread: wait for the lock and begin a transaction."""
        if self._lock is not None:
            try:
                self._lock.acquire()
            except OSError as error:
                raise self._not_lockable(error) from error
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            self._transaction = self._connection.begin()
        except BaseException as error:
            raise self.failed(error) from error
        return self._connection

    @property
    def current(self) -> Connection:
        """In the thread: the connection, within a transaction."""
        assert self._connection is not None
        assert self._transaction is not None
        return self._connection

    def commit(self) -> None:
        """In the thread: make it durable and let the next one in."""
        transaction = self._transaction
        assert transaction is not None
        try:
            transaction.commit()
        except BaseException as error:
            raise self.failed(error) from error
        self._transaction = None
        self._release()

    def rollback(self) -> None:
        """In the thread: undo what was not committed and let the next one in."""
        transaction, self._transaction = self._transaction, None
        try:
            if transaction is not None:
                transaction.rollback()
        except Exception:
            self._drop()
        finally:
            self._release()

    def failed(self, error: BaseException) -> BaseException:
        """In the thread: undo the transaction; what to raise in the place of its error."""
        self.rollback()
        trouble = unavailable(error, self.address.shown)
        if trouble is not None:
            self._drop()  # whether the connection still works is not worth a guess
        return trouble or error

    async def close(self, *, force: bool = False) -> None:
        """Close the connection and end the thread; with `force` without waiting for what it is at."""
        if force:
            self.submit(self._close)
        else:
            await self.turn.acquire()
            await self.last(self._close)
        self._thread.stop()

    def _not_lockable(self, error: OSError) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"the database {self.address.shown} cannot be locked: {error.strerror} ({error.filename})",
            hint="Check that its folder exists and that this user may write there.",
        )

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except Exception:  # it is gone already
                return

    def _close(self) -> None:
        self._drop()
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()

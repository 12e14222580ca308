"""The one connection with which a process writes, its thread, and the locks in front of it.

SQLite has one writer. Within the process the pen gives turns, first come first served, and
passes each on in the thread, so that the next one writes while the loop still hears of the last;
between processes a lock on a file beside the database does, since SQLite's own busy handler is
unfair: whoever polls at the luckier moment wins. PostgreSQL needs neither; there the
turns only keep the group writer's transactions apart.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

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


class Ticket(Generic[T]):
    """A place in the line: what is to run when its turn comes, and what becomes of it."""

    __slots__ = ("function", "future", "given")

    def __init__(self, function: Callable[[], T], future: asyncio.Future[T]) -> None:
        self.function = function
        self.future = future
        #: Its turn came, or will not come any more.
        self.given = False


class Pen:
    """Begins, commits and undoes transactions on the writing connection, in its thread.

    Whoever `enter`s has the turn from the moment its function runs until something that runs
    in the thread calls `leave`.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._engine: Engine = writing_engine(address)
        self._thread = WorkThread("warren-writer")
        self._path = address.path
        self._lock = FileLock(lock_path(self._path)) if address.dialect == "sqlite" else None
        self._connection: Connection | None = None
        self._transaction: RootTransaction | None = None
        self._line: deque[Ticket[Any]] = deque()
        self._taken = False
        self._mutex = Lock()
        #: Device and number of the file that was opened, on SQLite.
        self._file: tuple[int, int] | None = None

    @property
    def taken(self) -> bool:
        """Whether somebody has the turn."""
        return self._taken

    def enter(self, function: Callable[[], T]) -> Ticket[T]:
        """Run a function in the thread when the turn comes; it, or what goes on after it, must `leave`."""
        ticket = Ticket(function, asyncio.get_running_loop().create_future())
        with self._mutex:
            if self._taken:
                self._line.append(ticket)
                return ticket
            self._taken = ticket.given = True
        self._thread.resolve(function, ticket.future)
        return ticket

    def go_on(self, function: Callable[[], T]) -> Ticket[T]:
        """For who has the turn: run a function in the thread, after what is queued there."""
        ticket = Ticket(function, asyncio.get_running_loop().create_future())
        ticket.given = True
        self._thread.resolve(function, ticket.future)
        return ticket

    def withdraw(self, ticket: Ticket[Any]) -> bool:
        """Give a place in the line up. False when its turn had come: it must `leave`."""
        with self._mutex:
            withdrawn, ticket.given = not ticket.given, True
        return withdrawn

    def leave(self) -> None:
        """In the thread: the turn is the next one's."""
        with self._mutex:
            while self._line:
                ticket = self._line.popleft()
                if not ticket.given:
                    ticket.given = True
                    break
            else:
                self._taken = False
                return
        self._thread.resolve(ticket.function, ticket.future)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run one transaction. Errors of the environment come as `DatabaseError`.

        Once begun it ends, also if the caller is cancelled before.
        """
        ticket = self.enter(partial(self._alone, work))
        try:
            return await ticket.future
        except asyncio.CancelledError:
            self.withdraw(ticket)
            raise

    def _alone(self, work: Callable[[Connection], T]) -> T:
        try:
            return self.run(work)
        finally:
            self.leave()

    def run(self, work: Callable[[Connection], T]) -> T:
        """In the thread: begin, do the work, commit; undo everything when that fails."""
        self.begin()
        return self.complete(work)

    def complete(self, work: Callable[[Connection], T]) -> T:
        """In the thread, in a transaction: do the work, commit; undo everything when that fails."""
        assert self._connection is not None
        try:
            result = work(self._connection)
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
        if self._gone():
            self._release()
            raise DatabaseUnavailable(
                f"the database {self.address.shown} was moved or deleted while it was open",
                hint="Put the file back; or restart, to go on with whatever is there then.",
            )
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            self._transaction = self._connection.begin()
        except BaseException as error:
            raise self.failed(error) from error
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

    def _gone(self) -> bool:
        """Whether the file is another than the one that was opened: nobody else would find what is written to it.

        The connection stays open meanwhile, so the number of its file is given to no other.
        """
        if self._lock is None:
            return False
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return self._file is not None
        except OSError:
            return False  # no proof; SQLite will say what it thinks of that
        there = (status.st_dev, status.st_ino)
        if self._file is None:
            self._file = there
        return there != self._file

    async def close(self, *, force: bool = False) -> None:
        """Close the connection and end the thread; with `force` without waiting for what it is at."""
        if force:
            self._thread.submit(self._close)
        else:
            await self.enter(self._close).future
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

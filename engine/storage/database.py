"""The database as the rest of Warren sees it: short reads, grouped writes, sessions for handlers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine

from engine.errors import DatabaseError, DatabaseUnavailable
from engine.storage import schema
from engine.storage.engines import READERS, reading_engine
from engine.storage.faults import unavailable
from engine.storage.pen import Pen
from engine.storage.schema import Standing
from engine.storage.urls import Address, Dialect, parse
from engine.storage.writer import GroupWriter, Inlet

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from engine.storage.session import AsyncSession

T = TypeVar("T")

#: How long `open` waits for a migration to get the lock of the database, in seconds.
MIGRATION_PATIENCE = 60.0


class Database:
    """One database, opened. Make it with `await Database.open(url)`, and close it.

    Everything but the functions handed to `read` and `write` runs on one event loop.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        #: The URL without its password.
        self.url: str = address.shown
        self.dialect: Dialect = address.dialect
        self._reader: Engine = reading_engine(address)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="warren-reader")
        self.pen = Pen(address)
        self.writer = GroupWriter(self.pen)
        self._sessions: AsyncEngine | None = None
        self._units: Inlet[_Unit] = self.writer.add(_Units())

    @classmethod
    async def open(cls, url: str, *, migrate: bool = False) -> Database:
        """Open the database at `sqlite:///path` or `postgresql://…`.

        On SQLite the file and its folder are made when they are missing. With `migrate`
        missing migrations are applied; without, they raise `DatabaseOutdated`. Raises
        `DatabaseNewer` when only a newer program may use it, `DatabaseUnavailable` when it
        cannot be reached, read or written, and `ConfigurationError` for a wrong URL.
        """
        database = cls(_prepared(url))
        try:
            standing = await database.read(schema.look)
            if migrate and standing.outdated:
                standing = await database.upgrade()
            problem = schema.judge(standing, database.url)
            if problem is not None:
                raise problem
        except BaseException:
            await database.close(timeout=0)
            raise
        return database

    @classmethod
    async def standing(cls, url: str) -> Standing:
        """Where the database stands, whether or not this program may use it; a missing file is made, and is empty."""
        database = cls(_prepared(url))
        try:
            return await database.read(schema.look)
        finally:
            await database.close(timeout=0)

    async def upgrade(self) -> Standing:
        """Apply the missing migrations; several programs may do so at once."""
        try:
            return await asyncio.wait_for(self.pen.transact(schema.upgrade), MIGRATION_PATIENCE)
        except TimeoutError:
            raise DatabaseUnavailable(
                f"the database {self.url} is locked by another process, so it cannot be migrated",
                hint="Stop what holds it (`fuser` or `lsof` name it), and try again.",
            ) from None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a short read in a thread; the connection cannot write, and no transaction stays open."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(self._read, work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run one unit of writing within the next group. Its own exception undoes and fails only itself.

        While the database is locked, full or away it waits; what it does may run again
        after a rollback, so it must not touch anything but the connection.
        """
        unit: _Unit = _Unit(work, asyncio.get_running_loop().create_future())
        self._units.put(unit)
        result: T = await unit.future
        return result

    def session(
        self,
        on_held: Callable[[float], None] | None = None,
        on_released: Callable[[float], None] | None = None,
    ) -> AsyncSession:
        """A session for one handler: end it with `finish(work)` or `abandon()`.

        `on_held` hears once when its transaction has been open for a second, `on_released` then
        hears when it has ended, and after how many.
        """
        # Imported here: most workers have no handler with a session, and start sooner without.
        from engine.storage.session import AsyncSession

        if self._sessions is None:
            self._sessions = self._session_engine()
        return AsyncSession(self._sessions, self.url, on_held, on_released)

    def sessions(self, rewrite: Callable[[str], str]) -> Callable[[], AsyncSession]:
        """A maker of such sessions whose every statement passes through `rewrite`."""
        from sqlalchemy import event

        from engine.storage.session import AsyncSession

        if self._sessions is None:
            self._sessions = self._session_engine()
        engine = self._sessions.execution_options()  # an engine of its own on the same connections

        def rewritten(
            _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any
        ) -> Any:
            return rewrite(statement), parameters

        event.listen(engine.sync_engine, "before_cursor_execute", rewritten, retval=True)
        return lambda: AsyncSession(engine, self.url)

    def trouble(self, error: BaseException) -> DatabaseError | None:
        """The environment's trouble behind an error that a statement raised, or None if it is not to blame."""
        return unavailable(error, self.url)

    def _session_engine(self) -> AsyncEngine:
        if self.dialect == "sqlite":
            from engine.storage.session_sqlite import session_engine

            return session_engine(self.pen)
        from engine.storage.engines import postgresql_session_engine

        return postgresql_session_engine(self.address)

    async def close(self, timeout: float | None = 10.0) -> bool:
        """Write what waits, for at most `timeout` seconds, and close. False when something was left unwritten."""
        drained = await self.writer.close(timeout)
        if self._sessions is not None:
            await self._sessions.dispose()
        await self.pen.close(force=self.pen.taken)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._reader.dispose()
        return drained

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reader.connect() as connection:
                return work(connection)
        except Exception as error:
            trouble = unavailable(error, self.url)
            raise (trouble or error) from error


class _Unit(NamedTuple):
    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]


class _Units:
    """The section for `Database.write`: each unit behind a savepoint of its own."""

    name = "units"

    def apply(self, connection: Connection, items: Sequence[_Unit], /) -> list[Any]:
        results: list[Any] = []
        for unit in items:
            if unit.future.cancelled():
                results.append(None)
                continue
            try:
                with connection.begin_nested():
                    results.append(unit.work(connection))
            except Exception as error:
                if unavailable(error, "") is not None:
                    raise
                results.append(_Raised(error))
        return results

    def done(self, items: Sequence[_Unit], results: Sequence[Any], /) -> None:
        for unit, result in zip(items, results, strict=True):
            if unit.future.done():
                continue
            if isinstance(result, _Raised):
                unit.future.set_exception(result.error)
            else:
                unit.future.set_result(result)

    def failed(self, item: _Unit, error: Exception, /) -> None:
        if not item.future.done():
            item.future.set_exception(error)


class _Raised(NamedTuple):
    error: Exception


def _prepared(url: str) -> Address:
    """The address of a database that can be opened: of a file the folder is made. Refuses what we cannot write."""
    address = parse(url)
    if address.dialect != "sqlite":
        return address
    path = address.path
    if path.is_dir():
        raise DatabaseUnavailable(
            f"the database {address.shown} is a directory", hint=f"Name a file in it: sqlite:///{path}/warren.db"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(
            f"the folder of the database {address.shown} cannot be made: {error.strerror}",
            hint="Make it by hand, or name a place where this user may write.",
        ) from error
    for place in (path, path.parent):
        if place.exists() and not os.access(place, os.R_OK | os.W_OK):
            raise DatabaseUnavailable(
                f"the database {address.shown} is read-only: this user may not write {place}",
                hint=f"Give this user the right to write {place}, or name another database.",
            )
    return address

"""The session that a handler writes its own tables with.

Its transaction begins at the first statement, and the engine ends it: together with what
the handler wrote it commits the outcome of the message and the events it emits. On SQLite
it is the writer while it lasts, so such handlers run one at a time there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import AsyncSession as SQLAlchemySession
from sqlalchemy.orm import Session as SyncSession
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session
from sqlmodel.ext.asyncio import session as sqlmodel_session

from engine.errors import UsageError
from engine.storage.faults import unavailable
from engine.storage.session_sqlite import HeldConnection

T = TypeVar("T")

#: How long a handler may hold its transaction before that is reported, in seconds.
LONG_HELD = 1.0

_ENGINE_COMMITS = "Leave it out: what the handler wrote is committed with the outcome of its message when it returns."


class _GuardedSession(Session):
    """Commits and closes for the engine alone, however it is reached."""

    owner: AsyncSession | None = None
    released = False

    def commit(self) -> None:
        self._refuse("commit()")
        super().commit()

    def close(self) -> None:
        self._refuse("close()")
        super().close()

    def reset(self) -> None:
        self._refuse("reset()")
        super().reset()

    def _refuse(self, call: str) -> None:
        if not self.released:
            raise UsageError(f"a handler called {call} on its session", hint=_ENGINE_COMMITS)


class AsyncSession(sqlmodel_session.AsyncSession):
    """SQLModel's `AsyncSession`, with a transaction that belongs to the message that is handled.

    `on_held` is called once, with `LONG_HELD`, when the transaction has been open for so
    many seconds, and `on_released` when such a transaction has ended, with its seconds. `rollback()` undoes what was written so far, and the next statement begins
    again.
    """

    sync_session_class: type[Session] = _GuardedSession

    def __init__(
        self,
        engine: AsyncEngine,
        shown: str,
        on_held: Callable[[float], None] | None = None,
        on_released: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__(engine, expire_on_commit=False)
        self._guard = cast("_GuardedSession", self.sync_session)
        self._guard.owner = self
        self._shown = shown
        self._on_held = on_held
        self._on_released = on_released
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._held: HeldConnection | None = None
        self._over = False

    @property
    def touched(self) -> bool:
        """Whether the handler used the session, so that its transaction has to be finished."""
        return self._guard.in_transaction()

    def queued(self) -> float:
        """Seconds so far that it stood in line for the turn to write, which on SQLite one session has at a time."""
        return 0.0 if self._held is None else self._held.queued()

    if not TYPE_CHECKING:  # for a type checker it is what it is in SQLAlchemy

        async def execute(self, statement: Any, params: Any = None, **options: Any) -> Any:
            """SQLAlchemy's own: SQLModel calls it deprecated, but its `exec` takes no SQL text with parameters."""
            return await SQLAlchemySession.execute(self, statement, params, **options)

    async def finish(self, work: Callable[[Connection], T]) -> T:
        """For the engine: run `work` within the transaction, and commit both.

        Errors of the environment come as `DatabaseError`, others as they are. Either way
        nothing was written, unless the answer to the COMMIT itself was lost. Shield it: a
        caller who is cancelled while it commits does not learn that it did.
        """
        try:
            return cast("T", await self.run_sync(self._commit_with, work))
        except Exception as error:
            trouble = unavailable(error, self._shown)
            raise (trouble or error) from error
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """For the engine: undo what was not committed, and let the next one in."""
        if self._over:
            return
        self._guard.released = True
        if self.touched:
            # Cancelled or not, it is done to the end: the turn to write must come back.
            await asyncio.shield(asyncio.ensure_future(super().close()))
        else:
            self._guard.close()
        self._finished()

    def begin(self) -> NoReturn:
        """Refused: the transaction is the engine's, and begins by itself."""
        raise UsageError("a handler called begin() on its session", hint=_ENGINE_COMMITS)

    def _commit_with(self, session: SyncSession, work: Callable[[Connection], T]) -> T:
        """All in one greenlet: each costs as much as a statement."""
        connection = session.connection()
        held = self._held
        if held is None:
            session.flush()
            result = work(connection)
        else:
            held.work = work  # run in one hop with the COMMIT
        self._guard.released = True
        session.commit()
        if held is not None:
            result = cast("T", held.result)
        session.close()
        self._finished()
        return result

    def _finished(self) -> None:
        self._over = True
        self._ended()

    def began(self, connection: Connection) -> None:
        """For the session's own event: it got this connection."""
        driver: Any = connection.connection.driver_connection
        if isinstance(driver, HeldConnection):
            self._held = driver
            driver.lend(self._watch, self._ended)
        else:
            self._since = time.monotonic()
            self._watch()

    def _watch(self) -> None:
        """The transaction begins, or waits for its turn to begin."""
        if self._on_held is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LONG_HELD, self._look)

    def _look(self) -> None:
        since = self._since if self._held is None else self._held.since
        left = LONG_HELD if since is None else since + LONG_HELD - time.monotonic()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)
        elif self._on_held is not None:
            self._on_held(LONG_HELD)

    def _ended(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        since, self._since = self._since, None
        if self._held is not None:
            since = self._held.since
        if since is not None and self._on_released is not None and (held := time.monotonic() - since) >= LONG_HELD:
            self._on_released(held)


def _after_begin(session: _GuardedSession, _transaction: SessionTransaction, connection: Connection) -> None:
    if session.owner is not None:
        session.owner.began(connection)


event.listen(_GuardedSession, "after_begin", _after_begin)

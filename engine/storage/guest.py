"""The outbox as a guest in a transaction of the application's own, with whatever session that uses.

Rows go in with the session's own flush, and their events into the log, so they share the fate of what is
written beside them, savepoints included. They have no owner: any worker adopts them. Who listens hears
which rows a transaction took along when it has ended, and may look whether they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakSet

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from engine.errors import UsageError
from engine.model.outgoing import Outgoing
from engine.storage import delayed, event_log, outbox, streams
from engine.storage.event_log import Entry, Origin
from engine.storage.identity import Identity, identify, identify_address, identify_file
from engine.storage.tables import DelayedRow, OutboxRow
from engine.storage.urls import Address

#: What an application may write with.
GuestSession: TypeAlias = (
    "AsyncSession | Session | Connection | scoped_session[Any] | async_scoped_session[Any]"  # SQLModel's are among them
)

#: Seconds after a row was written on a plain connection at which it may have been committed.
CONNECTION_LOOKS = (0.05, 0.25)

#: The same for what runs its work on a connection itself.
AwaitedSession: TypeAlias = "GuestSession | AsyncConnection"


class Guest:
    """Puts rows into the outbox of the database at `address`, with sessions of the application.

    `ended` is called from any thread with the ids of rows and, in seconds, when to look for them:
    their transaction has ended, or will soon, in a commit or not.
    """

    def __init__(self, address: Address, ended: Callable[[Sequence[str], Sequence[float]], None]) -> None:
        self._address = address
        self._ended = ended
        self._own: Identity = None
        self._verified: WeakSet[Engine] = WeakSet()

    def put(self, session: GuestSession, row: Outgoing, *, cancellable: str | None = None) -> None:
        """Write a row with the session's transaction; `cancellable` is the id of an event that is delayed and can be.

        Raises `UsageError` when the session's database is not the one of this outbox; with an asynchronous
        session that may not be known before it flushes, and is raised there.
        """
        if isinstance(session, scoped_session | async_scoped_session):
            session = session()
        if isinstance(session, Connection):
            self._verify(session)
            if cancellable is not None and row.due is not None:
                delayed.add(session, {cancellable: row.due}, row.created)
            outbox.add(session, None, [row])
            event_log.append_as_guest(session, _entries([row]), now=row.created)
            self._ended([row.id], CONNECTION_LOOKS)
            return
        if isinstance(session, AsyncSession):
            session = session.sync_session
            self._suspect(session)
        elif isinstance(session, Session):
            if session.get_bind(OutboxRow).engine not in self._verified:
                self._verify(session.connection(bind_arguments={"mapper": OutboxRow}))
        else:
            raise _not_a_session(session)
        self._listen(session)[row.id] = row
        session.add(OutboxRow(**outbox.stored(row)))
        if cancellable is not None and row.due is not None:
            waiting = delayed.Fate.WAITING.value
            session.add(DelayedRow(event_id=cancellable, state=waiting, due=row.due, changed=row.created))

    def appended(self, session: Session | Connection, commit: streams.Commit) -> streams.Appended:
        """Append events to streams at once, within the session's transaction; what publishes them is written with them.

        Raises a `StreamError`, and `UsageError` as `put` does.
        """
        done = streams.one(self.connection(session), commit, guest=True)
        if isinstance(session, Connection):
            self._ended([row.id for row in done.rows], CONNECTION_LOOKS)
        elif done.rows:
            self._listen(session).update({row.id: row for row in done.rows})
        return done

    def connection(self, session: Session | Connection) -> Connection:
        """The connection of the session's transaction; raises `UsageError` as `put` does."""
        found = session
        if not isinstance(found, Connection):
            found = found.connection(bind_arguments={"mapper": OutboxRow})
        self._verify(found)
        return found

    def _listen(self, session: Session) -> dict[str, Outgoing]:
        """The rows that the session's present transaction has taken along, by id."""
        key = ("warren outbox", id(self))
        if key not in session.info:
            session.info[key] = {}
            event.listen(session, "before_flush", self._before_flush)
            event.listen(session, "after_transaction_end", self._after_end)
        rows: dict[str, Outgoing] = session.info[key]
        return rows

    def _before_flush(self, session: Session, _context: object, _instances: object) -> None:
        # Within a flush an asynchronous session may be asked, too.
        ours = [new for new in session.new if isinstance(new, OutboxRow)]
        if not ours:
            return
        taken = self._listen(session)
        rows = [taken[new.id] for new in ours if new.id in taken]
        connection = session.connection(bind_arguments={"mapper": OutboxRow})
        self._verify(connection)
        if entries := _entries(rows):
            # Not as objects of the session: an event that is logged already is no error.
            event_log.append_as_guest(connection, entries, now=rows[0].created)

    def _after_end(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None and (rows := self._listen(session)):
            taken = list(rows)
            rows.clear()
            self._ended(taken, (0.0,))

    def _suspect(self, session: Session) -> None:
        """Refuse what the URL alone gives away."""
        engine = session.get_bind(OutboxRow).engine
        if engine in self._verified:
            return
        name = engine.url.database or ""
        there: Identity = None
        if engine.dialect.name == "sqlite" and name and not name.startswith((":memory:", "file:")):
            there = identify_file(Path(name))
        if engine.dialect.name != self._address.dialect or (there is not None and not self._is_ours(there)):
            raise self._another(engine)

    def _verify(self, connection: Connection) -> None:
        if connection.engine in self._verified:
            return
        if not self._is_ours(identify(connection)):
            raise self._another(connection.engine)
        self._verified.add(connection.engine)

    def _is_ours(self, identity: Identity) -> bool:
        if identity is None:
            return False
        if identity != self._own:  # asked again each time, since a server may have been restarted
            self._own = identify_address(self._address)
        return identity == self._own

    def _another(self, engine: Engine) -> UsageError:
        shown = engine.url.render_as_string(hide_password=True)
        return UsageError(
            f"the session writes to {shown}, and the workers relay from {self._address.shown}",
            hint="An outbox lies in the database of the transaction: let WARREN_DATABASE name that one, or use `publish`.",
        )


def _entries(rows: Sequence[Outgoing]) -> list[Entry]:
    """What of these rows goes into the log of events, in the order in which it was added."""
    logged = [(row, row.event) for row in sorted(rows, key=lambda row: row.id) if row.event is not None]
    return [event_log.emitted(row, made, "", Origin.PUBLISHED) for row, made in logged]


def _not_a_session(session: object) -> UsageError:
    hint = "Give it a Session, an AsyncSession or a Connection of SQLAlchemy, or a session of SQLModel."
    if isinstance(session, AsyncConnection):
        hint = "Use `await connection.run_sync(lambda inner: engine.outbox(inner).add(event))`."
    return UsageError(f"{type(session).__name__} is no session that the outbox can write with", hint=hint)

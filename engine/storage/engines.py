"""SQLAlchemy engines for an address: one connection that writes, a few that read.

Nothing here depends on pysqlite's own transactions: it would begin them deferred, and a
deferred transaction that turns into a writer loses to the one that came between.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

from engine.storage.urls import Address

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.ext.asyncio import AsyncEngine

#: How long SQLite waits for a lock that a program other than Warren holds, in seconds.
BUSY_TIMEOUT = 5.0

#: Connections for reading at the same time.
READERS = 4

#: Connections for handler sessions that PostgreSQL keeps open; under load twice as many.
SESSIONS = 16

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA temp_store = MEMORY",
)

#: What libpq is told unless the URL says otherwise: seconds, and milliseconds for the last. A
#: server that falls silent is noticed within 15 seconds.
_LIBPQ: dict[str, Any] = {
    "application_name": "warren",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
}


def writing_engine(address: Address) -> Engine:
    """An engine for the one connection that writes; on SQLite its transactions begin as writers."""
    engine = _engine(address, pool_size=1, max_overflow=0, pool_timeout=5)
    if address.dialect == "sqlite":
        event.listen(engine, "connect", _for_writing)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def reading_engine(address: Address) -> Engine:
    """An engine for short reads; its connections cannot write."""
    engine = _engine(address, pool_size=READERS, max_overflow=0, pool_timeout=30, pool_pre_ping=True)
    if address.dialect == "sqlite":
        event.listen(engine, "connect", _for_reading)
        event.listen(engine, "begin", _begin_deferred)
    return engine


def postgresql_session_engine(address: Address) -> AsyncEngine:
    """An engine for the sessions of handlers on PostgreSQL."""
    from sqlalchemy.ext.asyncio import create_async_engine

    options = libpq_options(address)

    async def connect(*_arguments: object, **_options: object) -> psycopg.AsyncConnection[Any]:
        import psycopg

        connection = await psycopg.AsyncConnection.connect(address.target, **options)
        try:
            await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
        except BaseException:  # cancelled
            await connection.close()
            raise
        return connection

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        use_native_hstore=False,
        hide_parameters=True,  # errors are logged, and parameters hold what payloads say
        pool_size=SESSIONS,
        max_overflow=SESSIONS,
        pool_timeout=60,
        pool_pre_ping=True,
    )


def libpq_options(address: Address) -> dict[str, Any]:
    """Our defaults for connecting to PostgreSQL, less those that the URL sets itself."""
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(address.target)
    return {name: value for name, value in _LIBPQ.items() if name not in given}


def _engine(address: Address, **options: Any) -> Engine:
    options["hide_parameters"] = True  # errors are logged, and parameters hold the bodies of messages
    if address.dialect == "sqlite":
        return create_engine("sqlite://", creator=lambda: _connect_sqlite(address), poolclass=QueuePool, **options)
    return create_engine(
        "postgresql+psycopg://", creator=lambda: _connect_postgresql(address), use_native_hstore=False, **options
    )


def _connect_sqlite(address: Address) -> sqlite3.Connection:
    # Threads take turns on a connection, never at the same time.
    return sqlite3.connect(address.target, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def _connect_postgresql(address: Address) -> psycopg.Connection[Any]:
    import psycopg

    connection = psycopg.connect(address.target, **libpq_options(address))
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    return connection


def _for_writing(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages: one written often is copied back once
    connection.execute("PRAGMA cache_size = -8192")  # KiB: the index of some 100,000 records
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _for_reading(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in (*_PRAGMAS, "PRAGMA query_only = ON"):
        connection.execute(pragma)


def _begin_immediate(connection: Connection) -> None:
    raw: Any = connection.connection.driver_connection
    raw.execute("BEGIN IMMEDIATE")  # at every transaction; through SQLAlchemy it would cost three times as much


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")

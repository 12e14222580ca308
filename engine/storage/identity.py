"""Whether two connections are to one database, however their URLs are written.

A SQLite database is its file: device and inode, so that relative paths and links do not
matter. A PostgreSQL database is asked: when its server was started (to the microsecond) and
the database's own number. Host names, ports, sockets and poolers in between do not
matter, and a copy of a server is another server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection

from engine.storage.engines import reading_engine
from engine.storage.urls import Address

Identity: TypeAlias = tuple[str, int, int] | None

_POSTGRESQL = (
    "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, oid::bigint"
    " FROM pg_database WHERE datname = current_database()"
)


def identify(connection: Connection) -> Identity:
    """What the database of a connection is known by; None for one in memory, or of another kind."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        for _, name, file in connection.exec_driver_sql("PRAGMA database_list").all():
            if name == "main":
                return identify_file(Path(file)) if file else None
    if dialect == "postgresql":
        started, number = connection.exec_driver_sql(_POSTGRESQL).one()
        return ("postgresql", started, number)
    return None


def identify_file(path: Path) -> Identity:
    """What a SQLite file is known by; None when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return ("sqlite", found.st_dev, found.st_ino)


def identify_address(address: Address) -> Identity:
    """What the database at an address is known by. Blocks; on PostgreSQL it connects."""
    if address.dialect == "sqlite":
        return identify_file(address.path)
    engine = reading_engine(address)
    try:
        with engine.connect() as connection:
            return identify(connection)
    finally:
        engine.dispose()

"""How much there is: rows and bytes. Looking changes nothing."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from engine.storage import tables

_COUNTED = (
    tables.records,
    tables.outbox,
    tables.failures,
    tables.workers,
    tables.stats,
    tables.queues,
    tables.audit,
)


def rows(connection: Connection) -> dict[str, int]:
    """The number of rows in each table that grows, by its name."""
    return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in _COUNTED}


def size_bytes(connection: Connection) -> int:
    """The size of the whole database in bytes."""
    if connection.dialect.name == "sqlite":
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar() or 0)
    return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar() or 0)

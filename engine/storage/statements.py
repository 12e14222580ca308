"""Statements in the form that both dialects share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def run_many(connection: Connection, text: str, rows: list[tuple[Any, ...]]) -> int:
    """Run SQL with `?` for parameters once for each row, without Core's share of the time; how many rows it changed.

    The values reach the driver as they are: text, bytes, numbers and None.
    """
    return connection.exec_driver_sql(for_driver(connection, text), rows).rowcount if rows else 0


def for_driver(connection: Connection, text: str) -> str:
    """SQL with `?` for parameters as the driver of one of our own connections takes it."""
    return text if connection.dialect.name == "sqlite" else _for_psycopg(text)


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    change: Iterable[str],
) -> None:
    """Insert rows; where the key is there already, overwrite only the columns in `change`."""
    if not rows:
        return
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in key))
    statement = conflict_insert(connection, table)
    new = {name: statement.excluded[name] for name in change}
    if new:
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=new)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    connection.execute(statement, ordered)


def conflict_insert(connection: Connection, table: Table) -> Any:
    """An INSERT that can say ON CONFLICT; each dialect has a class of its own for it."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


@lru_cache(maxsize=64)
def _for_psycopg(text: str) -> str:
    return text.replace("?", "%s")

"""Large bodies on their way into SQLite, a piece at a time.

A value that is bound to a statement is there three times before it is written: with its owner, bound,
and within the row. So a large one is first a row of zeros, which SQLite does not make, and is then
written in its place. PostgreSQL's driver sends a value as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Bytes from which a body is large, and of a piece.
LARGE, PIECE = 1024 * 1024, 256 * 1024


def held_back(connection: Connection, body: bytes) -> bool:
    """Whether this body is better written with `write`, after a row that has `zeroblob(length)` in its place."""
    return len(body) >= LARGE and connection.dialect.name == "sqlite"


def write(connection: Connection, table: str, column: str, row: int, body: bytes) -> None:
    """In the transaction: put the body in the place of the zeros in this row."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    with driver.blobopen(table, column, row) as blob:
        for piece in _pieces(body):
            blob.write(piece)


def _pieces(body: bytes) -> Iterator[memoryview]:
    whole = memoryview(body)
    for start in range(0, len(body), PIECE):
        yield whole[start : start + PIECE]

from __future__ import annotations

import sqlite3

import psycopg
import psycopg.errors
import pytest
from sqlalchemy import exc

from engine.errors import DatabaseUnavailable
from engine.storage.faults import unavailable


def sqlite_error(code: int, message: str = "it says so") -> exc.DBAPIError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return exc.OperationalError("SELECT 1", None, error)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (sqlite3.SQLITE_BUSY, "locked by another process"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked by another process"),
        (sqlite3.SQLITE_FULL, "disk is full"),
        (sqlite3.SQLITE_IOERR_WRITE, "I/O error"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "read-only"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_NOTADB, "not a SQLite database"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
    ],
)
def test_trouble_with_the_environment_on_sqlite(code: int, said: str) -> None:
    trouble = unavailable(sqlite_error(code), "sqlite:///x.db")
    assert isinstance(trouble, DatabaseUnavailable)
    assert trouble.message.startswith("the database sqlite:///x.db ")
    assert said in trouble.message
    assert trouble.hint


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (psycopg.errors.AdminShutdown("x"), "shutting down"),
        (psycopg.errors.DiskFull("x"), "disk is full"),
        (psycopg.errors.TooManyConnections("x"), "no resources"),
        (psycopg.errors.DeadlockDetected("x"), "undo a transaction"),
        (psycopg.errors.SerializationFailure("x"), "undo a transaction"),
        (psycopg.errors.ReadOnlySqlTransaction("x"), "read-only"),
        (psycopg.errors.InvalidPassword("x"), "refused the user or password"),
        (psycopg.errors.InvalidCatalogName("x"), "does not exist"),
        (psycopg.errors.UndefinedTable('relation "warren_records" does not exist'), "lacks tables"),
        (psycopg.OperationalError("the connection is lost"), "not reached"),
        (psycopg.InterfaceError("the connection is closed"), "not reached"),
    ],
)
def test_trouble_with_the_environment_on_postgresql(error: psycopg.Error, said: str) -> None:
    trouble = unavailable(exc.OperationalError("SELECT 1", None, error), "postgresql://h/d")
    assert trouble is not None
    assert said in trouble.message


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        OSError("x"),
        sqlite_error(sqlite3.SQLITE_ERROR, "no such table: orders"),
        sqlite_error(sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY),
        sqlite_error(sqlite3.SQLITE_TOOBIG),
        exc.IntegrityError("INSERT", None, sqlite3.IntegrityError("x")),
        exc.DataError("INSERT", None, psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")),
        exc.IntegrityError("INSERT", None, psycopg.errors.UniqueViolation("x")),
        exc.ProgrammingError("SELECT", None, psycopg.errors.UndefinedTable('relation "orders" does not exist')),
    ],
)
def test_the_items_own_fault(error: Exception) -> None:
    assert unavailable(error, "x") is None


def test_no_connection_free() -> None:
    trouble = unavailable(exc.TimeoutError("QueuePool limit"), "x")
    assert trouble is not None
    assert "no connection free" in trouble.message


def test_trouble_that_was_told_before_stays_as_it_is() -> None:
    trouble = DatabaseUnavailable("gone")
    assert unavailable(trouble, "x") is trouble

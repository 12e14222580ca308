"""Whose fault a database error is: the environment's, which passes, or the item's, which does not."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from sqlalchemy import exc

from engine.errors import DatabaseError, DatabaseUnavailable

_PASSES = "Try again."
_REACH = "Check that the server runs and that the URL is right."

#: SQLite's primary result codes that speak of the environment: what happened, and what to do.
_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: ("is locked by another process", "Find who holds it with `fuser` or `lsof`."),
    sqlite3.SQLITE_LOCKED: ("is locked by another connection", _PASSES),
    sqlite3.SQLITE_NOMEM: ("ran out of memory", _PASSES),
    sqlite3.SQLITE_READONLY: ("is read-only", "Give this user the right to write the file and its folder."),
    sqlite3.SQLITE_IOERR: ("could not be read or written (I/O error)", "Check the disk."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore it from a copy, or try `sqlite3 FILE .recover`."),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "Free some space."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Check that its folder exists and can be written."),
    sqlite3.SQLITE_PROTOCOL: ("is locked by another process", _PASSES),
    sqlite3.SQLITE_NOTADB: ("is not a SQLite database", "Name another file, or move this one away."),
    sqlite3.SQLITE_PERM: ("may not be accessed", "Give this user the right to read and write the file."),
    sqlite3.SQLITE_INTERRUPT: ("was interrupted", _PASSES),
}

#: Classes and codes of SQLSTATE that speak of the environment.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_SQLSTATE: Final = {
    "08": ("lost the connection", _PASSES),
    "25006": ("is read-only", "Connect to the primary, for instance with target_session_attrs=read-write."),
    "28": ("refused the user or password", "Check the user and the password in the database URL."),
    "3D": ("does not exist", "Create it with `createdb`, or correct the database URL."),
    "40": ("had to undo a transaction", _PASSES),
    "53100": ("cannot grow: the disk is full", "Free some space."),
    "53": ("has no resources left", "Raise its limits, such as max_connections."),
    "55": ("is locked or not ready", _PASSES),
    "57": ("is shutting down, or cancelled the statement", _PASSES),
    "58": ("met a system error", "Look into the log of the server."),
    "XX": ("met an internal error", "Look into the log of the server."),
}

_MISSING = re.compile(r"no such (?:table|column): (?:\w+\.)?warren_")
_MIGRATE = "Bring it up to date with `warren db upgrade`."


def unavailable(error: BaseException, shown: str) -> DatabaseError | None:
    """The environment's trouble behind an error, told for people, or None when it is not the environment."""
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, exc.TimeoutError):
        return DatabaseUnavailable(f"the database {shown} has no connection free", hint=_PASSES)
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return _from_sqlite(original, shown)
    state = getattr(original, "sqlstate", None)
    if isinstance(state, str):
        return _from_sqlstate(state, original, shown)
    lost = isinstance(error, exc.DBAPIError) and (error.connection_invalidated or isinstance(original, OSError))
    if lost or _is_driver_failure(original):
        return _said(shown, "is not reached", original, _REACH)
    return None


def _from_sqlite(error: sqlite3.Error, shown: str) -> DatabaseError | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE:
        what, hint = _SQLITE[code & 0xFF]
        return DatabaseUnavailable(f"the database {shown} {what}", hint=hint)
    if _MISSING.search(str(error)):
        return DatabaseUnavailable(f"the database {shown} lacks tables of Warren: {error}", hint=_MIGRATE)
    return None


def _from_sqlstate(state: str, error: BaseException | None, shown: str) -> DatabaseError | None:
    if state in ("42P01", "42703") and "warren_" in str(error):
        return DatabaseUnavailable(f"the database {shown} lacks tables of Warren: {_line(error)}", hint=_MIGRATE)
    what, hint = _SQLSTATE.get(state) or _SQLSTATE.get(state[:2]) or ("", "")
    return _said(shown, what, error, hint) if what else None


def _is_driver_failure(error: BaseException | None) -> bool:
    """Psycopg's own errors without an SQLSTATE: the server was not reached or went away."""
    kind = type(error)
    return kind.__module__.startswith("psycopg") and any(
        base.__name__ in ("OperationalError", "InterfaceError") for base in kind.__mro__
    )


def _said(shown: str, what: str, error: BaseException | None, hint: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"the database {shown} {what}: {_line(error)}", hint=hint)


def _line(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:300]

"""The broker file: opening it, taking turns to write it, and saying what is wrong with it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from engine.brokers.embedded.schema import APPLICATION_ID, LATER, SCHEMA, SCHEMA_VERSION
from engine.errors import BrokerUnavailable

#: How long SQLite itself waits for a lock that a stranger to `turn` holds, in seconds.
BUSY_TIMEOUT: Final = 2.0

#: How long opening waits for its turn, in seconds.
OPEN_TIMEOUT: Final = 5.0

#: The result codes that speak of the surroundings, not of the statement.
#: https://www.sqlite.org/rescode.html
_ENVIRONMENT: Final = {
    sqlite3.SQLITE_PERM: "may not be opened",
    sqlite3.SQLITE_BUSY: "is locked by another program",
    sqlite3.SQLITE_LOCKED: "is locked by another program",
    sqlite3.SQLITE_NOMEM: "does not fit in memory",
    sqlite3.SQLITE_READONLY: "is read-only",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "is locked by another program",
    sqlite3.SQLITE_NOTADB: "is not a database",
}

_HINTS: Final = {
    sqlite3.SQLITE_BUSY: "Close the program that holds it open in a transaction (fuser shows which).",
    sqlite3.SQLITE_CORRUPT: "Move it away to start with an empty one, or restore a copy.",
    sqlite3.SQLITE_FULL: "Make room; Warren goes on by itself.",
    sqlite3.SQLITE_NOTADB: "Give another path: embedded:///absolute/path/broker.db",
}
_HINT: Final = "Check the path, its folder's permissions and the disk, or give another path."


def is_environment(error: sqlite3.Error) -> bool:
    """Whether to blame the disk, a lock or the file, and not what was asked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _ENVIRONMENT


def explain(error: Exception, path: Path) -> BrokerUnavailable:
    """The error as one that tells what to do next."""
    if isinstance(error, BrokerUnavailable):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    what = _ENVIRONMENT.get(code, "cannot be used")
    return BrokerUnavailable(f"The broker file {path} {what} ({error}).", hint=_HINTS.get(code, _HINT))


class BrokerFile:
    """One connection to a broker file. Used by one thread."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._lock = -1
        self._inode = 0
        self.is_open = False
        self._stirs = b""
        self.connection: sqlite3.Connection

    @property
    def folder(self) -> Path:
        """Where the lock files of the connections lie."""
        return self.path.with_name(self.path.name + ".connections")

    def open(self) -> None:
        """Open the file, making it where there is none; raises `BrokerUnavailable`."""
        try:
            if self.path.is_dir():
                raise BrokerUnavailable(f"The broker file {self.path} is a directory.", hint="Give the path of a file.")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
            self._await_turn()
            try:
                self._connect()
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
            self.is_open = True
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise explain(error, self.path) from error
        except BrokerUnavailable:
            self.close()
            raise

    def _await_turn(self) -> None:
        deadline = time.monotonic() + OPEN_TIMEOUT
        while True:
            try:
                return fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BrokerUnavailable(
                        f"The broker file {self.path} is held by another process for over {OPEN_TIMEOUT:.0f} s.",
                        hint="Look for a stopped process that uses it (fuser shows which).",
                    ) from None
                time.sleep(0.002)

    def _connect(self) -> None:
        self.connection = connection = sqlite3.connect(
            self.path, isolation_level=None, timeout=BUSY_TIMEOUT, cached_statements=256
        )
        version = _pragma(connection, "user_version")
        if version > SCHEMA_VERSION:
            raise BrokerUnavailable(
                f"The broker file {self.path} was made by a newer Warren (schema {version}, known is {SCHEMA_VERSION}).",
                hint="Upgrade warren, or give another path.",
            )
        if _pragma(connection, "application_id") != APPLICATION_ID and _pragma(connection, "schema_version"):
            raise BrokerUnavailable(
                f"{self.path} is a database of another program.",
                hint="Give another path: embedded:///absolute/path/broker.db",
            )
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise BrokerUnavailable(
                f"The broker file {self.path} lies on a file system without shared memory.",
                hint="Put it on a local disk, or use RabbitMQ.",
            )
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
        if not version:
            connection.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        else:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            for name, statement in LATER.items():
                if name not in there:
                    connection.execute(statement)
        self._inode = self.path.stat().st_ino

    def replaced(self) -> bool:
        """Whether the path now leads elsewhere: the file was deleted or moved under us."""
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the file among the processes that write it.

        SQLite's own lock is unfair under contention. Behind this one checkpoints never run
        beside a writer either, which keeps clear of the WAL-reset bug fixed in SQLite 3.51.3.
        """
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction: committed at the end, rolled back by whatever is raised."""
        connection = self.connection
        with self.turn():
            connection.execute("BEGIN IMMEDIATE")
            before = connection.total_changes
            try:
                yield connection
                connection.execute("COMMIT")
                if connection.total_changes != before:
                    self._stir()
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def stirred(self) -> bool:
        """Whether another process has written since this one did or last asked.

        A count in the lock file says so at the price of a `pread`; a writer that is killed after
        its commit leaves it as it was, so now and then one has to ask the database as well.
        """
        stirs = os.pread(self._lock, 8, 0)
        if stirs == self._stirs:
            return False
        self._stirs = stirs
        return True

    def _stir(self) -> None:
        stirs = int.from_bytes(os.pread(self._lock, 8, 0), "little") + 1
        self._stirs = (stirs & (2**64 - 1)).to_bytes(8, "little")
        with suppress(OSError):  # what was written is committed all the same
            os.pwrite(self._lock, self._stirs, 0)

    def close(self) -> None:
        """Close the connection and the lock; nothing is raised."""
        self.is_open = False
        if hasattr(self, "connection"):
            with suppress(sqlite3.Error):
                self.connection.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

"""Checks of the database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import DatabaseError
from engine.operations.doctor.filesystem import NETWORK, kind_of
from engine.operations.doctor.finding import Finding, fail, ok, warn
from engine.operations.durations import format_duration
from engine.operations.writing import write
from engine.storage import outbox
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Versions with a bug that can corrupt a WAL database used by several connections.
#: https://www.sqlite.org/wal.html#walresetbug
WAL_BUG_FIRST, WAL_BUG_LAST = (3, 7, 0), (3, 51, 2)

#: Clocks that differ by more seconds make delays and ages wrong.
MOST_SKEW = 2.0

#: Rows in the outbox that are no cause for worry, and the age of the oldest in seconds.
BACKLOG = 10_000
OLD = 60.0

#: Seconds that a write may wait for its turn, and that a transaction may be open and idle.
LONG_TURN = 1.0
LONG_HELD = 5.0


async def check_database(database: Database) -> list[Finding]:
    """What can be seen of an open database."""
    try:
        findings = [await _answers(database)]
        findings += await (_sqlite(database) if database.dialect == "sqlite" else _postgresql(database))
        findings += check_backlog(await database.read(outbox.pending), await database.read(outbox.oldest), time.time())
        findings += await _turn(database)
    except DatabaseError as error:
        return [fail("database", error.message, error.hint)]
    return findings


async def _answers(database: Database) -> Finding:
    begun = time.perf_counter()
    await database.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
    return ok(
        "database",
        f"{database.url} answers in {format_duration(time.perf_counter() - begun)}, its tables are up to date",
    )


async def _sqlite(database: Database) -> list[Finding]:
    findings = [check_sqlite_version(sqlite3.sqlite_version_info)]
    kind = kind_of(database.address.path.parent)
    if kind in NETWORK:
        hint = "SQLite's WAL needs a local disk. Move the file, or use PostgreSQL."
        findings.append(fail("database", f"the database lies on {kind}, a network file system", hint))
    return findings


def check_sqlite_version(version: tuple[int, ...]) -> Finding:
    """Whether this SQLite has the WAL-reset bug."""
    number = ".".join(map(str, version[:3]))
    if WAL_BUG_FIRST <= version[:3] <= WAL_BUG_LAST:
        hint = (
            "Up to 3.51.2 a rare race between two processes that write and checkpoint at the same moment can damage the file. "
            "Use a Python with SQLite 3.51.3 or later, keep copies, or use PostgreSQL."
        )
        return warn("sqlite", f"SQLite {number} has the WAL-reset bug", hint)
    return ok("sqlite", f"SQLite {number}")


async def _postgresql(database: Database) -> list[Finding]:
    before = time.time()
    version, there = await database.read(_version_and_time)
    here = (before + time.time()) / 2
    held = check_held(await database.read(_held))
    return [ok("postgresql", f"PostgreSQL {version}"), check_skew(there - here), *held]


def _held(connection: Connection) -> list[tuple[str, float]]:
    rows = connection.exec_driver_sql(
        "SELECT application_name, extract(epoch FROM clock_timestamp() - xact_start) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state IN ('idle in transaction', 'idle in transaction (aborted)')"
    )
    return [(str(name or ""), float(seconds)) for name, seconds in rows if float(seconds) > LONG_HELD]


def _version_and_time(connection: Connection) -> tuple[str, float]:
    version = connection.exec_driver_sql("SHOW server_version").scalar()
    there = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar()
    return str(version), float(str(there))


def check_skew(seconds: float) -> Finding:
    """By how much the database's clock is ahead of ours."""
    if abs(seconds) > MOST_SKEW:
        hint = "Delays and ages are reckoned by the hosts' clocks. Run NTP on both."
        return warn("clock", f"this host and the database differ by {format_duration(abs(seconds))}", hint)
    return ok("clock", "this host and the database agree on the time")


def check_backlog(pending: int, oldest: float | None, now: float) -> list[Finding]:
    """Whether promised messages wait for a relay: many of them, or one for long."""
    age = 0.0 if oldest is None else now - oldest
    if pending > BACKLOG or age > OLD:
        hint = "Is a worker running, and does the broker take its messages? See `warren workers` and `warren queues`."
        what = f"{pending:,} messages wait to be published, the oldest for {format_duration(age)}"
        return [warn("outbox", what, hint)]
    return []


async def _turn(database: Database) -> list[Finding]:
    """How long a write waits for its turn: a session that is held long makes everybody wait."""
    begun = time.perf_counter()
    await write(database, lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
    return check_turn(time.perf_counter() - begun)


def check_turn(seconds: float) -> list[Finding]:
    """Whether a write came soon to its turn."""
    if seconds <= LONG_TURN:
        return []
    hint = (
        "Somebody holds the database: a handler's session that waits for the network, or another program. The workers' logs "
        "name handlers that hold theirs for over a second."
    )
    return [warn("sessions", f"a write waited {format_duration(seconds)} for its turn", hint)]


def check_held(held: Sequence[tuple[str, float]]) -> list[Finding]:
    """Transactions on PostgreSQL that are open and idle: by whom, and for how many seconds."""
    if not held:
        return []
    hint = (
        "They keep rows locked and old versions alive: a handler's session that waits for the network, or another program. "
        "The workers' logs name handlers that hold theirs for over a second."
    )
    longest = max(seconds for _, seconds in held)
    names = ", ".join(sorted({name or "unnamed" for name, _ in held}))
    what = f"{len(held)} transactions are open and idle, the longest for {format_duration(longest)} ({names})"
    return [warn("sessions", what, hint)]

"""Reading the log by position without ever skipping a row.

Positions come from a sequence, so on PostgreSQL they are not in the order of the commits: a reader
may see 8 while the transaction that has drawn 7 is still open, and would pass it by. So every
transaction that appends announces itself first, by an advisory lock whose key is the position
drawn last by anybody. What it draws itself lies above that. A reader asks how far the sequence is,
then looks at the announcements of those who have not ended, and reads no further than the lowest.
These locks are shared and of different keys: nobody ever waits for one.

SQLite has one writer, so positions are in the order of the commits there.
"""

# ruff: noqa: S608  # what is put together here are constants of this file

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

#: The first key of our advisory locks ("WRLG"); the second is the position.
_LOCK = 0x57524C47

#: A lock's key has 31 bits of the position; what is missing is told from the sequence.
_SPAN = 1 << 31

_DRAWN = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM warren_events_position_seq"

# Once a transaction, however often it appends: the note goes with the transaction, or with the savepoint, as the lock does.
_ANNOUNCE = (
    f"SELECT pg_advisory_xact_lock_shared({_LOCK},"
    " ((CASE WHEN is_called THEN last_value ELSE 0 END) & 2147483647)::int),"
    " set_config('warren.appends', '1', true)"
    " FROM warren_events_position_seq WHERE coalesce(current_setting('warren.appends', true), '') = ''"
)
_ANNOUNCED = (
    f"SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = {_LOCK} AND objsubid = 2"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def announce(connection: Connection) -> None:
    """Say that this transaction appends; before it draws a position."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_ANNOUNCE)


def complete_up_to(connection: Connection) -> int | None:
    """The position up to which a statement that begins after this sees all that will ever be there; None: all.

    The transaction must be READ COMMITTED, so that each statement sees what was committed before it.
    """
    if connection.dialect.name != "postgresql":
        return None
    drawn: int = connection.exec_driver_sql(_DRAWN).scalar_one()
    return lowest(drawn, connection.exec_driver_sql(_ANNOUNCED).scalars())


def lowest(drawn: int, announced: Iterable[int]) -> int:
    """The lowest position that all of these have behind them: what was drawn, and keys of announcements."""
    return min([drawn, *(_whole(key, drawn) for key in announced)])


def _whole(key: int, drawn: int) -> int:
    """The position of which a key is the low bits: the one nearest to what was drawn."""
    ahead = (key - drawn) % _SPAN
    return drawn + ahead if ahead < _SPAN // 2 else drawn + ahead - _SPAN

"""Claims and outcomes, written in groups: the transitions of engine/model/record.py, made durable.

On SQLite the transaction is the only writer. On PostgreSQL a claim never waits for a
locked record: whoever holds the lock has the message in hand this very moment, so the
copy is parked as it is with a living worker.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from enum import StrEnum

from sqlalchemy import Connection, delete

from engine.model.record import Bury, Claim, Decision, Hold, Holder, Park, Record, Run, State, decide, hold
from engine.storage import record_statements, tables
from engine.storage.record_statements import Key


class Fate(StrEnum):
    """What became of an outcome."""

    APPLIED = "applied"
    #: It was written before, by a try whose COMMIT was of unknown fate. What went with it, too.
    REPEATED = "repeated"
    #: The record has another token, or is gone: another worker took the message over.
    LOST = "lost"


def claim(
    connection: Connection,
    claims: Sequence[Claim],
    *,
    worker: str,
    holder: Callable[[Record], Holder],
    now: float,
    held: Container[Key] = frozenset(),
    unsure: Container[Key] = frozenset(),
) -> list[Decision]:
    """Decide a group of deliveries, in order, and write the records that change.

    Of those that would be run, `held` ones are to wait in a strict order, and `unsure` ones are to be looked at again.

    `holder` says what is known of the worker that a running record names. It is called in
    the writer's thread, so it must be quick and safe to call there.
    """
    keys = dict.fromkeys((claim.queue, claim.event_id) for claim in claims)
    stored = record_statements.read(connection, keys, "skip")
    current: dict[Key, Record] = {}
    decisions: list[Decision] = []
    for wanted in claims:
        key = (wanted.queue, wanted.event_id)
        record = current.get(key)
        if record is not None:
            known = Holder.SELF  # claimed a moment ago, in this group
        else:
            record = stored.get(key)
            known = holder(record) if record is not None and record.state is State.RUNNING else Holder.SELF
        decision = decide(record, wanted, worker, known, now)
        if isinstance(decision, Run):
            if key in held:
                decision = Hold(hold(decision.record, now))
            elif key in unsure:
                decision = Park()
        if isinstance(decision, Run | Bury | Hold):
            current[key] = decision.record
        decisions.append(decision)
    lost = _write(connection, stored, current)
    if lost:
        return [
            Park() if (wanted.queue, wanted.event_id) in lost else decision
            for wanted, decision in zip(claims, decisions, strict=True)
        ]
    return decisions


def settle(connection: Connection, records: Sequence[Record]) -> list[Fate]:
    """Write outcomes, each only while its record is running under the token it carries."""
    if len(records) < 2:
        return [_settle_one(connection, record) for record in records]
    ordered = sorted(records, key=_key)
    connection.exec_driver_sql("SAVEPOINT warren_settle")
    if record_statements.settle(connection, ordered):
        connection.exec_driver_sql("RELEASE SAVEPOINT warren_settle")
        return [Fate.APPLIED] * len(records)
    # Rare: undo it, and write one by one to know which.
    connection.exec_driver_sql("ROLLBACK TO SAVEPOINT warren_settle")
    connection.exec_driver_sql("RELEASE SAVEPOINT warren_settle")
    fates: dict[tuple[Key, int, State, int], Fate] = {}
    for record in ordered:
        fates.setdefault(_outcome(record), _settle_one(connection, record))
    return [fates[_outcome(record)] for record in records]


def _settle_one(connection: Connection, record: Record) -> Fate:
    return Fate.APPLIED if record_statements.settle(connection, [record]) else _why_not(connection, record)


def fetch(connection: Connection, keys: Iterable[Key], *, lock: bool = False) -> dict[Key, Record]:
    """The records under these keys, as far as there are any. With `lock` nobody changes them meanwhile."""
    return record_statements.read(connection, dict.fromkeys(keys), "wait" if lock else "none")


def put(connection: Connection, records: Sequence[Record]) -> None:
    """Write records whatever is there, for a redrive; read them first in the same transaction."""
    if records:
        record_statements.put(connection, sorted(records, key=_key))


def add(connection: Connection, records: Sequence[Record]) -> set[Key]:
    """Write records that are not there; the keys of those that nobody wrote meanwhile. Read them first."""
    if not records:
        return set()
    return record_statements.insert(connection, sorted(records, key=_key))


def forget(connection: Connection, records: Sequence[Record]) -> None:
    """Delete records, each only while it is as it was read: under the same token and run."""
    table = tables.records
    for record in sorted(records, key=_key):
        same = (table.c.token == record.token) & (table.c.run == record.run)
        connection.execute(
            delete(table).where(table.c.queue == record.queue, table.c.event_id == record.event_id, same)
        )


def _write(connection: Connection, stored: dict[Key, Record], current: dict[Key, Record]) -> set[Key]:
    """Write the changed records in key order; the keys that another transaction inserted first."""
    if not current:
        return set()
    changed = sorted(current.values(), key=_key)
    new = [record for record in changed if record[:2] not in stored] if stored else changed
    lost: set[Key] = set()
    if new:
        inserted = record_statements.insert(connection, new)
        if len(inserted) < len(new):
            lost = {record[:2] for record in new} - inserted
    if len(new) < len(changed):
        record_statements.put(connection, [record for record in changed if record[:2] in stored])
    return lost


def _why_not(connection: Connection, record: Record) -> Fate:
    stored = fetch(connection, [record[:2]]).get(record[:2])
    return Fate.REPEATED if stored is not None and _outcome(stored) == _outcome(record) else Fate.LOST


def _key(record: Record) -> Key:
    return record[:2]


def _outcome(record: Record) -> tuple[Key, int, State, int]:
    return record[:2], record.token, record.state, record.run

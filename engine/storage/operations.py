"""Recorded operations and their items: what engine/model/operation.py decides, made durable.

Only who has the operation's lease changes its items; its row is locked before its items are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, or_, select, tuple_, update

from engine.model.operation import Cursor, Item, ItemState, Operation, Options, Stage, State
from engine.storage import audit, tables
from engine.storage.listed import within
from engine.storage.statements import conflict_insert, run_many
from engine.storage.stored import plain

_operations = tables.operations
_items = tables.operation_items

_INSERT_ITEM = (
    "INSERT INTO warren_operation_items (operation, position, subject, state, verdict, changed)"
    " VALUES (?, ?, ?, 'waiting', '', ?) ON CONFLICT DO NOTHING"
)
_INSERT_SENT = (
    "INSERT INTO warren_operation_items (operation, position, subject, state, verdict, run, changed, event_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
#: What never changes once the operation is there.
_FIXED = frozenset({"id", "app", "kind", "who", "why", "asked", "options", "target", "created"})


def add(connection: Connection, operation: Operation) -> bool:
    """Write a new operation; False when there is one of this id."""
    statement = conflict_insert(connection, _operations).values(_stored(operation)).on_conflict_do_nothing()
    return bool(connection.execute(statement).rowcount)


def add_items(connection: Connection, operation: str, first: int, subjects: Sequence[int], now: float) -> None:
    """Write items that wait, at the positions from `first` on."""
    if subjects:
        rows = [(operation, position, subject, now) for position, subject in enumerate(subjects, first)]
        run_many(connection, _INSERT_ITEM, rows)


def get(connection: Connection, operation: str, *, lock: bool = False) -> Operation | None:
    """One operation; with `lock` nobody else changes it before the transaction ends."""
    statement = select(_operations).where(_operations.c.id == operation)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _operation(row)


def put(connection: Connection, operation: Operation) -> None:
    """Write all that may change of an operation; read it first in the same transaction, locked."""
    values = {name: value for name, value in _stored(operation).items() if name not in _FIXED}
    connection.execute(update(_operations).where(_operations.c.id == operation.id).values(values))


def starting_with(connection: Connection, beginning: str, limit: int = 2) -> list[Operation]:
    """Operations whose id begins so."""
    statement = select(_operations).where(_operations.c.id.startswith(beginning, autoescape=True)).limit(limit)
    return [_operation(row) for row in connection.execute(statement)]


def active(connection: Connection, app: str, since: float) -> list[Operation]:
    """The operations of an application that run, and those with outcomes to come that had news since then."""
    column = _operations.c
    pending = column.sent > column.succeeded + column.failed_again + column.failed_otherwise
    statement = (
        select(_operations)
        .where(column.app == app, or_(column.state == str(State.RUNNING), pending & (column.changed > since)))
        .order_by(column.created, column.id)
    )
    return [_operation(row) for row in connection.execute(statement)]


def abandon(connection: Connection, before: float, now: float) -> int:
    """Cancel the operations whose items were not wholly written by then: whoever wrote them is gone. How many."""
    unfinished = (_operations.c.state == str(State.PREPARING)) & (_operations.c.changed < before)
    rows = connection.execute(select(_operations).where(unfinished).with_for_update(skip_locked=True)).all()
    for row in rows:
        note_of = "whoever ordered it was gone before all of its messages were written down"
        operation = _operation(row)._replace(state=State.CANCELLED, note=note_of, ended=now, changed=now)
        put(connection, operation)
        note(connection, operation, f"{operation.kind} cancel", who=operation.who, why=operation.why, now=now)
    return len(rows)


def page(
    connection: Connection,
    app: str | None,
    *,
    kind: str | None = None,
    state: State | None = None,
    limit: int,
    after: Operation | None = None,
) -> list[Operation]:
    """The newest operations; `after` continues below the last one of the page before."""
    column = _operations.c
    statement = select(_operations)
    if app is not None:
        statement = statement.where(column.app == app)
    if kind is not None:
        statement = statement.where(column.kind == kind)
    if state is not None:
        statement = statement.where(column.state == str(state))
    if after is not None:
        statement = statement.where(tuple_(column.created, column.id) < tuple_(after.created, after.id))
    statement = statement.order_by(column.created.desc(), column.id.desc()).limit(limit)
    return [_operation(row) for row in connection.execute(statement)]


def items(
    connection: Connection, operation: str, *, state: ItemState | None = None, limit: int, after: int = 0
) -> list[Item]:
    """Items by position, those in one state or all; `after` continues above the last position seen."""
    column = _items.c
    statement = select(*(column[name] for name in Item._fields)).where(
        column.operation == operation, column.position > after
    )
    if state is not None:
        statement = statement.where(column.state == str(state))
    return [_item(row) for row in connection.execute(statement.order_by(column.position).limit(limit))]


def counts(connection: Connection, operation: str) -> dict[tuple[ItemState, str], int]:
    """How many items there are of each state and verdict."""
    columns = (_items.c.state, _items.c.verdict)
    rows = connection.execute(select(*columns, func.count()).where(_items.c.operation == operation).group_by(*columns))
    return {(ItemState(state), verdict): count for state, verdict, count in rows}


def touching(connection: Connection, kind: str, subject: int) -> list[tuple[Operation, Item]]:
    """The operations of a kind that had this subject, the newest first, each with its item."""
    statement = (
        select(_operations, *(_items.c[name].label(f"item_{name}") for name in Item._fields))
        .join_from(_items, _operations, _operations.c.id == _items.c.operation)
        .where(_items.c.subject == subject, _operations.c.kind == kind)
        .order_by(_operations.c.created.desc(), _operations.c.id.desc())
    )
    return [(_operation(row), _item(row[-len(Item._fields) :])) for row in connection.execute(statement)]


def mark(connection: Connection, operation: str, changed: Iterable[Item], *, was: ItemState) -> set[int]:
    """Write what became of items that are still as they were; the positions of those."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for item in changed:
        groups.setdefault(item[2:], []).append(item.position)
    found: set[int] = set()
    for (state, verdict, run, moment), positions in sorted(groups.items(), key=lambda group: min(group[1])):
        values = {"state": str(state), "verdict": plain(verdict), "run": run, "changed": moment}
        statement = update(_items).where(
            _items.c.operation == operation, within(_items.c.position, positions), _items.c.state == str(was)
        )
        found.update(connection.scalars(statement.values(values).returning(_items.c.position)))
    return found


def add_sent(connection: Connection, operation: str, items: Sequence[Item], event_ids: Mapping[int, str]) -> None:
    """Write items of a stream that were sent just now; the ids of their events by subject."""
    rows = [(operation, *item[:2], str(item.state), *item[3:], event_ids[item.subject]) for item in items]
    if rows:
        run_many(connection, _INSERT_SENT, rows)


def drop_succeeded(connection: Connection, operation: str) -> None:
    """Forget the items of an operation that succeeded; how many those are its row tells."""
    succeeded = (_items.c.operation == operation) & (_items.c.state == str(ItemState.SUCCEEDED))
    connection.execute(delete(_items).where(succeeded))


def note(connection: Connection, operation: Operation, act: str, *, who: str, why: str, now: float) -> None:
    """Write into the audit what was done with an operation, or what it did by itself, and how it stands."""
    entry = audit.Entry(
        at=now,
        who=who,
        action=act,
        why=why,
        what={"operation": operation.id, "kind": operation.kind, "asked": operation.asked, "total": operation.total},
        outcome={
            "state": operation.state,
            **{name: getattr(operation, name) for name in ("sent", "succeeded", "failed", "pending", "skipped")},
            **({"note": operation.note} if operation.note else {}),
        },
    )
    audit.append(connection, entry)


def _stored(operation: Operation) -> dict[str, Any]:
    values: dict[str, Any] = operation._asdict()
    values |= {
        "state": str(operation.state),
        "stage": str(operation.stage),
        "who": plain(operation.who),
        "why": plain(operation.why),
        "note": plain(operation.note),
        "asked": json.dumps(operation.asked),
        "options": json.dumps(operation.options._asdict()),
        "cursor": None if operation.cursor is None else json.dumps(operation.cursor._asdict()),
    }
    return values


def _operation(row: Row[Any]) -> Operation:
    values: dict[str, Any] = {name: getattr(row, name) for name in Operation._fields}
    asked: Mapping[str, Any] = json.loads(values["asked"])
    options = Options(**json.loads(values["options"]))
    cursor = None if values["cursor"] is None else Cursor(**json.loads(values["cursor"]))
    values |= {"state": State(values["state"]), "stage": Stage(values["stage"]), "asked": asked, "options": options}
    values["cursor"] = cursor
    return Operation(**values)


def _item(row: Sequence[Any]) -> Item:
    position, subject, state, verdict, run, changed = row
    return Item(position, subject, ItemState(state), verdict, run, changed)

"""Finding failures: filters, pages by key instead of by offset, and groups with one cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, and_, func, or_, select, tuple_
from sqlalchemy.sql import ColumnElement, Select

from engine.storage import tables
from engine.storage.failures import FailureRow, Status, listing, to_row

_failures = tables.failures

#: Where a page ended: arrival and id of its last failure.
Cursor: TypeAlias = tuple[float, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which failures are meant; what is None does not matter. Times in seconds since the epoch.

    `exception` is a whole name, or a beginning when it ends with `*`. `text` is looked for
    in message, exception, reason and event id, case aside, as it stands.
    """

    ids: Sequence[int] | None = None
    queue: str | None = None
    handler: str | None = None
    exception: str | None = None
    reason: str | None = None
    text: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    correlation_id: str | None = None
    fingerprint: str | None = None
    arrived_before: float | None = None
    arrived_after: float | None = None
    status: Status | None = None


class Group(NamedTuple):
    """Failures with one fingerprint; `latest` is the newest of them, `statuses` counts by status."""

    fingerprint: str
    total: int
    first_seen: float
    last_seen: float
    statuses: dict[Status, int]
    latest: FailureRow


def search(
    connection: Connection, wanted: Filter, *, limit: int = 100, after: Cursor | None = None
) -> list[FailureRow]:
    """The newest matching failures; `after` continues below the last row of the page before."""
    return [to_row(row) for row in connection.execute(page(wanted, limit=limit, after=after))]


def page(wanted: Filter, *, limit: int, after: Cursor | None = None) -> Select[Any]:
    """The statement behind `search`."""
    statement = listing().where(*conditions(wanted))
    if after is not None:
        statement = statement.where(tuple_(_failures.c.arrived, _failures.c.id) < tuple_(*after))
    return statement.order_by(_failures.c.arrived.desc(), _failures.c.id.desc()).limit(limit)


def cursor(row: FailureRow) -> Cursor:
    """What to hand to `search` for the page after this row."""
    return row.arrived, row.id


def count(connection: Connection, wanted: Filter) -> int:
    """How many failures match."""
    return connection.scalar(select(func.count()).select_from(_failures).where(*conditions(wanted))) or 0


def select_ids(connection: Connection, wanted: Filter, *, limit: int | None = None) -> list[int]:
    """The ids of all matching failures, oldest first."""
    statement = select(_failures.c.id).where(*conditions(wanted)).order_by(_failures.c.arrived, _failures.c.id)
    return list(connection.scalars(statement.limit(limit)))


def groups(connection: Connection, wanted: Filter, *, limit: int = 100) -> list[Group]:
    """Matching failures by fingerprint, the largest group first."""
    columns = (_failures.c.fingerprint, _failures.c.status)
    counted = connection.execute(
        select(*columns, func.count(), func.min(_failures.c.arrived), func.max(_failures.c.arrived))
        .where(*conditions(wanted))
        .group_by(*columns)
    ).all()
    found: dict[str, _Sum] = {}
    for fingerprint, status, number, first, last in counted:
        so_far = found.get(fingerprint, _Sum(0, first, last, {}))
        found[fingerprint] = _Sum(
            so_far.total + number,
            min(so_far.first, first),
            max(so_far.last, last),
            {**so_far.statuses, Status(status): number},
        )
    largest = sorted(found, key=lambda fingerprint: (-found[fingerprint].total, fingerprint))[:limit]
    return [_group(connection, wanted, fingerprint, found[fingerprint]) for fingerprint in largest]


def conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    """A filter as conditions on the table."""
    column = _failures.c
    equal: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("queue", "handler", "reason", "event_id", "event_type", "correlation_id", "fingerprint", "status")
    }
    found: list[ColumnElement[bool]] = [
        column[name] == str(value) for name, value in equal.items() if value is not None
    ]
    if wanted.ids is not None:
        found.append(column.id.in_(list(wanted.ids)))
    if wanted.arrived_before is not None:
        found.append(column.arrived < wanted.arrived_before)
    if wanted.arrived_after is not None:
        found.append(column.arrived > wanted.arrived_after)
    if wanted.exception is not None:
        found.append(_named(column.exception, wanted.exception))
    if wanted.text:
        places = (column.message, column.exception, column.reason, column.event_id)
        found.append(or_(*(place.icontains(wanted.text, autoescape=True) for place in places)))
    return found


class _Sum(NamedTuple):
    total: int
    first: float
    last: float
    statuses: dict[Status, int]


def _group(connection: Connection, wanted: Filter, fingerprint: str, counted: _Sum) -> Group:
    statement = (
        listing()
        .where(_failures.c.fingerprint == fingerprint, *conditions(wanted))
        .order_by(_failures.c.arrived.desc(), _failures.c.id.desc())
        .limit(1)
    )
    latest = to_row(connection.execute(statement).one())
    return Group(fingerprint, counted.total, counted.first, counted.last, counted.statuses, latest)


def _named(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    if not name.endswith("*"):
        return column == name
    start = name[:-1]
    # A range, since an index serves it whatever the collation of LIKE.
    return and_(column >= start, column.startswith(start, autoescape=True)) if start else column >= ""

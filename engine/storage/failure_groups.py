"""Failures by cause: how many, since when, with what message, and when they came.

Where the kept counts answer (on SQLite, for most filters) the numbers come from them, and the first, the
newest and the number in each part of the last while from the index by fingerprint. Otherwise
one pass over what matches tells it all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    TableValuedAlias,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.sql import ColumnElement

from engine.model.failure import Status
from engine.model.filter import Filter
from engine.storage import failure_counts, tables
from engine.storage.failure_search import rows_of
from engine.storage.failure_terms import conditions, narrow, pinned
from engine.storage.failures import FailureRow

_failures = tables.failures


class Group(NamedTuple):
    """Failures with one fingerprint; `latest` is the newest of them, `statuses` counts by status.

    `buckets` counts those that came in equal parts of the time asked for, the oldest first.
    """

    fingerprint: str
    total: int
    first_seen: float
    last_seen: float
    statuses: dict[Status, int]
    latest: FailureRow
    buckets: tuple[int, ...] = ()


class Window(NamedTuple):
    """A time in seconds since the epoch, cut into equal parts."""

    since: float
    until: float
    parts: int

    @property
    def width(self) -> float:
        """Seconds in a part."""
        return (self.until - self.since) / self.parts


#: No parts at all.
NO_WINDOW = Window(0.0, 0.0, 0)


def groups(connection: Connection, wanted: Filter, *, limit: int = 100, window: Window = NO_WINDOW) -> list[Group]:
    """Matching failures by fingerprint, the largest group first."""
    if failure_counts.serves(connection, wanted):
        return _kept(connection, wanted, limit, window)
    sums: dict[str, _Sum] = {}
    for row in _pass(connection, wanted, window):
        sums.setdefault(row[0], _Sum(window.parts)).take(*row[1:])
    largest = sorted(sums, key=lambda each: (-sums[each].total, each))[:limit]
    latest = {row.fingerprint: row for row in rows_of(connection, [sums[each].newest for each in largest])}
    return [sums[each].group(latest[each]) for each in largest if each in latest]


class _Sum:
    """What is known of a group so far."""

    def __init__(self, parts: int) -> None:
        self.statuses: dict[Status, int] = {}
        self.parts = [0] * parts
        self.first, self.last, self.newest, self.total = math.inf, 0.0, 0, 0

    def take(self, status: str, part: int, number: int, first: float, last: float, newest: int) -> None:
        self.statuses[Status(status)] = self.statuses.get(Status(status), 0) + number
        if part >= 0:
            self.parts[min(part, len(self.parts) - 1)] += number
        self.total += number
        self.first, self.last = min(self.first, first), max(self.last, last)
        self.newest = max(self.newest, newest)

    def group(self, latest: FailureRow) -> Group:
        return Group(
            latest.fingerprint, self.total, self.first, self.last, self.statuses, latest, tuple(self.parts)
        )  # fmt: skip


def _pass(connection: Connection, wanted: Filter, window: Window) -> Iterable[Sequence[Any]]:
    """Fingerprint, status, part of the window (-1: none), number, first and last arrival, newest id."""
    arrived, number = _failures.c.arrived, func.count()
    found = narrow(connection, wanted)
    part: ColumnElement[int] = literal(-1)
    if window.parts:
        exact = (arrived - window.since) / window.width
        whole = cast(exact if connection.dialect.name == "sqlite" else func.floor(exact), Integer)
        part = case((and_(arrived >= window.since, arrived < window.until), whole), else_=-1)
    columns = (_failures.c.fingerprint, _failures.c.status, part.label("part"))
    ends = (func.min(arrived), func.max(arrived), func.max(_failures.c.id))
    return connection.execute(
        select(*columns, number, *ends)
        .where(*found.conditions)
        .group_by(_failures.c.fingerprint, _failures.c.status, "part")
    ).all()


def _kept(connection: Connection, wanted: Filter, limit: int, window: Window) -> list[Group]:
    statuses = _by_status(failure_counts.by_group(connection, wanted))
    largest = sorted(statuses, key=lambda each: (-sum(statuses[each].values()), each))[:limit]
    wanted = _simplified(connection, wanted, {each: statuses[each] for each in largest})
    inside = list(conditions(replace(wanted, fingerprint=None), columns=pinned))
    ends = _ends(connection, largest, inside)
    parts = _parts(connection, largest, inside, window)
    latest = {row.fingerprint: row for row in rows_of(connection, [newest for _, newest in ends.values()])}
    return [
        Group(
            each,
            sum(statuses[each].values()),
            ends[each][0],
            latest[each].arrived,
            statuses[each],
            latest[each],
            tuple(parts.get((each, at), 0) for at in range(window.parts)),
        )
        for each in largest
        if each in latest
    ]


def _by_status(numbers: Sequence[tuple[str, str, int]]) -> dict[str, dict[Status, int]]:
    found: dict[str, dict[Status, int]] = {}
    for fingerprint, status, number in numbers:
        found.setdefault(fingerprint, {})[Status(status)] = number
    return found


def _simplified(connection: Connection, wanted: Filter, found: dict[str, dict[Status, int]]) -> Filter:
    """The filter without what all of these groups have anyway: the index by fingerprint alone then answers."""
    plain = Filter(status=wanted.status)
    whole = _by_status(failure_counts.by_group(connection, plain))
    return plain if all(whole.get(each) == numbers for each, numbers in found.items()) else wanted


def _ends(
    connection: Connection, fingerprints: Sequence[str], inside: Sequence[ColumnElement[bool]]
) -> dict[str, tuple[float, int]]:
    """When the first failure of each group came, and the id of its newest."""
    groups = _listed(fingerprints)
    mine = (_failures.c.fingerprint == groups.c.value, *inside)
    first = select(_failures.c.arrived).where(*mine).order_by(_failures.c.arrived, _failures.c.id).limit(1)
    newest = select(_failures.c.id).where(*mine).order_by(_failures.c.arrived.desc(), _failures.c.id.desc()).limit(1)
    columns = (groups.c.value, *(each.correlate(groups).scalar_subquery() for each in (first, newest)))
    return {row[0]: (row[1], row[2]) for row in connection.execute(select(*columns)) if row[2] is not None}


def _parts(
    connection: Connection, fingerprints: Sequence[str], inside: Sequence[ColumnElement[bool]], window: Window
) -> dict[tuple[str, int], int]:
    """How many failures of each group came in each part of the window."""
    if not window.parts:
        return {}
    groups = _listed(fingerprints)
    parts = _listed(range(window.parts))
    part, width = parts.c.value, window.width
    number = (
        select(func.count())
        .select_from(_failures)
        .where(
            _failures.c.fingerprint == groups.c.value,
            _failures.c.arrived >= window.since + part * width,
            _failures.c.arrived < window.since + (part + 1) * width,
            *inside,
        )
        .correlate(groups, parts)
        .scalar_subquery()
    )
    rows = connection.execute(select(groups.c.value, part, number).select_from(groups.join(parts, true())))
    return {(row[0], row[1]): row[2] for row in rows if row[2]}


def _listed(values: Iterable[str | int]) -> TableValuedAlias:
    """The values as rows, in the column `value`."""
    given = bindparam(None, json.dumps(list(values)), type_=Text, unique=True)
    return func.json_each(given).table_valued("value")

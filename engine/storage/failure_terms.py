"""A filter as conditions on the table, and which of its terms finds the fewest failures.

A page is served by walking an index in the order of arrival until it is full. That is fast for what
is common. What is rare would make it walk to the end, so on SQLite each term is asked first, through
its own index, whether it holds for at most `RARE` failures; if one does, only those are looked at.
PostgreSQL has statistics of its own and decides for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    Connection,
    Integer,
    Text,
    column,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
    union_all,
)
from sqlalchemy.sql import ColumnElement, Select
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from engine.model.filter import IDS, NAMES, Filter
from engine.model.leaves import keys_of
from engine.storage import tables
from engine.storage.listed import within
from engine.storage.stored import plain

_failures = tables.failures
_fields = tables.failure_fields
_edits = tables.edits

#: A term that holds for at most so many failures decides which are looked at.
RARE = 2000

#: The column behind each term that is compared as a whole.
COLUMNS = {
    **{name: name for name in (*NAMES, "event_id", "correlation_id", "fingerprint")},
    "act": "archived_by",
    "status": "status",
}

#: Where a text is looked for: in texts, which have an index by trigrams, and in names, of which there are few.
TEXTS, NAMED = ("message", "exception", "reason", "event_id"), ("handler", "event_type")

#: Gives a column of failures by its name.
Columns: TypeAlias = Callable[[str], ColumnElement[Any]]

#: As it stands in the condition of an index, not as a parameter.
PENDING: ColumnElement[str] = literal_column("'pending'")

_TEXT_INDEX = "warren_failure_text"
_text = table(_TEXT_INDEX, column("rowid", Integer), column(_TEXT_INDEX, Text))
_LAST = "\U0010ffff"


class Narrowed(NamedTuple):
    """The conditions of a filter. `rare`: one of its terms holds for few failures, and those are looked at."""

    conditions: list[ColumnElement[bool]]
    rare: bool


def narrow(connection: Connection, wanted: Filter) -> Narrowed:
    """The conditions by which to search."""
    if connection.dialect.name != "sqlite":
        return Narrowed(list(conditions(wanted, ranges=True)), False)
    if wanted.ids is not None:
        return Narrowed(
            [within(column_of("id"), wanted.ids), *conditions(replace(wanted, ids=None), columns=pinned)], True
        )
    probes = list(_probes(connection, wanted))
    if not probes:
        return Narrowed(list(conditions(wanted)), False)
    counted = [select(func.count()).select_from(probe.limit(RARE + 1).subquery()).scalar_subquery() for probe in probes]
    found = connection.execute(select(*counted)).one()
    fewest = min(range(len(probes)), key=lambda at: found[at])
    if found[fewest] > RARE:
        return Narrowed(list(conditions(wanted)), False)
    inside = column_of("id").in_(probes[fewest])
    return Narrowed([inside, *conditions(wanted, columns=pinned)], True)


def column_of(name: str) -> ColumnElement[Any]:
    """A column of failures."""
    return _failures.c[name]


def pinned(name: str) -> ColumnElement[Any]:
    """A column of failures that SQLite does not look up in an index (its unary plus)."""
    found = _failures.c[name]
    return UnaryExpression(found, operator=custom_op("+"), type_=found.type)


def conditions(wanted: Filter, *, columns: Columns = column_of, ranges: bool = False) -> Iterator[ColumnElement[bool]]:
    """A filter as conditions. `ranges`: the beginning of a name also as a range, for an index."""
    if wanted.ids is not None:
        yield within(columns("id"), wanted.ids)
    for term, name in COLUMNS.items():
        value = getattr(wanted, term)
        if value is None:
            continue
        if term in NAMES and value.endswith("*"):
            yield from _beginning(columns(name), plain(value[:-1]), ranges)
        else:
            yield columns(name) == plain(str(value))
    if wanted.arrived_before is not None:
        yield columns("arrived") < wanted.arrived_before
    if wanted.arrived_after is not None:
        yield columns("arrived") > wanted.arrived_after
    for path, text in wanted.fields:
        yield exists().where(_fields.c.leaf.in_(keys_of(path, text)), _fields.c.failure_id == columns("id"))
    for text in wanted.texts:
        yield or_(*(columns(place).icontains(plain(text), autoescape=True) for place in (*TEXTS, *NAMED)))
    if wanted.edited is not None:
        pending = exists().where(_edits.c.failure_id == columns("id"), _edits.c.state == PENDING)
        yield pending if wanted.edited else ~pending


def _beginning(name: ColumnElement[str], start: str, ranges: bool) -> Iterator[ColumnElement[bool]]:
    if start:
        if ranges:
            yield name >= start
        yield func.substr(name, 1, len(start)) == start


def _probes(connection: Connection, wanted: Filter) -> Iterator[Select[Any]]:
    """The ids for which one term holds, for each term that has an index."""
    ids = select(_failures.c.id)
    for term in (*NAMES, *IDS, "status"):
        value = getattr(wanted, term)
        if value is None or term == "reason":
            continue
        name, text = column_of(COLUMNS[term]), plain(str(value))
        if term == "event_id":  # its index begins with the queue
            yield ids.where(name == text, column_of("queue").in_(select(tables.failure_counts.c.queue).distinct()))
        elif term not in NAMES or not text.endswith("*"):
            yield ids.where(name == text)
        elif len(text) > 1:
            yield ids.where(name >= text[:-1], name < text[:-1] + _LAST)
    if wanted.arrived_after is not None or wanted.arrived_before is not None:
        yield ids.where(*conditions(Filter(arrived_after=wanted.arrived_after, arrived_before=wanted.arrived_before)))
    for path, text in wanted.fields:
        yield select(_fields.c.failure_id).where(_fields.c.leaf.in_(keys_of(path, text))).distinct()
    if wanted.texts and has_text_index(connection):
        for text in wanted.texts:
            match = _match(text)
            if match:
                yield _holding(text, match)
    if wanted.edited:
        yield select(_edits.c.failure_id).where(_edits.c.state == PENDING)


def _holding(text: str, match: str) -> Select[Any]:
    """The ids of the failures that hold a text, and of some more: by the index of text, and by the few names there are."""
    counts = tables.failure_counts
    found = [select(_text.c.rowid.label("id")).where(_text.c[_TEXT_INDEX].op("MATCH")(literal(match)))]
    for name in NAMED:
        names = select(counts.c[name]).where(counts.c[name].icontains(plain(text), autoescape=True))
        found.append(select(_failures.c.id).where(column_of(name).in_(names)))
    return select(union_all(*found).subquery().c.id)


def has_text_index(connection: Connection) -> bool:
    """Whether the database has the index of text: FTS5 with trigrams was there when it was made."""
    statement = "SELECT count(*) FROM sqlite_master WHERE name = ?"
    return bool(connection.exec_driver_sql(statement, (_TEXT_INDEX,)).scalar())


def _match(text: str) -> str:
    """The trigrams that a failure has which holds this text; a shorter text has none."""
    shown = plain(text)
    found = dict.fromkeys(shown[at : at + 3] for at in range(len(shown) - 2))
    return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in found)

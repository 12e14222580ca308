"""The tables of a projection: made where they are missing, copied for a rebuild, compared, and put in each other's place.

A copy has the names of the tables with a suffix, and so have its indices and unique constraints, which on both
databases share one space of names. All is done within the transaction that it is called in; both databases undo
a CREATE, a DROP and a RENAME with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ColumnElement,
    Connection,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    cast,
    column,
    func,
    inspect,
    select,
    table,
)
from sqlalchemy import exists as where_exists
from sqlalchemy.schema import CreateIndex, CreateTable, sort_tables

from engine.errors import UsageError
from engine.model.renaming import rename

#: Bytes of a name in PostgreSQL.
LONGEST_NAME = 63
#: Rows that are shown where two copies differ.
EXAMPLES = 5


class Difference(NamedTuple):
    """A row that is not the same in both: its key, and its columns here and there, None where it is missing."""

    key: dict[str, Any]
    live: dict[str, Any] | None
    rebuilt: dict[str, Any] | None


class TableComparison(NamedTuple):
    """How a live table and the rebuilt one compare, in rows; `columns` are in one of them alone."""

    table: str
    live: int
    rebuilt: int
    only_live: int
    only_rebuilt: int
    changed: int
    columns: list[str]
    examples: list[Difference]

    @property
    def same(self) -> bool:
        """Whether they are the same."""
        return not (self.only_live or self.only_rebuilt or self.changed or self.columns)


def declared(classes: Sequence[Any]) -> list[Table]:
    """The tables of these classes, those first that others refer to."""
    return list(sort_tables([each.__table__ for each in classes]))


def names(tables: Sequence[Table], suffix: str) -> dict[str, str]:
    """What everything that has a name of its own in the database is called in this copy."""
    found = {name: f"{name}{suffix}" for each in tables for name in (str(each.name), *_named(each))}
    for name in found.values():
        if len(name.encode()) > LONGEST_NAME:
            raise UsageError(f"{name} is too long for a name", hint=f"PostgreSQL has names of {LONGEST_NAME} bytes.")
    return found


def make_missing(connection: Connection, tables: Sequence[Table]) -> list[str]:
    """Make those that are not there; their names."""
    there = set(inspect(connection).get_table_names())
    missing = [each for each in tables if each.name not in there]
    for each in missing:
        each.create(connection)
    return [str(each.name) for each in missing]


def make_copy(connection: Connection, tables: Sequence[Table], suffix: str) -> None:
    """Make empty tables beside the live ones."""
    renamed = names(tables, suffix)
    for each in tables:
        statements: list[Any] = [CreateTable(each), *(CreateIndex(index) for index in _indices(each))]
        for statement in statements:
            text = str(statement.compile(dialect=connection.dialect))
            connection.exec_driver_sql(rename(text, renamed))


def drop_copy(connection: Connection, tables: Sequence[str], suffix: str) -> None:
    """Drop the tables of a copy, by the names of the live ones."""
    for name in reversed(tables):
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}{suffix}"')


def swap(connection: Connection, tables: Sequence[Table], old: Sequence[str], suffix: str) -> None:
    """Drop the live tables (`old`), and give their names to the copy."""
    drop_copy(connection, old, "")
    for each in tables:
        connection.exec_driver_sql(f'ALTER TABLE "{each.name}{suffix}" RENAME TO "{each.name}"')
    for each in tables:
        if connection.dialect.name == "postgresql":
            for index in _named(each):
                connection.exec_driver_sql(f'ALTER INDEX "{index}{suffix}" RENAME TO "{index}"')
        else:
            for made in _indices(each):
                connection.exec_driver_sql(f'DROP INDEX "{made.name}{suffix}"')
                connection.execute(CreateIndex(made))


def compare(connection: Connection, tables: Sequence[Table], suffix: str) -> list[TableComparison]:
    """Compare the live tables with the copy, row by row, by their primary keys."""
    return [_compare(connection, each, suffix) for each in tables]


def _compare(connection: Connection, made: Table, suffix: str) -> TableComparison:
    inspector = inspect(connection)
    here = {found["name"] for found in inspector.get_columns(str(made.name))}
    there = {found["name"] for found in inspector.get_columns(f"{made.name}{suffix}")}
    shared = [each for each in made.columns if each.name in here & there]
    keys = [each.name for each in made.primary_key.columns if each.name in here & there]
    if not keys:
        raise UsageError(f"the table {made.name} has no primary key", hint="Rows are compared by it.")

    def alias(name: str, label: str) -> Any:
        return table(name, *(column(each.name, each.type) for each in shared)).alias(label)

    live, rebuilt = alias(str(made.name), "a"), alias(f"{made.name}{suffix}", "b")
    pair: ColumnElement[bool] = live.c[keys[0]] == rebuilt.c[keys[0]]
    for key in keys[1:]:
        pair &= live.c[key] == rebuilt.c[key]
    others = [each for each in shared if each.name not in keys]
    changed: list[ColumnElement[bool]] = [
        _plain(live.c[each.name]).is_distinct_from(_plain(rebuilt.c[each.name])) for each in others
    ]
    differs = changed[0] if changed else None
    for condition in changed[1:]:
        differs = differs | condition if differs is not None else condition

    def count(statement: Any) -> int:
        return connection.scalar(select(func.count()).select_from(statement.subquery())) or 0

    only_live = select(*live.c).where(~where_exists().where(pair).correlate(live))
    only_rebuilt = select(*rebuilt.c).where(~where_exists().where(pair).correlate(rebuilt))
    examples = [Difference(_key(row, keys), row, None) for row in _some(connection, only_live)]
    examples += [Difference(_key(row, keys), None, row) for row in _some(connection, only_rebuilt)]
    number = 0
    if differs is not None:
        both = select(*live.c, *(each.label(f"rebuilt {each.name}") for each in rebuilt.c)).where(pair, differs)
        number = count(select(live.c[keys[0]]).where(pair, differs))
        for row in _some(connection, both):
            new = {each.name: row[f"rebuilt {each.name}"] for each in shared}
            examples.append(Difference(_key(row, keys), {each.name: row[each.name] for each in shared}, new))
    return TableComparison(
        str(made.name),
        count(select(live.c[keys[0]])),
        count(select(rebuilt.c[keys[0]])),
        count(only_live),
        count(only_rebuilt),
        number,
        sorted(here ^ there),
        examples[:EXAMPLES],
    )


def _some(connection: Connection, statement: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement.limit(EXAMPLES)).mappings()]


def _key(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: row[key] for key in keys}


def _plain(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """JSON has no equality in PostgreSQL."""
    return cast(value, Text) if isinstance(value.type, JSON) else value


def _indices(made: Table) -> list[Index]:
    return sorted(made.indexes, key=lambda index: str(index.name))


def _named(made: Table) -> list[str]:
    """Its indices, and those constraints with a name that are indices of PostgreSQL's."""
    of_table = (CheckConstraint, ForeignKeyConstraint)
    constraints: list[Any] = [each for each in made.constraints if not isinstance(each, of_table) and each.name]
    return sorted({str(each.name) for each in [*made.indexes, *constraints]})

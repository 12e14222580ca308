"""Writing a replicated view: rows by key, as another service's events tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from engine.errors import DecodingError
from engine.storage import projected_versions
from engine.storage.session import AsyncSession


async def write(session: AsyncSession, table: Table, key: str, rows: Mapping[Any, Mapping[str, Any] | None]) -> None:
    """Insert or change these rows, by their keys; a row that is None is deleted. Columns that are not named stay."""
    gone = [value for value, row in rows.items() if row is None]
    if gone:
        await session.execute(delete(table).where(table.c[key].in_(gone)))
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows.values():
        if row is not None:
            groups.setdefault(tuple(sorted(row)), []).append(row)
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    for columns, group in groups.items():
        if lacking := _needed(table) - set(columns):
            await _change(session, table, key, group, lacking)
            continue
        statement: Any = dialect.insert(table)
        changed = {name: statement.excluded[name] for name in columns if name != key}
        if changed:
            statement = statement.on_conflict_do_update(index_elements=[key], set_=changed)
        else:
            statement = statement.on_conflict_do_nothing(index_elements=[key])
        await session.execute(statement, group)


def _needed(table: Table) -> set[str]:
    """The columns without which there can be no row."""
    optional = (column.nullable or column.default or column.server_default for column in table.columns)
    return {
        str(column.name)
        for column, free in zip(table.columns, optional, strict=True)
        if not free and column is not table.autoincrement_column
    }


async def _change(
    session: AsyncSession, table: Table, key: str, rows: Sequence[Mapping[str, Any]], lacking: set[str]
) -> None:
    """Change rows that must be there, since what is told of them is not enough to insert them."""
    column = table.c[key]
    found = set((await session.execute(select(column).where(column.in_([row[key] for row in rows])))).scalars())
    if any(row[key] not in found for row in rows):
        raise DecodingError(
            f"{table.name} has no row of this {key} that the event could change, and it does not tell"
            f" {', '.join(sorted(lacking))}, which a new row must have",
            hint="Give the columns defaults, or have such events carry the whole state.",
        )
    changed = [{"the_key": row[key], **{name: row[name] for name in row if name != key}} for row in rows]
    if len(changed[0]) > 1:
        await session.execute(update(table).where(column == bindparam("the_key")), changed)


async def newest(session: AsyncSession, name: str, keys: Sequence[str]) -> dict[str, int]:
    """The versions of these keys that a view has seen."""
    if not keys:
        return {}
    return {row.key: row.version for row in await session.execute(projected_versions.known(name, "", keys))}


async def note(session: AsyncSession, name: str, versions: Mapping[str, int]) -> None:
    """Write down what it has seen now, in the session's transaction."""
    if versions:
        connection = await session.connection()
        await connection.run_sync(projected_versions.note, name, "", versions)

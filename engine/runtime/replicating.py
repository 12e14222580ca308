"""Event-carried state transfer: a local table that follows the entities of another service.

customers = replicated_view(Customer, upsert=["customer.registered", "customer.moved"], delete=["customer.closed"],
                            versions="revision")

Its events come from the log, where the journal puts what others publish, so it is a projection like any other. Or a
handler applies them: `await customers.apply(events, session)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.errors import DecodingError, PluginError
from engine.model.event import Event, EventData
from engine.model.place import Place, stem_of
from engine.model.projection import DEFAULT_BATCH, Of, ProjectionSpec, declare, version_of
from engine.model.subjects import Role, read_subjects
from engine.model.topology import topic_matches
from engine.runtime.view_columns import Columns
from engine.storage import replica
from engine.storage.session import AsyncSession


class ReplicatedView:
    """A table that follows another service's entities. Made by `replicated_view`."""

    def __init__(
        self,
        table: type[Any],
        key: str,
        deletes: Sequence[str],
        row: Callable[[Event[Any]], Mapping[str, Any]] | None,
    ) -> None:
        self.table = table
        self.key = key
        self.spec: ProjectionSpec
        self._deletes = deletes
        self._row = row
        self._columns = Columns(table)

    @property
    def __warren_projection__(self) -> ProjectionSpec:
        return self.spec

    async def apply(self, events: Sequence[Event[Any]], session: AsyncSession) -> int:
        """Apply events within a handler's transaction, and leave the stale ones out; how many were applied.

        For what comes from the broker and not from the log. The versions that it has seen are its own, apart
        from those of the projection: let one of the two feed a table.
        """
        name = f"view:{self.table.__table__.name}"
        judged = [version_of(self.spec, event, None) for event in events]
        seen = await replica.newest(session, name, [found[0] for found in judged if found is not None])
        fresh: list[Event[Any]] = []
        noted: dict[str, int] = {}
        for event, found in zip(events, judged, strict=True):
            if found is not None:
                key, version = found
                if version <= seen.get(key, version - 1):
                    continue
                seen[key] = noted[key] = version
            fresh.append(event)
        await self.write(fresh, session)
        await replica.note(session, name, noted)
        return len(fresh)

    async def write(self, events: Sequence[Event[Any]], session: AsyncSession) -> None:
        """Write what these events say, in their order, whatever their versions."""
        rows: dict[Any, dict[str, Any] | None] = {}
        for event in events:
            value = self._key_of(event)
            if any(topic_matches(pattern, event.type) for pattern in self._deletes):
                rows[value] = None
            else:
                before = rows.get(value)
                if before is None and value in rows:  # deleted and made anew within this batch
                    await replica.write(session, self.table.__table__, self.key, {value: None})
                rows[value] = {**(before or {}), **self._columns_of(event), self.key: value}
        await replica.write(session, self.table.__table__, self.key, rows)

    def _key_of(self, event: Event[Any]) -> Any:
        plain = isinstance(event.data, Mapping)
        value = event.data.get(self.key) if plain else getattr(event.data, self.key, None)
        plain, value = (True, event.aggregate_id) if value is None else (plain, value)
        if value is None:
            raise DecodingError(f"{event.type} {event.id} has neither a field {self.key} nor an aggregate id")
        return self._columns.value(event, self.key, value) if plain else value

    def _columns_of(self, event: Event[Any]) -> dict[str, Any]:
        if self._row is not None:
            return dict(self._row(event))
        data = event.data
        if isinstance(data, Mapping):
            return self._columns.read(event, data)
        return {name: getattr(data, name) for name in type(data).model_fields if name in self._columns.names}


def replicated_view(
    table: type[Any],
    *,
    upsert: Sequence[type[EventData] | str],
    delete: Sequence[type[EventData] | str] = (),
    versions: Of | bool = False,
    key: str | None = None,
    row: Callable[[Event[Any]], Mapping[str, Any]] | None = None,
    name: str | None = None,
    version: int = 1,
    batch: int = DEFAULT_BATCH,
) -> ReplicatedView:
    """A table that follows another service's entities, as a projection of their events.

    Events of `upsert` insert or change the row of their key, those of `delete` delete it; both are classes or topic
    patterns. The payload's fields that are columns are written, or what `row` makes of the event; columns that it leaves
    out stay as they are. `key` is the column of the key and the payload's field, by default the primary key; where the payload has no such
    field it is the aggregate's id. With `versions` (a payload field, a function of the event, or True for the place in its stream) an
    event that is not newer than what was seen of its key is left out, also after a deletion. Raises `PluginError`.
    """
    place = Place.above("replicated_view")
    deletes = read_subjects(tuple(delete), place.at, Role.EVENT)[0] if delete else ()
    made = getattr(table, "__table__", None)
    if made is None:
        raise PluginError(
            f"{place.at}: {table!r} is not a table", hint="Name a class: class Customer(SQLModel, table=True)."
        )
    keys = [column.name for column in made.primary_key.columns]
    if key is None and len(keys) != 1:
        raise PluginError(
            f"{place.at}: {made.name} has no single primary key", hint="Name the column of the key with key=."
        )
    view = ReplicatedView(table, key or keys[0], deletes, row)
    if view.key not in made.columns:
        raise PluginError(f"{place.at}: {made.name} has no column {view.key}")

    async def follow(events: list[Event[Any]], session: AsyncSession) -> None:
        await view.write(events, session)

    view.spec = declare(
        place,
        follow,
        (*upsert, *delete),
        tables=(table,),
        name=name or f"{stem_of(place.scope, place.file)}.{made.name}",
        version=version,
        batch=batch,
        # The key of the row tells the entity, whatever the event's aggregate says.
        key=view._key_of if versions is not False else None,  # noqa: SLF001
        versions=versions,
    )
    return view

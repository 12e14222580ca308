"""Projections under test: on given events, on a real log and real tables, without a broker.

    async with Projected(order_summaries) as projected:
        await projected.given(OrderPlaced(order_id="o-1", total=Decimal("9.50")), OrderShipped(order_id="o-1"))
        assert [row.state for row in await projected.rows(OrderSummary)] == ["shipped"]

It is the runner of `warren worker`, on SQLite in a folder that is removed in the end unless a database is named.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sqlalchemy import select

from engine.errors import UsageError
from engine.model.codec import to_message
from engine.model.event import Event, EventData, new_event
from engine.model.outgoing import Kind, Outgoing
from engine.runtime import clock
from engine.runtime.ids import new_id
from engine.runtime.projector import Projector
from engine.storage import event_log, projections
from engine.storage.database import Database
from engine.storage.event_log import Origin
from engine.storage.projections import Checkpoint
from engine.testing.gathering import Named, gather

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class Projected:
    """Runs projections within a test. Use it as `async with Projected(…) as projected`.

    `named` are decorated functions, modules, or files by path; `database` is the URL of an empty database.
    Raises `PluginError` and `UsageError` for projections that cannot be.
    """

    def __init__(self, *named: Named | Iterable[Named], database: str | None = None, app: str = "test") -> None:
        self._specs = gather(named, app).projections
        if not self._specs:
            raise UsageError("there are no projections", hint="Name functions that are decorated with @projection(…).")
        self._app = app
        self._url = database
        self._closing = AsyncExitStack()
        self.database: Database
        self.projector: Projector

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            url = self._url
            if url is None:
                folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="warren-", ignore_cleanup_errors=True))
                url = f"sqlite:///{folder}/warren.db"
            self.database = await Database.open(url, migrate=True)
            opened.push_async_callback(self.database.close)
            me = f"test:{new_id()}"
            self.projector = Projector(
                self._specs, app=self._app, worker=me, database=self.database, alive=lambda worker: worker == me
            )
            opened.push_async_callback(self.projector.stop)
            await self.projector.settle()
            self._closing = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.ensure_future(self._closing.aclose()))

    async def given(self, *events: EventData | Event[Any]) -> list[Event[Any]]:
        """Write these events to the log, in this order, and project them; raises AssertionError where one fails."""
        made = await self.append(*events)
        await self.project()
        for copy in await self.checkpoints():
            if copy.failing:
                raise AssertionError(
                    f"{copy.name}{copy.suffix} stands at event {copy.failed_position}, "
                    f"{copy.failed_type} {copy.failed_event}: {copy.error}"
                )
        return made

    async def append(self, *events: EventData | Event[Any]) -> list[Event[Any]]:
        """Write these events to the log, and no more."""
        made: list[Event[Any]] = [
            each if isinstance(each, Event) else new_event(each, id=new_id(), now=clock.utc(), source=self._app)
            for each in events
        ]
        now = clock.now()
        entries = [event_log.emitted(_row(event, now), event, "", Origin.PUBLISHED) for event in made]
        await self.database.write(lambda connection: event_log.append(connection, entries, now=now))
        return made

    async def project(self) -> None:
        """Project what the log has; an event that fails is where its projection stops."""
        await self.projector.settle()

    async def rows(self, table: type[T], *, suffix: str = "") -> list[T]:
        """All rows of a table of the user's, as instances, by primary key."""
        mapped: Any = table
        made = mapped.__table__

        def work(connection: Connection) -> list[Any]:
            order = [column.name for column in made.primary_key.columns]
            if suffix:
                made_copy = made.to_metadata(type(made.metadata)(), name=f"{made.name}{suffix}")
                found = connection.execute(select(made_copy).order_by(*(made_copy.c[name] for name in order)))
            else:
                found = connection.execute(select(made).order_by(*(made.c[name] for name in order)))
            return [table(**row) for row in found.mappings()]

        return await self.database.read(work)

    async def checkpoints(self) -> list[Checkpoint]:
        """How the projections stand: position, applied, stale and skipped events, what fails and why."""
        return await self.database.read(lambda connection: projections.fetch(connection, self._app))


def _row(event: Event[Any], now: float) -> Outgoing:
    return Outgoing(new_id(), Kind.EMIT, "events", event.type, to_message(event), False, None, now)

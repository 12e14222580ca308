"""Rebuilding a projection beside the live one: begun, compared, put in its place, or given up.

The copy is a row of its own with tables of its own, which workers fill from the beginning of the log as they fill the
live ones. Putting it in the live one's place is one transaction, in which neither moves.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import UsageError
from engine.model.projection import ProjectionSpec
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.runtime.ids import new_id
from engine.runtime.projector import Projector, lease_name
from engine.storage import audit, copies, leases, projecting, projections
from engine.storage.copies import TableComparison
from engine.storage.database import Database
from engine.storage.liveness import Liveness
from engine.storage.projections import Checkpoint

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Milliseconds that a swap waits for who reads the live tables, on PostgreSQL.
PATIENCE = 2_000


class Comparison(NamedTuple):
    """How the live tables and the rebuilt ones compare; `level`: whether both have come equally far in the log."""

    live_position: int
    rebuilt_position: int
    level: bool
    tables: list[TableComparison]

    @property
    def same(self) -> bool:
        """Whether they are the same."""
        return all(each.same for each in self.tables)


async def begin(database: Database, app: str, spec: ProjectionSpec, *, operator: Operator, why: str) -> str:
    """Begin a rebuild, or go on with the one there is; the suffix of its tables. Raises `ReadOnly`, `UsageError`."""
    operator.allow("rebuild projections")
    if not spec.tables:
        raise UsageError(
            f"{spec.name} declares no tables, so it cannot be rebuilt beside the live ones",
            hint="Name the classes of its tables: @projection(…, tables=[OrderSummary]).",
        )
    who, name = operator.who, spec.name_for(app)

    def work(connection: Connection) -> str:
        now = time.time()
        tables = copies.declared(spec.tables)
        for copy in projections.copies(connection, name):
            if copy.suffix and copy.version == spec.version:
                return copy.suffix
            if copy.suffix:
                raise UsageError(
                    f"{name} is being rebuilt in version {copy.version}, and here it has version {spec.version}",
                    hint=f"Give that up first: `warren projections rebuild {name} --cancel`.",
                )
        wanted = projections.new(
            name, app, version=spec.version, patterns=spec.patterns, tables=[str(each.name) for each in tables], now=now
        )
        live = projections.begin(connection, wanted)
        if live.version == spec.version:
            copies.make_missing(connection, tables)
        suffix = f"__r{int(now):x}"
        copies.make_copy(connection, tables, suffix)
        projections.begin(connection, wanted._replace(suffix=suffix))
        what = {"projection": name, "version": spec.version, "copy": suffix}
        audit.append(connection, audit.Entry(now, who, "projection rebuild", why, what, {"from": live.version}))
        return suffix

    return await write(database, work)


async def cancel(database: Database, name: str, *, operator: Operator, why: str) -> bool:
    """Give a rebuild up and drop its tables; False where there is none. Raises `ReadOnly`."""
    operator.allow("give up rebuilding projections")
    who = operator.who

    def work(connection: Connection) -> bool:
        copy = _rebuilt(projections.copies(connection, name))
        if copy is None:
            return False
        copies.drop_copy(connection, copy.tables, copy.suffix)
        projections.forget(connection, name, copy.suffix)
        what = {"projection": name, "copy": copy.suffix}
        audit.append(connection, audit.Entry(time.time(), who, "projection cancel", why, what, {}))
        return True

    return await write(database, work)


async def compare(database: Database, app: str, spec: ProjectionSpec) -> Comparison:
    """Compare the live tables with the rebuilt ones, as of one moment. Raises `UsageError` without a rebuild."""
    name = spec.name_for(app)

    def work(connection: Connection) -> Comparison:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        found = [row for row in projections.fetch(connection, app) if row.name == name]
        copy = _rebuilt(found)
        if copy is None:
            raise _no_rebuild(name)
        live = found[0]
        low, high = sorted((live, copy), key=lambda each: each.position)
        between = projecting.ahead(connection, low.patterns, low.position, high.position).events
        tables = copies.compare(connection, copies.declared(spec.tables), copy.suffix)
        return Comparison(live.position, copy.position, not between, tables)

    return await database.read(work)


async def swap(database: Database, app: str, spec: ProjectionSpec, *, operator: Operator, why: str) -> bool:
    """Put the rebuilt tables in the place of the live ones, which are dropped; False while they are not as far.

    Raises `ReadOnly`, and `UsageError` where there is no rebuild, or it stands at an event that fails.
    """
    operator.allow("swap projections")
    who, name = operator.who, spec.name_for(app)

    def work(connection: Connection) -> bool:
        now = time.time()
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {PATIENCE}")
        found = projections.copies(connection, name)  # locked: neither moves from here on
        copy = _rebuilt(found)
        if copy is None:
            raise _no_rebuild(name)
        if copy.failing:
            raise UsageError(
                f"the rebuilt {name} stands at event {copy.failed_position}: {copy.error}",
                hint=f"Mend it, or leave the event out: `warren projections skip {name} --rebuild`.",
            )
        live = found[0]
        left = projecting.ahead(connection, copy.patterns, copy.position).events
        if copy.position < live.position or left > spec.batch:
            return False
        copies.swap(connection, copies.declared(spec.tables), live.tables, copy.suffix)
        projections.take_place(connection, name, copy.suffix, now=now)
        what = {"projection": name, "copy": copy.suffix, "version": copy.version, "position": copy.position}
        was = {"version": live.version, "position": live.position, "applied": live.applied}
        audit.append(connection, audit.Entry(now, who, "projection swap", why, what, {"was": was}))
        return True

    return await write(database, work)


@contextlib.asynccontextmanager
async def stand_in(
    database: Database, app: str, spec: ProjectionSpec, *, operator: Operator
) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Do a worker's share of a projection in this process, while no worker lives that does.

    What it gives does that up to the end of the log, and tells whether it did. Raises `ReadOnly`.
    """
    operator.allow("rebuild projections")
    me = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-6:]}"
    lease = lease_name(spec.name_for(app), spec.version)
    liveness = await Liveness.open(database, me)
    projector = Projector([spec], app=app, worker=me, database=database, alive=liveness.alive)

    async def project() -> bool:
        holder = (await database.read(leases.holders)).get(lease)
        if holder not in (None, me) and liveness.alive(str(holder)):
            return False
        await projector.settle()
        return True

    try:
        yield project
    finally:
        await projector.stop()
        await liveness.close()


def _rebuilt(found: list[Checkpoint]) -> Checkpoint | None:
    return next((row for row in found if row.suffix), None)


def _no_rebuild(name: str) -> UsageError:
    return UsageError(f"{name} is not being rebuilt", hint=f"Begin with `warren projections rebuild {name}`.")

"""Recorded operations, performed in the test's own process."""

from __future__ import annotations

from functools import partial

from engine.brokers.base import Broker
from engine.model.operation import Operation, Options
from engine.model.topology import Route, handler_topology
from engine.operations import redrive
from engine.operations.operator import Operator
from engine.operations.progress import one
from engine.operations.redrive import Plan
from engine.runtime.kinds import KINDS, performance_of
from engine.runtime.leasing import Leases
from engine.runtime.performing import Performance, lease_name, release
from engine.runtime.relay import Relay, RemoveSection
from engine.storage import operations
from engine.storage.database import Database

ANNA = Operator("anna@web-1")


async def declare(broker: Broker, *queues: str, app: str = "shop") -> None:
    """Make these queues, each with its dead-letter queue."""
    await broker.declare(handler_topology(app, [Route(queue, "events", ["order.*"]) for queue in queues]))


async def start(database: Database, plan: Plan, options: Options | None = None, why: str = "") -> Operation:
    """Record a redrive, as Anna."""
    return await redrive.start(database, plan, app="shop", operator=ANNA, why=why, options=options)


def relay_of(database: Database, broker: Broker, owner: str) -> Relay:
    """A relay that publishes nothing until it is run: what it is given stays in the outbox."""
    relay = Relay(broker, database, app="shop", owner=owner, alive=lambda _: True)
    relay.confirmed = database.writer.add(RemoveSection(relay))
    return relay


async def performance(
    database: Database, broker: Broker, operation: str, relay: Relay, owner: str, *, verifies: bool = False
) -> Performance:
    """An operation under a lease of `owner`."""
    token = await Leases(database, owner, lambda _: True).token(lease_name(operation))
    assert token is not None
    kind = KINDS[(await one(database, operation)).kind]
    return performance_of(kind.name)(
        operation,
        kind,
        database=database,
        broker=broker,
        relay=relay,
        owner=owner,
        token=token,
        verifies=verifies,
    )


async def perform(database: Database, broker: Broker, operation: Operation, owner: str = "test") -> Operation:
    """Do all of an operation that needs no outcome, but publish nothing: the rows stay in the outbox."""
    run = await performance(database, broker, operation.id, relay_of(database, broker, owner), owner)
    await run.run()
    await database.write(partial(release, operation=operation.id, owner=owner))
    return await one(database, operation.id)


async def look(database: Database, broker: Broker, operation: Operation, owner: str = "test") -> Operation:
    """Look once what became of what was sent."""
    run = await performance(database, broker, operation.id, relay_of(database, broker, owner), owner, verifies=True)
    await run._look()
    await database.write(partial(release, operation=operation.id, owner=owner))
    return await one(database, operation.id)


async def subjects(database: Database, operation: Operation, state: str | None = None) -> list[int]:
    """What the items of an operation are about, those in one state or all, in their order."""
    from engine.model.operation import ItemState

    wanted = None if state is None else ItemState(state)
    found = await database.read(
        lambda connection: operations.items(connection, operation.id, state=wanted, limit=10**6)
    )
    return [item.subject for item in found]

"""Performing an operation where no worker is alive to do it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import NamedTuple

from engine.brokers.base import Broker
from engine.model.operation import Operation
from engine.operations.operator import Operator
from engine.operations.progress import follow, moving, one
from engine.operations.workers import living
from engine.runtime.ids import new_id
from engine.runtime.kinds import KINDS, performance_of
from engine.runtime.leasing import Leases
from engine.runtime.performing import Performance, lease_name, release
from engine.runtime.relay import Relay, RemoveSection
from engine.storage import outbox
from engine.storage.database import Database
from engine.storage.liveness import Liveness

#: Seconds without a confirm after which the rest is left to a worker.
PATIENCE = 15.0
#: Seconds between two looks whether a worker lives.
LIVING_INTERVAL = 2.0


class Performed(NamedTuple):
    """How many messages were published here, how many are left in the outbox for a worker, and why."""

    sent: int
    left: int
    why: str = ""


async def perform_alone(
    database: Database, broker: Broker, app: str, operation: str, *, operator: Operator
) -> Performed | None:
    """Send what an operation may send, and all else that waits in the outbox; None where somebody lives who does it.

    What has to wait for an outcome is left to the first worker that starts. This process proves its life
    as a worker does: if it dies, a worker goes on in its place. Raises `ReadOnly`.
    """
    operator.allow("perform an operation")
    stands = await one(database, operation)
    if stands.kind not in KINDS or await living(database, app):
        return None
    me = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-6:]}"
    liveness = await Liveness.open(database, me)
    try:
        async with _relay(database, broker, app, me, liveness) as relay:
            token = await Leases(database, me, liveness.alive).token(lease_name(stands.id))
            if token is None:
                return None
            performance = performance_of(stands.kind)(
                stands.id,
                KINDS[stands.kind],
                database=database,
                broker=broker,
                relay=relay,
                owner=me,
                token=token,
                verifies=False,
            )
            try:
                return await _perform(database, performance, relay)
            finally:
                await database.write(partial(release, operation=stands.id, owner=me))
    finally:
        await liveness.close()


async def _perform(database: Database, performance: Performance, relay: Relay) -> Performed:
    running = asyncio.create_task(performance.run())
    adopted = 0
    try:
        confirming = await _confirmed(relay, running)
        while confirming and (more := await relay.sweep()):
            adopted += more
            confirming = await _confirmed(relay, running)
    finally:
        performance.stop()
        await asyncio.wait({running}, timeout=PATIENCE)
    if running.done():
        running.result()
    sent = performance.sent + adopted - relay.backlog
    if confirming:
        return Performed(sent, 0)
    left = await database.read(outbox.pending)
    return Performed(sent, left, f"The broker did not take them within {PATIENCE:g} seconds.")


async def _confirmed(relay: Relay, running: asyncio.Task[None]) -> bool:
    """Wait until it has ended and all is confirmed; False when nothing is confirmed any more."""
    backlog, since = relay.backlog, time.monotonic()
    flushed = asyncio.create_task(_ended(relay, running))
    try:
        while not flushed.done():
            await asyncio.wait({flushed}, timeout=0.1)
            if not backlog or relay.backlog != backlog:
                backlog, since = relay.backlog, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                return False
        flushed.result()
        return True
    finally:
        flushed.cancel()


async def _ended(relay: Relay, running: asyncio.Task[None]) -> None:
    await asyncio.shield(running)
    await relay.flushed()


@contextlib.asynccontextmanager
async def _relay(database: Database, broker: Broker, app: str, owner: str, liveness: Liveness) -> AsyncIterator[Relay]:
    relay = Relay(broker, database, app=app, owner=owner, alive=liveness.alive)
    relay.confirmed = database.writer.add(RemoveSection(relay))
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


class Carried(NamedTuple):
    """How an operation stands after it was carried out, and what was published here, if no worker lives."""

    operation: Operation
    performed: Performed | None


async def carry_out(
    database: Database,
    broker: Broker,
    app: str,
    operation: str,
    *,
    operator: Operator,
    advance: Callable[[int], None] = lambda _: None,
) -> Carried:
    """Wait until workers have sent all of an operation, or it does not run; where none lives, perform it here.

    `advance` hears how many messages more were dealt with. Who is cancelled while waiting loses nothing:
    the operation goes on without him. Raises `ReadOnly`.
    """
    operator.allow("perform an operation")
    dealt = 0
    looked = -LIVING_INTERVAL
    async for stands in follow(database, operation, every=True):
        advance(stands.sent + stands.skipped - dealt)
        dealt = stands.sent + stands.skipped
        if moving(stands) and time.monotonic() - looked > LIVING_INTERVAL:
            looked = time.monotonic()
            performed = await perform_alone(database, broker, app, stands.id, operator=operator)
            if performed is not None:
                return Carried(await one(database, operation), performed)
    return Carried(stands, None)

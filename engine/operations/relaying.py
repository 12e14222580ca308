"""Publishing what an operation promised, where no worker is alive to do it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import NamedTuple

from engine.brokers.base import Broker
from engine.operations.workers import living
from engine.runtime.ids import new_id
from engine.runtime.relay import Relay, RemoveSection
from engine.storage import outbox
from engine.storage.database import Database
from engine.storage.liveness import Liveness

#: Seconds without progress after which the rest is left to a worker.
PATIENCE = 15.0


class Relayed(NamedTuple):
    """How many messages were published here, how many are left for a worker, and why."""

    sent: int
    left: int
    why: str = ""


async def relay_alone(database: Database, broker: Broker, app: str) -> Relayed | None:
    """Publish all that waits in the outbox, unless a worker lives that will; then None.

    Rows are adopted under a name of our own whose life is proven as a worker's is: if this
    process dies, a worker adopts them again.
    """
    if await living(database, app):
        return None
    liveness = await Liveness.open(database, f"{socket.gethostname()}:{os.getpid()}:{new_id()[-6:]}")
    relay = Relay(broker, database, app=app, owner=liveness.worker or "", alive=liveness.alive)
    relay.confirmed = database.writer.add(RemoveSection(relay))
    running = asyncio.create_task(relay.run())
    sent, why = 0, ""
    try:
        while adopted := await relay.sweep():
            sent += adopted
            async with asyncio.timeout(PATIENCE):
                await relay.flushed()
    except TimeoutError:
        sent -= relay.backlog
        why = f"The broker did not take them within {PATIENCE:g} seconds."
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await liveness.close()
    return Relayed(sent, await database.read(outbox.pending) if why else 0, why)

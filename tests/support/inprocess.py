"""A worker in the test's own process, on a broker of its own or on the shared one under names of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.runtime.worker import Worker
from engine.settings import Settings
from engine.testing.gathering import gather

#: Seconds for anything that a test waits for.
PATIENCE = 20.0


def own_settings(folder: Path, app: str, broker: str | None = None, **more: Any) -> Settings:
    """Settings with an exchange of the test's own; the embedded broker and SQLite unless said otherwise."""
    given: dict[str, Any] = {
        "broker": broker or f"embedded://{folder}/broker.db",
        "database": f"sqlite:///{folder}/warren.db",
        "exchange": f"{app}.events",
        "circuit": 0,
    }
    return Settings.load(start=folder, app=app, **(given | more))


@asynccontextmanager
async def working(settings: Settings, *handlers: Any) -> AsyncIterator[Worker]:
    """The worker, ready; drained in the end, and on a shared broker all that it declared is deleted."""
    found = gather(handlers, settings.app)
    worker, ready = Worker(settings, found.handlers, projections=found.projections), asyncio.Event()
    running = asyncio.create_task(worker.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        running.result()
    try:
        yield worker
        if settings.broker.startswith("amqp"):
            for queue in worker.topology.queues:
                await worker.broker.delete_queue(queue.name)
            for exchange in (settings.exchange, f"{settings.app}.dlx"):
                await worker.broker.delete_exchange(exchange)
    finally:
        worker.stop()
        await running


async def until(reached: Callable[[], Awaitable[Any]], what: str, seconds: float = PATIENCE) -> Any:
    """What `reached` returns as soon as it is true."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := await reached()):
                await asyncio.sleep(0.03)
            return found
    except TimeoutError:
        raise AssertionError(f"{what} did not come within {seconds:g} s") from None

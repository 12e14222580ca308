"""A request under test: its time-out is on the test's clock, and what it waits for comes due at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from engine.model.request import Request
from engine.runtime.application import Engine
from engine.runtime.requests import on_sent
from engine.testing.clock import Clock

R = TypeVar("R")

#: Turns of the event loop in which a reply that has arrived reaches whoever waits for it.
_TURNS = 10


async def ask(
    engine: Engine,
    request: Request[R],
    timeout: float,
    clock: Clock,
    settle: Callable[[], Awaitable[None]],
    due: Callable[[], Awaitable[float | None]],
) -> R:
    """The reply; raises what `Engine.request` raises, a time-out once nothing can bring the reply any more."""
    end = clock.now() + timeout
    sent = asyncio.Event()
    asking: asyncio.Task[R] = asyncio.create_task(_sending(engine, request, timeout, sent))
    try:
        waiting = asyncio.create_task(sent.wait())
        await asyncio.wait({asking, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        while True:
            if not asking.done():
                await settle()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if asking.done():
                return asking.result()
            moment = await due()
            if moment is None or moment > end:
                kind = str(type(request).__warren_type__)
                raise await engine.unanswered(kind, await engine.route(kind), timeout)
            clock.move_to(moment)
    finally:
        asking.cancel()


async def _sending(engine: Engine, request: Request[R], timeout: float, sent: asyncio.Event) -> R:
    on_sent.set(sent.set)  # in the context of this task alone
    return await engine.request(request, timeout=timeout)

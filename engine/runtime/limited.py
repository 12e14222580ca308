"""A time-out that costs nothing until there is something to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await this for at most so many seconds; raises `TimeOutExpired` when it took longer.

    Until it waits for the first time nothing could interrupt it anyway, so that far it runs
    without a timer. Most handlers of a busy queue never wait, and a timer costs as much as they do.
    """
    begun = asyncio.get_running_loop().time()
    try:
        waiting = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    rest = _rest(work, waiting)
    del waiting  # see there
    try:
        async with asyncio.timeout_at(begun + seconds) as limit:
            return await rest
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeOutExpired from error


class TimeOutExpired(Exception):
    """What was awaited took too long, and was cancelled."""


@coroutine
def _rest(work: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that waits for this."""
    while True:
        try:
            value: Any = yield waiting
            failed: BaseException | None = None
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            value, failed = None, error
        waiting = None  # a future holds what was raised, which holds this frame, and the handler's message with it
        try:
            waiting = work.send(value) if failed is None else work.throw(failed)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            failed = value = None

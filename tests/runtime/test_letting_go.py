"""What failed is let go of at once: no error keeps a message in memory until the garbage collector comes by."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest

from engine import Depends, Event, EventData, RetryPolicy, handler
from engine.model.message import Message
from engine.testing.harness import Harness

COUNT = 5
PADDING = 50_000
ONCE = RetryPolicy(max_attempts=1)


class Note(EventData, type="test.note"):
    number: int
    padding: str


@handler(Note, retry=ONCE)
async def plain(event: Event[Note]) -> None:
    raise ValueError("no")


@handler(Note, retry=ONCE)
def in_a_thread(event: Event[Note]) -> None:
    raise ValueError("no")


@handler(Note, retry=ONCE)
async def waiting(event: Event[Note]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, int, "no")


@handler(Note, retry=ONCE)
async def in_batches(events: list[Event[Note]]) -> None:
    raise ValueError("no")


async def number() -> AsyncIterator[int]:
    yield 1


@handler(Note, retry=ONCE)
async def provided(event: Event[Note], one: Annotated[int, Depends(number)]) -> None:
    raise ValueError("no")


@handler(Note, retry=ONCE, timeout=0.02)
async def late(event: Event[Note]) -> None:
    await asyncio.Event().wait()


@handler(Note, retry=ONCE, key=lambda event: 1 // 0)
async def with_a_broken_key(event: Event[Note]) -> None: ...


@handler(Note, retry=ONCE, idempotency_key=lambda event: 1 // 0)
async def with_a_broken_identity(event: Event[Note]) -> None: ...


HANDLERS = (plain, in_a_thread, waiting, in_batches, provided, late, with_a_broken_key, with_a_broken_identity)


CASES = [
    *(pytest.param(each, True, id=each.__name__) for each in HANDLERS),
    *(pytest.param(each, False, id=f"{each.__name__}-unreadable") for each in (plain, in_batches, *HANDLERS[-2:])),
]


@pytest.mark.parametrize(("broken", "readable"), CASES)
async def test_a_message_that_failed_is_let_go_of(broken: Callable[..., Any], readable: bool) -> None:
    async with Harness(broken) as harness:
        harness.worker.outcomes.observer = None  # the harness's own story keeps what was raised
        gc.collect()
        gc.disable()
        try:
            for index in range(COUNT):
                if readable:
                    await harness.publish(Note(number=index, padding="x" * PADDING))
                else:
                    await harness.publish_message("test.note", b"[" * (PADDING + index))
                await harness.settle()
            assert kept() == 0
        finally:
            gc.enable()
        harness.dead_letters(count=COUNT)


def kept() -> int:
    """How many large messages nobody but the garbage collector would find."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return sum(type(each) is Message and len(each.body) >= PADDING for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()

"""What the workers do while they are made to suffer, and what must come of it.

Each step is booked in a session, emits an effect that is followed in another, and is also
looked at by a handler without a session. Some steps fail at first, and come over the rungs. While
the file `closed` is in the workers' folder, booking waits before its first statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from engine.errors import BrokerError
from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.workers import Fleet

PLUGIN = """
import asyncio
from pathlib import Path
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, RetryPolicy, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

class Effect(EventData, type="test.effect"):
    number: int

QUICK = RetryPolicy(max_attempts=6, initial=0.3)

async def gate(ctx: Context) -> None:
    if Path("closed").exists():
        ctx.log.warning("waits at the gate")
    while Path("closed").exists():
        await asyncio.sleep(0.02)

@handler(Step, retry=QUICK)
async def book(event: Event[Step], ctx: Context, session: AsyncSession) -> None:
    await gate(ctx)
    if event.data.number % 5 == 1 and ctx.attempt == 1:
        raise RuntimeError("flaky")
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": event.data.number})
    ctx.emit(Effect(number=event.data.number))

@handler(Effect, retry=QUICK)
async def follow(event: Event[Effect], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('followed', :n)"), {"n": event.data.number})

@handler(Step, retry=QUICK)
async def look(event: Event[Step], ctx: Context) -> None:
    if event.data.number % 7 == 2 and ctx.attempt == 1:
        raise RuntimeError("flaky")
"""

STEPS = ("booked", "followed")
#: Records that one step leaves: one for each handler.
RECORDS = 3


async def publish(
    fleet: Fleet, numbers: Sequence[int], *, broker: str | None = None, group: int = 20, pause: float = 0.0
) -> set[int]:
    """Publish steps, a group at a time, past whatever is broken; the numbers that were confirmed."""
    confirmed: set[int] = set()
    async with Engine(fleet.settings(broker=broker or fleet.broker)) as engine:
        for start in range(0, len(numbers), group):
            some = numbers[start : start + group]
            try:
                await engine.publish_many([Step(number=number) for number in some])
            except BrokerError:
                continue
            confirmed.update(some)
            await asyncio.sleep(pause)
    return confirmed


async def at_rest(fleet: Fleet, numbers: Iterable[int], *, perhaps: Iterable[int] = (), patience: float = 60.0) -> None:
    """Wait until all these are done and nothing is left over, drain the workers, and count.

    `perhaps` are those whose publisher was never told: they may have arrived, and count once if they did.
    """
    wanted = set(numbers)

    def ended() -> bool:
        states = dict(fleet.query("SELECT state, count(*) FROM warren_records GROUP BY state"))
        return (
            states.get("done", 0) >= RECORDS * len(wanted)
            and set(states) == {"done"}
            and fleet.query("SELECT count(*) FROM warren_outbox") == [(0,)]
        )

    await fleet.until(ended, "all messages to be handled and the outbox to be empty", patience)
    for worker in fleet.workers:
        if worker.process.poll() is None:
            assert await worker.terminate() == 0, worker.said()
    assert fleet.query("SELECT queue, reason, message FROM warren_failures") == []
    for step in STEPS:
        fleet.assert_once(step, wanted | (set(perhaps) & set(fleet.effects(step))))

"""Providers in real workers: opened before the first message, closed after the drain."""

from __future__ import annotations

from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.workers import Fleet

PLUGIN = """
from pathlib import Path
from typing import Annotated
from engine import Context, Depends, Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

def say(word):
    with open("said", "a") as log:
        print(word, file=log)

async def pool():
    say("open pool")
    if Path("broken").exists():
        raise ConnectionError("the pool is dry")
    yield "pool"
    say("close pool")

def line(ctx: Context, pool: Annotated[str, Depends(pool, scope="worker")]):
    say("open line")
    yield f"{pool} {ctx.event.data.number}"
    say("close line")

Line = Annotated[str, Depends(line)]

@handler(Step, concurrency=1)
async def use(event: Event[Step], line: Line) -> None:
    say(f"use {line}")

@handler(Step, concurrency=1)
def share(pool: Annotated[str, Depends(pool, scope="worker")]) -> None:
    assert pool == "pool"
"""


async def test_providers_live_as_long_as_their_scope(fleet: Fleet) -> None:
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=1), Step(number=2)])
    await fleet.until(
        lambda: fleet.query("SELECT count(*) FROM warren_records WHERE state = 'done'") == [(4,)], "both to be handled"
    )
    assert await worker.terminate() == 0, worker.said()
    said = (fleet.folder / "said").read_text().splitlines()
    message = ["open line", "use pool {}", "close line"]
    assert said == [
        "open pool",
        *(word.format(1) for word in message),
        *(word.format(2) for word in message),
        "close pool",
    ]


async def test_a_provider_that_fails_stops_the_start(fleet: Fleet) -> None:
    (fleet.folder / "broken").touch()
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN), ready=False)
    assert await worker.ended() == 2
    assert "the provider pool failed when the worker started: ConnectionError: the pool is dry" in worker.said()
    assert "Traceback" not in worker.said()

"""What a handler sends to one queue, emits later, or may not emit."""

from __future__ import annotations

from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.workers import Fleet

PLUGIN = """
import time
from engine import Context, Event, EventData, RetryPolicy, Settings, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

class Reserve(EventData, type="stock.reserve"):
    number: int

class Reminder(EventData, type="test.reminder"):
    sent: float

APP = Settings.load().app

def say(*words):
    with open("said", "a") as log:
        print(*words, file=log)

@handler(Step)
async def order(event: Event[Step], ctx: Context) -> None:
    ctx.send(Reserve(number=event.data.number), queue=f"{APP}.stock")
    ctx.send(Reserve(number=-1), queue=f"{APP}.nowhere")
    ctx.delay(Reminder(sent=time.time()), 0.6)

@handler(Reserve, queue=f"{APP}.stock")
async def reserve(event: Event[Reserve]) -> None:
    say("reserved", event.data.number, event.causation_id)

@handler("#")
async def protocol(event: Event) -> None:
    if event.type != "test.step":
        say("event", event.type)

@handler(Reminder)
async def remind(event: Event[Reminder]) -> None:
    say("waited", time.time() - event.data.sent)

@handler(Step, emits=[Reminder], retry=RetryPolicy(max_attempts=1))
async def liar(event: Event[Step], ctx: Context) -> None:
    ctx.emit(Reserve(number=1))
"""


async def test_a_command_reaches_one_queue_and_a_delayed_event_comes_later(fleet: Fleet) -> None:
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    said = fleet.folder / "said"
    async with Engine(fleet.settings()) as engine:
        step = await engine.publish(Step(number=7))
    await fleet.until(lambda: said.exists() and len(said.read_text().splitlines()) == 3, "the three handlers")
    lines = sorted(line.split() for line in said.read_text().splitlines())
    assert lines[0] == ["event", "test.reminder"]  # the command was no event
    assert lines[1] == ["reserved", "7", step.id]
    assert 0.55 < float(lines[2][1]) < 10
    # The command to a queue that is not there waits, and says so.
    await worker.until(f"were not taken, they wait and are tried again; the first, to {fleet.app}.nowhere")
    await fleet.until(lambda: fleet.query("SELECT kind FROM warren_outbox") == [("send",)], "all else to be sent")
    await fleet.until(lambda: len(fleet.query("SELECT * FROM warren_failures")) == 1, "the liar's failure")
    (exception, message) = fleet.query("SELECT exception, message FROM warren_failures")[0]
    assert exception.endswith("UsageError")
    assert "liar emits Reserve, but declares emits=[Reminder]" in message

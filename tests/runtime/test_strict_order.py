"""`order="strict"`: what follows an event that failed waits for it, through kills at every point of the way."""

from __future__ import annotations

import signal
from collections import defaultdict

import pytest

from engine.model.filter import Filter
from engine.operations import archiving
from engine.operations.operator import Operator
from engine.runtime.application import Engine
from engine.storage.database import Database
from tests.runtime.ordering import PLUGIN, Mark, make_marks, marks
from tests.support.homes import each_home
from tests.support.workers import Fleet, WorkerProcess

LANES, EACH = 6, 12
#: The number in its lane that fails twice, and the one that is dead-lettered.
FLAKY, BROKEN = 3, 6
#: In the first lanes the dead letter is redriven, in the others it is given up.
REDRIVEN = [f"lane-{lane}" for lane in range(LANES // 2)]
GIVEN_UP = [f"lane-{lane}" for lane in range(LANES // 2, LANES)]
CALM = "lane-calm"

HANDLER = (
    PLUGIN
    + f"""
QUICK = RetryPolicy(max_attempts=3, initial=0.25, jitter=False)

@handler(Mark, key="lane", partitions=3, order="strict", retry=QUICK, concurrency=6, circuit=0)
async def follow(event: Event[Mark], ctx: Context, session: AsyncSession) -> None:
    await note(event, session)
    if event.data.lane == "{CALM}":
        return
    if event.data.number == {FLAKY} and ctx.attempt < 3:
        raise RuntimeError("flaky")
    if event.data.number == {BROKEN} and not os.path.exists("fixed"):
        raise RuntimeError(f"{{event.data.lane}} is broken")
"""
)

PLACES = [
    f"{point}:{times}"
    for times in (1, 9)
    for point in ("claimed", "handled", "committed", "relayed", "before-ack", "routed", "buried", "forwarded")
    if times == 1 or point not in ("buried", "forwarded")
]


def quick(home: str, place: str) -> bool:
    if home == "rabbitmq-sqlite":
        return place == "before-ack:9"
    return home == "embedded-sqlite" and place in ("claimed:9", "committed:9", "relayed:9", "routed:9")


@pytest.mark.faults
@pytest.mark.parametrize(("fleet", "point"), each_home(PLACES, quick), indirect=["fleet"])
async def test_nothing_overtakes_what_failed(fleet: Fleet, point: str) -> None:
    await make_marks(fleet)
    plugin = fleet.plugin(HANDLER)
    doomed = await fleet.start(plugin, WARREN_CRASH_AT=point)
    await publish(fleet, range(EACH))
    assert await doomed.ended() == -signal.SIGKILL, doomed.said()
    fleet.tally.fault()
    worker = await fleet.start(plugin)
    every_failure = f"SELECT count(*) = {LANES} FROM warren_failures"
    await fleet.until(lambda: bool(fleet.query(every_failure)[0][0]), "a dead letter in each lane")
    await fleet.until(lambda: held(fleet) == LANES * (EACH - BROKEN - 1), "what follows them to wait", 90)

    # Nobody else waits, and what comes now stands behind.
    await fleet.until(lambda: marks(fleet).get(CALM) == [*range(EACH)], "the lane that never fails")
    assert {lane: found for lane, found in marks(fleet).items() if lane != CALM} == {
        lane: [*range(BROKEN)] for lane in (*REDRIVEN, *GIVEN_UP)
    }
    await publish(fleet, range(EACH, EACH + 2))
    (fleet.folder / "fixed").write_text("")
    await give_up(fleet)
    await redrive(fleet, worker)

    wanted = {lane: [*range(EACH + 2)] for lane in (*REDRIVEN, CALM)}
    wanted |= {lane: [number for number in range(EACH + 2) if number != BROKEN] for lane in GIVEN_UP}
    await fleet.until(lambda: sum(map(len, marks(fleet).values())) >= sum(map(len, wanted.values())), "the end", 90)
    fleet.tally.count(messages=sum(map(len, wanted.values())), lost=0, doubled=0)
    assert marks(fleet) == wanted
    await fleet.until(lambda: fleet.query("SELECT count(*) FROM warren_blocks") == [(0,)], "all keys to be free")
    assert held(fleet) == 0
    # What waited burned no attempt.
    attempts = defaultdict[int, int](
        int, fleet.query("SELECT attempts, count(*) FROM warren_records GROUP BY attempts")
    )
    assert set(attempts) <= {1, 3}
    assert await worker.terminate() == 0, worker.said()


async def publish(fleet: Fleet, numbers: range) -> None:
    async with Engine(fleet.settings()) as engine:
        for number in numbers:
            await engine.publish_many([Mark(lane=lane, number=number) for lane in (*REDRIVEN, *GIVEN_UP, CALM)])


def held(fleet: Fleet) -> int:
    return int(fleet.query("SELECT count(*) FROM warren_held")[0][0])


async def give_up(fleet: Fleet) -> None:
    """An operator archives the dead letters of these lanes."""
    database = await Database.open(fleet.database)
    try:
        for lane in GIVEN_UP:
            plan = await archiving.plan_archive(database, Filter(texts=(f"{lane} is broken",)))
            done = await archiving.archive(database, plan, operator=Operator("anna"))
            assert len(done.ids) == 1
    finally:
        await database.close()


async def redrive(fleet: Fleet, worker: WorkerProcess) -> None:
    """An operator redrives the others."""
    terminal = await fleet.command("redrive", "--all", "--canary", "0", "--reason", "mended", "--yes")
    assert await terminal.ended() == 0, terminal.said() + worker.said()

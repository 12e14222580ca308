"""What fails, looked at again and again: always the newest state, and read only where it changed."""

from __future__ import annotations

import random

import pytest

from engine.model.filter import Filter
from engine.operations.failing import STALE, Causes, FailingLook
from engine.operations.masking import UNMASKED
from engine.storage import failures
from engine.storage.database import Database
from engine.storage.failures import Status
from tests.support.failing import bury

SPAN, PARTS = 3600.0, 6
OPEN = Filter(status=Status.OPEN)


def causes() -> Causes:
    return Causes(limit=20, masking=UNMASKED, buckets=PARTS, span=SPAN)


async def test_each_look_tells_what_a_first_look_would(database: Database) -> None:
    """Failures come, are archived, come back and are redriven, also as many of a cause as go."""
    chance, now, known = random.Random(5), 10_000.0, causes()
    look = FailingLook("shop", known, span=SPAN, parts=PARTS)
    statuses: dict[int, Status] = {}
    for number in range(60):
        now += chance.choice((0.5, 3.0, 400.0))
        for _ in range(chance.randrange(3)):
            exception = chance.choice(("TimeoutError", "ValueError", "KeyError"))
            event_id = f"e-{number}-{len(statuses)}"
            statuses[await bury(database, event_id, exception=exception, arrived=now - 0.1)] = Status.OPEN
        if statuses and chance.random() < 0.6:
            status = chance.choice(list(Status))
            some = [
                each for each in chance.sample(sorted(statuses), k=min(3, len(statuses))) if statuses[each] != status
            ]
            statuses.update(dict.fromkeys(some, status))
            await database.write(
                lambda connection, some=some, status=status, now=now: failures.set_status(  # type: ignore[misc]
                    connection, some, status, now=now, redriven_run=3 if status is Status.REDRIVEN else None
                )
            )
        found = await look.look(database, now)
        first = await FailingLook("shop", causes(), span=SPAN, parts=PARTS).look(database, now)
        assert found.groups == first.groups
        assert sum(found.arrivals) >= sum(first.arrivals)  # what is an hour old by now leaves with the next that comes


async def test_what_did_not_change_is_not_read_again_but_for_edits(database: Database) -> None:
    await bury(database, "a", arrived=9_999.0)
    known = causes()
    first = await known.look(database, OPEN, 10_000.0)
    assert [group.total for group in first] == [1]
    assert await known.look(database, OPEN, 10_001.0) is first
    assert await known.look(database, OPEN, 10_000.0 + STALE) is not first


@pytest.mark.parametrize("why", ["another came", "another filter", "a part is over", "told to"])
async def test_it_is_read_again_when(database: Database, why: str) -> None:
    await bury(database, "a", arrived=9_999.0)
    known, wanted, now = causes(), OPEN, 10_199.0
    first = await known.look(database, wanted, now)
    assert await known.look(database, wanted, now) is first
    if why == "another came":
        await bury(database, "b", arrived=now)
    elif why == "another filter":
        wanted = Filter(status=Status.OPEN, handler="charge")
    elif why == "a part is over":
        now = 10_200.0
    else:
        known.forget()
    assert await known.look(database, wanted, now) is not first


async def test_where_nothing_tells_of_a_change_it_is_read_each_time(database: Database) -> None:
    """What became of a redrive, and what an age leaves, change by themselves."""
    await bury(database, "a", arrived=9_999.0)
    for wanted in (Filter(status=Status.REDRIVEN), Filter(), Filter(status=Status.OPEN, texts=("provider",))):
        known = causes()
        assert await known.look(database, wanted, 10_000.0) is not await known.look(database, wanted, 10_000.0)


async def test_the_last_part_is_under_way(database: Database) -> None:
    for arrived in (6_600.5, 9_599.0, 9_601.0, 9_999.0):
        await bury(database, f"e-{arrived}", arrived=arrived)
    (group,) = await causes().look(database, OPEN, 10_000.0)
    assert group.buckets == (1, 0, 0, 0, 1, 2)

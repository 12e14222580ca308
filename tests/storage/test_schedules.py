from __future__ import annotations

import math

from engine.storage import schedules
from engine.storage.database import Database
from engine.storage.schedules import Schedule

NEW = Schedule("shop.jobs.nightly", "shop", "0 3 * * *", "UTC", "last", 100.0, 200.0, None, "host:1:a", 100.0)


async def begin(database: Database, wanted: Schedule) -> Schedule:
    return await database.write(lambda connection: schedules.begin(connection, wanted))


async def advance(database: Database, stands: Schedule, last: float, fired: float | None = None) -> bool:
    return await database.write(
        lambda connection: schedules.advance(connection, stands, last=last, next=last + 100, fired=fired, now=last)
    )


async def stored(database: Database) -> Schedule:
    (found,) = await database.read(lambda connection: schedules.list_schedules(connection, "shop"))
    return found


async def test_a_tick_is_settled_once_and_only_from_where_the_schedule_stood(database: Database) -> None:
    assert await begin(database, NEW) == NEW
    assert await advance(database, NEW, 200.0, fired=200.0)
    assert (await stored(database))[5:8] == (200.0, 300.0, 200.0)
    # The same step again, after a COMMIT whose answer was lost, is no other step.
    assert await advance(database, NEW, 200.0, fired=200.0)
    assert not await advance(database, NEW, 300.0)
    assert (await stored(database)).last == 200.0


async def test_who_takes_over_goes_on_from_there_and_the_former_is_out(database: Database) -> None:
    await begin(database, NEW)
    await advance(database, NEW, 200.0, fired=200.0)
    heir = await begin(database, NEW._replace(worker="host:2:b", last=950.0, next=1000.0, changed=950.0))
    assert (heir.last, heir.next, heir.fired) == (200.0, 300.0, 200.0)
    former = NEW._replace(last=200.0)
    assert not await advance(database, former, 300.0, fired=300.0)
    assert await advance(database, heir, 300.0)
    # What the heir has settled is none of the former's doing, even if it is the same step.
    assert not await advance(database, former, 300.0)


async def test_a_schedule_whose_times_changed_owes_nothing(database: Database) -> None:
    await begin(database, NEW)
    await advance(database, NEW, 200.0, fired=200.0)
    for change in ({"spec": "0 4 * * *"}, {"timezone": "Europe/Berlin"}):
        changed = NEW._replace(last=5000.0, next=math.inf, changed=5000.0, **change)
        assert await begin(database, changed) == changed._replace(fired=200.0)
        assert await stored(database) == changed._replace(fired=200.0)


async def test_each_application_sees_its_own(database: Database) -> None:
    await begin(database, NEW)
    await begin(database, NEW._replace(name="bank.jobs.nightly", app="bank"))
    assert (await stored(database)).name == "shop.jobs.nightly"

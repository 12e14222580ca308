"""kill -9 of terminals and workers in the middle of a redrive: nothing is lost, nothing doubled, all verified."""

from __future__ import annotations

import random

import pytest

from engine.storage.database import Database
from tests.faults.test_operations import PLUGIN
from tests.support.failing import bury_many
from tests.support.workers import Fleet, WorkerProcess

pytestmark = pytest.mark.faults

#: Workers that are killed, each at a moment of its own.
KILLS = 3
#: Seconds for one part of the way.
PATIENCE = 400.0


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
async def test_a_redrive_outlives_terminals_and_workers_killed_at_any_moment(fleet: Fleet, count: int) -> None:
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    declaring = await fleet.start(plugin)
    assert await declaring.terminate() == 0, declaring.said()
    await bury(fleet, count)

    # One terminal dies while it writes down what is to be sent; another while it sends, with nobody else alive.
    await killed(fleet, await terminal(fleet), 0)
    await killed(fleet, await terminal(fleet), random.randrange(1, count))

    workers = [await fleet.start(plugin) for _ in range(2)]
    for mark in sorted(random.randrange(reached(fleet), 2 * count) for _ in range(KILLS)):
        await fleet.until(lambda mark=mark: reached(fleet) >= mark, f"{mark} messages", PATIENCE)  # type: ignore[misc]
        await workers.pop(random.randrange(2)).kill()
        fleet.tally.fault()
        workers.append(await fleet.start(plugin))
    await fleet.until(lambda: over(fleet), "the end of the operations", PATIENCE)
    for worker in workers:
        assert await worker.terminate() == 0, worker.said()

    fleet.assert_once("booked", range(count))
    assert fleet.query("SELECT count(*) FROM warren_outbox") == [(0,)]
    assert fleet.query("SELECT status, count(*) FROM warren_failures GROUP BY status") == [("redriven", count)]
    assert fleet.query("SELECT state, count(*) FROM warren_records GROUP BY state") == [("done", count)]
    # Of a message that both terminals ordered one operation has the outcome, and the other left it alone.
    assert items(fleet, "succeeded") == count
    assert items(fleet, "sent") == items(fleet, "failed again") == items(fleet, "failed otherwise") == 0


async def bury(fleet: Fleet, count: int) -> None:
    database = await Database.open(fleet.database)
    try:
        queue = f"{fleet.app}.plugin.book"
        await bury_many(database, count, queue=queue, body=lambda number: b'{"order_id": %d}' % number)
    finally:
        await database.close()


async def terminal(fleet: Fleet) -> WorkerProcess:
    """An operator orders that all be redriven, and stays to see it."""
    return await fleet.command("redrive", "--all", "--canary", "0", "--reason", "mended", "--yes")


async def killed(fleet: Fleet, operator: WorkerProcess, mark: int) -> None:
    """kill -9 as soon as an operation of his is there, and has sent so many messages; he may be done before."""
    before = operations(fleet)

    def there() -> bool:
        latest = fleet.query("SELECT sent FROM warren_operations ORDER BY created DESC LIMIT 1")
        return operator.process.poll() is not None or (operations(fleet) > before and latest and latest[0][0] >= mark)

    await fleet.until(there, f"an operation that has sent {mark}", PATIENCE)
    assert operations(fleet) > before, operator.said()
    await operator.kill()
    fleet.tally.fault()


def operations(fleet: Fleet) -> int:
    [(count,)] = fleet.query("SELECT count(*) FROM warren_operations")
    return int(count)


def reached(fleet: Fleet) -> int:
    """How far all is: each message counts when it is sent, and when it is handled."""
    [(sent,)] = fleet.query("SELECT sum(sent) FROM warren_operations")
    [(booked,)] = fleet.query("SELECT count(*) FROM effects")
    return int(sent) + int(booked)


def over(fleet: Fleet) -> bool:
    """All are done, but for those that were never wholly written down."""
    return fleet.query("SELECT DISTINCT state FROM warren_operations WHERE state != 'preparing'") == [("done",)]


def items(fleet: Fleet, state: str) -> int:
    [(count,)] = fleet.query(f"SELECT count(*) FROM warren_operation_items WHERE state = '{state}'")
    return int(count)

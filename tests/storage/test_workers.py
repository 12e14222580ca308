from __future__ import annotations

from engine.model.stats import HandlerStats, Histogram, total
from engine.storage import workers
from engine.storage.database import Database
from engine.storage.workers import DeclaredQueue, Stats, Worker


def worker(number: int, **changes: object) -> Worker:
    return Worker(
        f"host:{number}:abc", "shop", "1.0", "running", float(number), float(number), {"pid": number}
    )._replace(
        **changes  # type: ignore[arg-type]
    )


async def test_workers_report_themselves(database: Database) -> None:
    for number in (2, 1):
        await database.write(lambda connection, number=number: workers.register(connection, worker(number)))  # type: ignore[misc]
    assert await database.read(workers.list_workers) == [worker(1), worker(2)]
    changed = worker(1, state="draining", info={"pid": 1, "queues": ["a"]})
    await database.write(lambda connection: workers.register(connection, changed))
    assert await database.read(workers.list_workers) == [changed, worker(2)]


async def test_beats_and_the_end(database: Database) -> None:
    await database.write(lambda connection: workers.register(connection, worker(1)))
    assert await database.write(lambda connection: workers.beat(connection, "host:1:abc", state="running", now=50.0))
    assert not await database.write(lambda connection: workers.beat(connection, "nobody", state="running", now=50.0))
    assert await database.read(workers.list_workers) == [worker(1, beat=50.0)]
    await database.write(lambda connection: workers.stop(connection, "host:1:abc", now=60.0))
    assert await database.read(workers.list_workers) == [worker(1, beat=60.0, state="stopped")]


def stats(number: int, queue: str, handled: int) -> Stats:
    counts = HandlerStats(handled=handled, failed=1, retried=2, dead=3, duplicates=4, stale=5, parked=6, in_flight=7)
    counts.latency = Histogram()
    for _ in range(handled):
        counts.latency.add(0.01)
    return Stats(f"host:{number}:abc", queue, f"{queue}.handler", float(handled), counts)


async def test_counters_are_overwritten_and_add_up(database: Database) -> None:
    for found in ([stats(1, "a", 10), stats(1, "b", 1), stats(2, "a", 5)], [stats(1, "a", 20)], []):
        await database.write(lambda connection, found=found: workers.save_stats(connection, found))  # type: ignore[misc]
    everything = await database.read(workers.list_stats)
    assert [(each.worker, each.queue, each.counts.handled) for each in everything] == [
        ("host:1:abc", "a", 20),
        ("host:2:abc", "a", 5),
        ("host:1:abc", "b", 1),
    ]
    of_a = await database.read(lambda connection: workers.list_stats(connection, queue="a"))
    both = total(each.counts for each in of_a)
    assert both.handled == sum(both.latency.counts) == 25
    assert everything[0].counts.snapshot().in_flight == 7
    assert everything[0].updated == 20.0


async def test_a_worker_is_forgotten_with_its_counters(database: Database) -> None:
    await database.write(lambda connection: workers.register(connection, worker(1)))
    await database.write(lambda connection: workers.save_stats(connection, [stats(1, "a", 1), stats(2, "a", 1)]))
    await database.write(lambda connection: workers.remove(connection, "host:1:abc"))
    assert await database.read(workers.list_workers) == []
    assert [each.worker for each in await database.read(workers.list_stats)] == ["host:2:abc"]


async def test_declared_queues_are_remembered(database: Database) -> None:
    first = DeclaredQueue("shop.a", "shop", "a", ("order.*",), 1.0, 1.0)
    other = DeclaredQueue("bank.a", "bank", "a", (), 1.0, 1.0)
    await database.write(lambda connection: workers.declare_queues(connection, [first, other]))
    again = first._replace(patterns=("order.placed",), first_declared=5.0, last_declared=5.0)
    await database.write(lambda connection: workers.declare_queues(connection, [again]))
    kept = again._replace(first_declared=1.0)
    assert await database.read(workers.list_queues) == [other, kept]
    assert await database.read(lambda connection: workers.list_queues(connection, app="shop")) == [kept]
    await database.write(lambda connection: workers.forget_queue(connection, "shop.a"))
    assert await database.read(workers.list_queues) == [other]

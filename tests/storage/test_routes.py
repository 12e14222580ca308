"""Who takes which commands, and which types of events were ever logged."""

from __future__ import annotations

from sqlalchemy import Connection

from engine.storage import event_types, workers
from engine.storage.database import Database
from engine.storage.workers import DeclaredQueue, Worker

SHIP = DeclaredQueue("shop.ship", "shop", "ship", ("order.ship",), 1.0, 1.0, "command")
GET = DeclaredQueue("shop.get", "shop", "get", ("order.get", "order.count"), 1.0, 1.0, "query")
EVENTS = DeclaredQueue("shop.log", "shop", "log", ("order.*",), 1.0, 1.0)


def worker(name: str, *queues: str, **changes: object) -> Worker:
    made = Worker(name, "shop", "1", "running", 1.0, 100.0, {"handlers": dict.fromkeys(queues, "x")})
    return made._replace(**changes)  # type: ignore[arg-type]


async def test_the_queue_that_was_declared_last_takes_a_command(database: Database) -> None:
    await database.write(lambda connection: workers.declare_queues(connection, [SHIP, GET, EVENTS]))
    assert await database.read(workers.list_queues) == [GET, EVENTS, SHIP]
    routes = {"order.ship": "shop.ship", "order.get": "shop.get", "order.count": "shop.get"}
    assert await database.read(workers.routes) == routes
    renamed = SHIP._replace(queue="a.other", last_declared=2.0)
    await database.write(lambda connection: workers.declare_queues(connection, [renamed]))
    assert (await database.read(workers.routes))["order.ship"] == "a.other"
    assert not SHIP.wants("order.ship")
    assert EVENTS.wants("order.ship")


async def test_a_living_worker_with_another_queue_is_a_rival(database: Database) -> None:
    mine = SHIP._replace(queue="shop.mine")
    other_app = GET._replace(queue="z.get", app="z")

    def rival(wanted: DeclaredQueue, *dead: str, now: float = 105.0) -> object:
        def ask(connection: Connection) -> object:
            workers.announce(connection)
            return workers.find_rival(connection, [wanted, EVENTS], lambda name: name not in dead, now)

        return database.write(ask)

    async def found(wanted: DeclaredQueue, *dead: str, now: float = 105.0) -> str | None:
        answer = await rival(wanted, *dead, now=now)  # type: ignore[misc]
        return None if answer is None else answer.worker

    def fill(connection: Connection) -> None:
        workers.declare_queues(connection, [SHIP, GET, EVENTS])
        workers.register(connection, worker("w-1", "shop.ship", "shop.log"))
        workers.register(connection, worker("w-2", "shop.get"))

    assert await found(mine) is None
    await database.write(fill)
    assert await found(mine) == "w-1"
    assert await found(SHIP) is None  # the same queue is the same group
    assert await found(mine, "w-1") is None
    assert await found(mine, now=100.0 + workers.SILENT + 1) is None
    assert await found(other_app) == "w-2"  # also of another application
    assert await found(EVENTS._replace(queue="other")) is None
    await database.write(lambda connection: workers.stop(connection, "w-1", now=105.0))
    assert await found(mine) is None


async def test_known_types_are_found_by_leaps(database: Database) -> None:
    assert await database.read(event_types.known) == []

    def log(connection: Connection) -> None:
        for number, kind in enumerate(("b.two", "a.one", "b.two", "c")):
            connection.exec_driver_sql(
                "INSERT INTO warren_events (position, event_id, event_type, origin, queue, source, exchange, time, recorded,"
                f" properties, body) VALUES ({number + 1}, 'e-{number}', '{kind}', 'emitted', '', '', '', 0, 0, '', '')"
            )

    await database.write(log)
    assert await database.read(event_types.known) == ["a.one", "b.two", "c"]

"""Databases full of failures: written one by one as the intake does, or in bulk."""

from __future__ import annotations

import json
import random
import time
from hashlib import blake2b

from sqlalchemy import Connection, text

from engine.model.message import Message
from engine.storage import event_log, tables, workers
from engine.storage import failures as stored
from engine.storage.database import Database
from engine.storage.event_log import Entry, Origin
from engine.storage.failures import Failure
from engine.storage.workers import DeclaredQueue

#: Dead letters that the intake writes in one transaction.
GROUP = 100
#: Failures that are written as the intake does before they are copied.
BASE = 10_000
#: Events of the one trace, as many as a trace reads.
EVENTS = 2000
#: Handlers that have a queue each.
HANDLERS = 20
#: When the last failures came, in seconds since the epoch.
NOW = 1_790_000_000.0
#: The time in which all of them came, in seconds.
SPAN = 86_400.0


_LARGE = text("SELECT id FROM warren_failures WHERE event_id = 'large'")
_ROWS = "INSERT INTO warren_failures ({names}) SELECT {chosen} FROM warren_failures WHERE id <= :base"
_MESSAGES = (
    "INSERT INTO warren_failed_messages (failure_id, traceback, properties, body)"
    " SELECT failure_id + :ids, traceback, properties, body FROM warren_failed_messages WHERE failure_id <= :base"
)
_FIELDS = (
    "INSERT INTO warren_failure_fields (leaf, failure_id)"
    " SELECT leaf, failure_id + :ids FROM warren_failure_fields WHERE failure_id <= :base"
)


def queue_names(app: str) -> list[str]:
    """The queues of the handlers that failed."""
    return [f"{app}.orders.h{number}" for number in range(HANDLERS)]


async def fill(url: str, number: int, until: float = NOW) -> float:
    """Write so many failures, which came within a day before `until`, as the intake does; microseconds for each."""
    database = await Database.open(url, migrate=True)
    chance = random.Random(7)
    spent = 0.0
    try:
        for start in range(0, number, GROUP):
            numbers = range(start, start + GROUP)
            group = [failure(each, until - SPAN + each * SPAN / number, chance) for each in numbers]
            begun = time.perf_counter()
            await database.write(lambda connection, group=group: stored.add(connection, group))  # type: ignore[misc]
            spent += time.perf_counter() - begun
    finally:
        await database.close()
    return spent / number * 1e6


async def furnish(url: str, app: str, until: float) -> int:
    """Add what a fleet has besides: queues of the app, a trace of `EVENTS` events, a failure of 1 MiB, whose id it is."""
    queues = [DeclaredQueue(name, app, name.rsplit(".", 1)[1], ("order.#",), until, until) for name in queue_names(app)]
    lines = [{"sku": f"s{number}", "n": number} for number in range(36_000)]
    body = json.dumps({"eventType": "order.placed", "eventId": "large", "data": {"lines": lines}}).encode()
    large = failure(0, until, random.Random(7))._replace(
        event_id="large", exception="TooLarge", fingerprint="large", original=Message(body, {}, message_id="large")
    )
    database = await Database.open(url)
    try:
        await database.write(lambda connection: workers.declare_queues(connection, queues))
        await database.write(lambda connection: event_log.append(connection, _events(app, until), now=until))
        await database.write(lambda connection: stored.add(connection, [large]))
        found = await database.read(lambda connection: connection.scalar(_LARGE))
        return int(found or 0)
    finally:
        await database.close()


def _events(app: str, until: float) -> list[Entry]:
    """A tree of events: each has four that it caused."""
    return [
        Entry(
            event_id=f"traced-{number}",
            event_type=f"order.t{number % 5}",
            aggregate_type=None,
            aggregate_id=None,
            version=None,
            origin=Origin.EMITTED,
            queue=f"{app}.orders.h{number % HANDLERS}" if number else "",
            source=app,
            correlation_id="traced",
            causation_id=f"traced-{(number - 1) // 4}" if number else None,
            exchange="events",
            routing_key="order.placed",
            time=until - EVENTS + number,
            due=None,
            message=Message(b"{}", {}, message_id=f"traced-{number}"),
        )
        for number in range(EVENTS)
    ]


async def fill_in_bulk(url: str, number: int, until: float = NOW) -> None:
    """Write `BASE` failures as the intake does, and copies of them, each with ids of its own, until there are `number`."""
    await fill(url, BASE, until)
    database = await Database.open(url)
    try:
        await database.write(lambda connection: _copy(connection, number // BASE - 1))
    finally:
        await database.close()


def _copy(connection: Connection, copies: int) -> None:
    sqlite = connection.dialect.name == "sqlite"
    trigger = None
    if sqlite:  # the index of text is written at the end, which is faster
        trigger = connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = 'warren_failure_text_added'"))
        connection.execute(text("DROP TRIGGER warren_failure_text_added"))
        connection.execute(text("PRAGMA cache_size = -262144"))
    names = [column.name for column in tables.failures.c]
    said = {
        "id": "id + :ids",
        "event_id": "event_id || :mark",
        "correlation_id": "correlation_id || :mark",
        "message": "message || :mark",
        "arrived": "arrived - :seconds",
    }
    chosen = ", ".join(said.get(name, name) for name in names)
    for copy in range(1, copies + 1):
        given = {"ids": copy * BASE, "mark": f"-{copy}", "seconds": copy * SPAN / BASE / (copies + 1), "base": BASE}
        for statement in (_ROWS.format(names=", ".join(names), chosen=chosen), _MESSAGES, _FIELDS):
            known = {name: value for name, value in given.items() if f":{name}" in statement}
            connection.execute(text(statement), known)
    if trigger:
        connection.execute(text("INSERT INTO warren_failure_text (warren_failure_text) VALUES ('rebuild')"))
        connection.execute(text(trigger))
    else:
        connection.execute(text("ANALYZE"))


def failure(number: int, arrived: float, chance: random.Random) -> Failure:
    """The failure of this number: of 20 handlers, 50 exceptions, 100 causes."""
    handler, exception = f"h{number % HANDLERS}", f"Exc{number % 50}"
    event_id = f"0189-{number:08}"
    data = {"order_id": f"o-{number}", "customer": f"c{number % 1000}", "total": number / 100, "currency": "EUR"}
    body = json.dumps(
        {
            "eventType": "order.placed",
            "eventId": event_id,
            "data": {**data, "lines": [{"sku": f"s{number % 300}", "n": 1}]},
        }
    ).encode()
    message = f"the provider did not answer within {chance.random():.3f} s for order o-{number}"
    return Failure(
        queue=f"shop.orders.{handler}",
        event_id=event_id,
        run=1,
        body_hash=blake2b(body, digest_size=16).digest(),
        event_type=f"order.t{number % 5}",
        handler=handler,
        worker="w",
        reason="attempts exhausted",
        exception=exception,
        message=message,
        traceback="Traceback (most recent call last):\n" * 10,
        fingerprint=blake2b(f"{handler}{exception}".encode(), digest_size=6).hexdigest(),
        attempts=4,
        first_failed=arrived,
        last_failed=arrived,
        arrived=arrived,
        exchange="events",
        routing_key="order.placed",
        correlation_id=f"c{number // 3}",
        original=Message(body, {"traceparent": "00-1-2"}, message_id=event_id, type="order.placed"),
    )

"""Failures as the intake writes them, each with the record of its message."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.model.message import Message
from engine.model.record import Record, State
from engine.runtime.intake import body_hash
from engine.runtime.keys import key_hash
from engine.storage import failure_search, failures, records
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from engine.storage.failures import Failure

if TYPE_CHECKING:
    from sqlalchemy import Connection

QUEUE = "shop.orders.charge"

#: Failures that `bury_many` writes in one transaction.
MANY = 2000


def dead_message(
    event_id: str,
    *,
    queue: str = QUEUE,
    exception: str = "TimeoutError",
    arrived: float = 1000.0,
    run: int = 2,
    body: bytes = b'{"order_id": "42"}',
    own_id: str | None = None,
) -> tuple[Failure, Record]:
    """A dead message as the intake has it, and its record."""
    digest = body_hash(body) if own_id is None else key_hash(event_id)
    row = Record(queue, event_id, State.DEAD, run, 4, 4, "w", digest, 0, False, arrived, arrived)
    failure = Failure(
        queue=queue,
        event_id=event_id,
        run=run,
        body_hash=digest,
        event_type="order.placed",
        handler=queue.rpartition(".")[2],
        worker="w",
        reason="attempts exhausted",
        exception=exception,
        message="the provider did not answer",
        traceback="Traceback (most recent call last): …",
        fingerprint=f"{exception}-{queue}",
        attempts=4,
        first_failed=arrived - 10,
        last_failed=arrived,
        arrived=arrived,
        exchange="events",
        routing_key="order.placed",
        correlation_id="c-1",
        original=Message(
            body,
            {"tenant": "t-1", "x-death": "forged", "CC": ["elsewhere"], "warren-run": 7, "traceparent": "00-1-2-01"},
            message_id=own_id or event_id,
            type="order.placed",
            content_type="application/json",
        ),
    )
    return failure, row


async def bury(
    database: Database,
    event_id: str,
    *,
    queue: str = QUEUE,
    exception: str = "TimeoutError",
    arrived: float = 1000.0,
    run: int = 2,
    body: bytes = b'{"order_id": "42"}',
    record: bool = True,
    own_id: str | None = None,
) -> int:
    """Write a dead message and its failure; the failure's id. With `own_id`, `event_id` is an idempotency key."""
    failure, row = dead_message(
        event_id, queue=queue, exception=exception, arrived=arrived, run=run, body=body, own_id=own_id
    )

    def work(connection: Connection) -> int:
        failures.add(connection, [failure])
        if record:
            records.put(connection, [row])
        return failure_search.select_ids(connection, Filter(queue=queue, event_id=event_id))[-1]

    return await database.write(work)


async def set_record(database: Database, event_id: str, *, queue: str = QUEUE, **changes: object) -> None:
    """Change the record of a message, as a worker would."""

    def work(connection: Connection) -> None:
        record = records.fetch(connection, [(queue, event_id)])[queue, event_id]
        records.put(connection, [record._replace(**changes)])  # type: ignore[arg-type]

    await database.write(work)


async def bury_many(
    database: Database,
    count: int,
    *,
    queue: str = QUEUE,
    body: Callable[[int], bytes] = lambda number: b'{"order_id": "%d"}' % number,
    exception: Callable[[int], str] = lambda _: "TimeoutError",
) -> list[int]:
    """Write so many dead messages and their failures, `m-000000` and on, a few thousand a transaction; the failures' ids."""

    def work(first: int, connection: Connection) -> None:
        numbers = range(first, min(first + MANY, count))
        dead = [
            dead_message(f"m-{number:06}", queue=queue, exception=exception(number), body=body(number))
            for number in numbers
        ]
        failures.add(connection, [failure for failure, _ in dead])
        records.put(connection, [record for _, record in dead])

    for first in range(0, count, MANY):
        await database.write(partial(work, first))
    return await database.read(lambda connection: failure_search.select_ids(connection, Filter(queue=queue)))

"""Failures as the intake writes them, each with the record of its message."""

from __future__ import annotations

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

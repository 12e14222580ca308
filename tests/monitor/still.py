"""A shop that stands still: real servers and tables, rows of fixed times and ids, and a clock that does not go on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from engine import Settings
from engine.model.deadletter import fingerprint
from engine.model.message import Message
from engine.model.operation import Item, ItemState, Operation, Options, Stage, State
from engine.model.record import Record
from engine.model.record import State as RecordState
from engine.model.stats import HandlerStats
from engine.runtime.application import Engine
from engine.runtime.projector import lease_name
from engine.storage import audit, edits, event_log, failures, leases, operations, pauses, projections, records, workers
from engine.storage.audit import Entry
from engine.storage.database import Database
from engine.storage.edits import NewEdit
from engine.storage.event_log import Origin
from engine.storage.failures import Failure, Status
from engine.storage.liveness import Liveness
from engine.storage.workers import Stats, Worker
from tests.support.inprocess import own_settings, working

#: 2026-11-23 15:20:00 UTC, when the shop stood still.
NOW = 1_795_447_200.0

PLUGIN = """
from engine import Aggregate, Event, EventData, applies, handler


class OrderPlaced(EventData, type="order.placed", version=1, aggregate="order", key="order_id"):
    order_id: str
    total: float
    card_token: str = ""


class Reserved(EventData, type="inventory.reserved", version=1, aggregate="order", key="order_id"):
    order_id: str


class Deposited(EventData, type="account.deposited", aggregate="account", key="account_id"):
    account_id: str
    cents: int


class Account(Aggregate, type="account"):
    cents: int = 0
    deposits: int = 0
    pin: str = "1234"

    @applies(Deposited)
    def _deposited(self, event: Deposited) -> None:
        self.cents += event.cents
        self.deposits += 1


@handler(OrderPlaced)
async def charge(event: Event[OrderPlaced]) -> None: ...


@handler(OrderPlaced)
async def reserve(event: Event[OrderPlaced]) -> None: ...


@handler(Reserved)
async def ship(event: Event[Reserved]) -> None: ...
"""

TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/shop/lib/python3/site-packages/bank/client.py", line 31, in charge
    return await self._post("/charges", body)
  File "/srv/shop/handlers/shop.py", line 24, in charge
    await bank.charge(event.data.order_id, event.data.total)
TimeoutError: the payment provider did not answer within 5 s"""

#: Why orders fail: the exception, its message, the handler, how many orders, and how long ago the first and the last.
CAUSES = (
    ("TimeoutError", "the payment provider did not answer within 5 s", "charge", 12, 5400.0, 45.0),
    ("ValueError", "card declined: 2400 is over the limit", "charge", 5, 80000.0, 3000.0),
    ("KeyError", "'sku-4711'", "reserve", 3, 500.0, 400.0),
)


@asynccontextmanager
async def still(folder: Path) -> AsyncIterator[Settings]:
    """The settings of the shop. Its only living worker is this process, which does nothing."""
    settings = own_settings(folder, "shop")
    plugin = folder / "handlers" / "shop.py"
    plugin.parent.mkdir()
    plugin.write_text(PLUGIN)
    async with working(settings, plugin) as worker:
        ran = worker.id
    async with Engine(settings) as engine:
        for number in range(7):
            await engine.publish_messages([("inventory.reserved", Message(b"{}", message_id=f"w-{number}"))])
    database = await Database.open(settings.database_url)
    await database.write(lambda connection: workers.remove(connection, ran))
    await database.write(furnish)
    liveness = await Liveness.open(database, "web-1:4100:a1b2c3")
    try:
        yield settings
    finally:
        await liveness.close()
        await database.close()


def furnish(connection: Connection) -> None:
    """Write all rows."""
    failures.add(connection, list(_failures()))
    failures.set_status(connection, [13], Status.ARCHIVED, now=NOW - 900)
    records.put(connection, [*_records()])
    event_log.append(connection, _deposits(), now=NOW - 90000)
    event_log.append(connection, list(_events()), now=NOW - 50)
    _project(connection)
    _work(connection)
    _operate(connection)
    edits.add(
        connection,
        NewEdit(17, _body(17, 2400.0), _body(17, 240.0), ""),
        who="anna@web-1",
        why="a typo in the total",
        now=NOW - 600,
    )
    pauses.pause(connection, "shop.shop.ship", who="ben@web-2", why="the carrier is on strike", now=NOW - 7200)
    for entry in _acts():
        audit.append(connection, entry)


def order_id(number: int) -> str:
    return f"01990000-0000-7000-8000-{number:012d}"


def _body(number: int, total: float) -> bytes:
    data = {"order_id": f"o-{number}", "total": total, "card_token": "tok-secret"}
    body = {"eventType": "order.placed", "eventId": order_id(number), "version": 1, "data": data}
    return json.dumps({**body, "correlationId": f"visit-{number}"}).encode()


def _failures() -> list[Failure]:
    found: list[Failure] = []
    for exception, message, handler, many, first, last in CAUSES:
        for at in range(many):
            number = len(found) + 1
            when = NOW - first + (first - last) * at / max(many - 1, 1)
            total = 2400.0 if exception == "ValueError" else 19.9
            found.append(_failure(number, exception, message, handler, when, total))
    stranger = Message(b'{"order_id": "x-1"', message_id="x-1", headers={"traceparent": "00-4bf9"})
    odd = _failure(len(found) + 1, "DecodingError", "the body is not JSON", "", NOW - 20000, 0.0)
    return [
        *found,
        odd._replace(reason="unreadable", event_type="", traceback="", correlation_id=None, original=stranger),
    ]


def _failure(number: int, exception: str, message: str, handler: str, when: float, total: float) -> Failure:
    original = Message(
        _body(number, total),
        content_type="application/json",
        message_id=order_id(number),
        type="order.placed",
        app_id="shop",
        headers={"x-customer": "c-7"},
    )
    return Failure(
        queue=f"shop.shop.{handler or 'charge'}",
        event_id=order_id(number),
        run=1,
        body_hash=number.to_bytes(32, "big"),
        event_type="order.placed",
        handler=handler,
        worker="web-1:4100:a1b2c3",
        reason="attempts exhausted",
        exception=exception,
        message=message,
        traceback=TRACEBACK,
        fingerprint=fingerprint(exception, handler, "charge"),
        attempts=4,
        first_failed=when - 80,
        last_failed=when,
        arrived=when,
        exchange="shop.events",
        routing_key="order.placed",
        correlation_id=f"visit-{number}",
        original=original,
    )


def _records() -> list[Record]:
    """The records of what failed with a time-out, but for two that were pruned, and of what was reserved."""
    made = [_record("charge", number, RecordState.DEAD, 4, NOW - 50, 5.0) for number in range(3, 13)]
    return [*made, _record("reserve", 12, RecordState.DONE, 1, NOW - 60, 0.4)]


def _record(handler: str, number: int, state: RecordState, attempts: int, began: float, took: float) -> Record:
    worker, body_hash = "web-1:4100:a1b2c3", number.to_bytes(32, "big")
    return Record(
        f"shop.shop.{handler}",
        order_id(number),
        state,
        1,
        1,
        attempts,
        worker,
        body_hash,
        0,
        False,
        began,
        began + took,
    )


def _events() -> list[event_log.Entry]:
    def entry(number: int, kind: str, at: float, cause: str | None = None, queue: str = "") -> event_log.Entry:
        event_id = order_id(number)
        message = Message(_body(12, 19.9), message_id=event_id, correlation_id="visit-12", type=kind)
        return event_log.Entry(
            *(event_id, kind, "order", "o-12", None, Origin.EMITTED, queue, "shop"),
            *("visit-12", cause, "shop.events", kind, at, None, message),
        )

    return [
        entry(12, "order.placed", NOW - 61),
        entry(112, "inventory.reserved", NOW - 59.5, order_id(12), "shop.shop.reserve"),
    ]


def _deposits() -> list[event_log.Entry]:
    """The stream of an account."""

    def entry(version: int, cents: int) -> event_log.Entry:
        event_id = order_id(200 + version)
        body = {
            "eventType": "account.deposited",
            "eventId": event_id,
            "version": 1,
            "data": {"account_id": "a-7", "cents": cents},
            "metadata": {"streamVersion": version},
        }
        message = Message(json.dumps(body).encode(), {"traceparent": "00-4bf92f35-77b3-01"}, message_id=event_id)
        return event_log.Entry(
            *(event_id, "account.deposited", "account", "a-7", version, Origin.APPENDED, "", "bank"),
            *("visit-12", order_id(12), "shop.events", "account.deposited", NOW - 90000, None, message),
        )

    return [entry(version, cents) for version, cents in enumerate((1000, 250, 4999), 1)]


def _project(connection: Connection) -> None:
    """One that runs, one that stands at an event, one that is paused and rebuilt."""

    def told(name: str, *patterns: str, suffix: str = "", **more: Any) -> None:
        made = projections.new(
            f"shop.read.{name}", "shop", version=1, patterns=patterns, tables=[name], now=NOW - 86400, suffix=suffix
        )
        projections.begin(connection, made._replace(**more))

    told("balances", "account.#", position=5, applied=3)
    told("orders", "order.#", position=3, applied=48, skipped=1)
    stands = projections.one(connection, "shop.read.orders")
    assert stands is not None
    failed = projections.Failed(4, order_id(12), "order.placed", "KeyError: 'sku-4711'")
    projections.fail(connection, stands, failed, retry_at=NOW + 8, now=NOW - 40)
    told("stock", "inventory.#", position=3, applied=4711)
    told("stock", "inventory.#", position=3, suffix="__r6903", applied=12)
    projections.pause(
        connection, "shop.read.stock", {"who": "ben@web-2", "why": "month end", "since": NOW - 600}, now=NOW
    )
    for name in ("balances", "orders", "stock"):
        leases.take(connection, lease_name(f"shop.read.{name}", 1), "web-1:4100:a1b2c3", lambda _: True, now=NOW)


def _work(connection: Connection) -> None:
    def told(host: str, pid: int) -> dict[str, Any]:
        return {"host": host, "pid": pid, "handlers": {queue: {} for queue in queues}, "group": ""}

    queues = ("shop.shop.charge", "shop.shop.reserve", "shop.shop.ship")
    workers.register(
        connection, Worker("web-1:4100:a1b2c3", "shop", "1.2.0", "running", NOW - 86400, NOW - 1, told("web-1", 4100))
    )
    gone = Worker("web-2:4200:d4e5f6", "shop", "1.1.0", "running", NOW - 172800, NOW - 7200, told("web-2", 4200))
    workers.register(connection, gone._replace(state="stopped"))
    found = []
    for queue, handled, failed, pace in (
        (queues[0], 48213, 71, 0.12),
        (queues[1], 50100, 12, 0.004),
        (queues[2], 9, 0, 1.5),
    ):
        counts = HandlerStats(
            handled=handled, failed=failed, retried=failed // 2, dead=failed // 4, in_flight=failed % 3
        )
        for share in (1, 1, 1, 1, 1, 1, 2, 3, 5, 9):
            counts.latency.add(pace * share)
        found.append(Stats("web-1:4100:a1b2c3", queue, queue.rpartition(".")[2], NOW - 1, counts))
    workers.save_stats(connection, found)


def _operate(connection: Connection) -> None:
    def made(id: str, state: State, total: int, **more: Any) -> Operation:
        how = Options(canary=3, rate=50.0, stop_after=10, stop_share=0.2)
        return Operation(
            id,
            "shop",
            "redrive",
            state,
            Stage.SENDING,
            "anna@web-1",
            "the provider is back",
            {},
            how,
            "",
            total,
            **more,
        )

    done = made(
        "rd-aaaaaaa",
        State.DONE,
        8,
        sent=8,
        succeeded=7,
        failed_again=1,
        created=NOW - 4000,
        started=NOW - 3999,
        ended=NOW - 3990,
    )
    paused = made(
        "rd-bbbbbbb", State.PAUSED, 20, sent=6, succeeded=5, created=NOW - 300, started=NOW - 299, changed=NOW - 200
    )
    for operation in (done, paused):
        operations.add(connection, operation)
        operations.add_items(connection, operation.id, 1, list(range(1, operation.total + 1)), operation.created)
        ended = [
            Item(at, at, ItemState.SUCCEEDED if at < operation.sent else ItemState.FAILED_AGAIN if operation is done else ItemState.SENT, "ready", 2, operation.created + 2)
            for at in range(1, operation.sent + 1)
        ]  # fmt: skip
        operations.mark(connection, operation.id, ended, was=ItemState.WAITING)


def _acts() -> list[Entry]:
    return [
        Entry(NOW - 7200, "ben@web-2", "pause", "the carrier is on strike", {"queues": ["shop.shop.ship"]}, {"paused": 1}),
        Entry(NOW - 4000, "anna@web-1", "redrive", "the provider is back", {"operation": "rd-aaaaaaa"}, {"state": "running", "total": 8}),
        Entry(NOW - 900, "anna@web-1", "failures archive", "", {"ids": list(range(30))}, {"changed": 30, "left": 0}),
        Entry(NOW - 600, "anna@web-1", "failures edit", "a typo in the total", {"failure": 17, "fields": ["data.total"]}, {"edit": 1}),
    ]  # fmt: skip

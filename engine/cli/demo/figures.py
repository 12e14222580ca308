"""What the demo shows and proves, read from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.model.stats import total
from engine.storage import workers
from engine.storage.failure_search import Filter, count
from engine.storage.failures import Status

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: What the ledger holds of an order that ended once.
STEPS = ("reserved", "paid", "confirmed")


class Handler(NamedTuple):
    """The counters of one handler."""

    name: str
    handled: int
    failed: int
    retried: int
    dead: int
    duplicates: int
    in_flight: int
    p50: float | None
    p95: float | None


class Figures(NamedTuple):
    """How far the story is."""

    handlers: tuple[Handler, ...] = ()
    confirmed: int = 0
    open_failures: int = 0
    failures: int = 0

    def sum(self, counter: str) -> int:
        """One counter over all handlers."""
        return sum(getattr(handler, counter) for handler in self.handlers)


class Ledger(NamedTuple):
    """What the shop's own table says in the end."""

    lost: int
    double_effects: int


class Summary(NamedTuple):
    """What happened, and what is proven."""

    published: int
    handled: int
    retried: int
    dead_lettered: int
    redriven: int
    duplicates_skipped: int
    lost: int
    double_effects: int
    duration_s: float

    @property
    def proven(self) -> bool:
        """Whether every order ended, and ended once."""
        return self.lost == 0 and self.double_effects == 0

    def as_json(self) -> dict[str, Any]:
        """The one object that `--json` prints."""
        return {**self._asdict(), "ok": self.proven}


def read(connection: Connection, app: str) -> Figures:
    """The figures of this moment, of this application's queues alone: the database may be shared."""
    by_queue: dict[str, list[workers.Stats]] = {}
    for stats in workers.list_stats(connection):
        if stats.queue.startswith(f"{app}."):
            by_queue.setdefault(stats.queue, []).append(stats)
    handlers = []
    for several in by_queue.values():
        counts = total(one.counts for one in several)
        handlers.append(
            Handler(
                several[0].handler,
                counts.handled,
                counts.failed,
                counts.retried,
                counts.dead,
                counts.duplicates,
                counts.in_flight,
                counts.latency.percentile(0.5),
                counts.latency.percentile(0.95),
            )
        )
    confirmed = sum(handler.handled for handler in handlers if handler.name == "confirm_order")
    return Figures(
        tuple(sorted(handlers, key=lambda handler: _ORDER.get(handler.name, 9))),
        confirmed,
        sum(count(connection, Filter(queue=queue, status=Status.OPEN)) for queue in by_queue),
        sum(count(connection, Filter(queue=queue)) for queue in by_queue),
    )


_ORDER = {"reserve_inventory": 0, "capture_payment": 1, "confirm_order": 2, "send_confirmation": 3}


def audit_ledger(connection: Connection, orders: list[str]) -> Ledger:
    """Hold the shop's ledger against the orders that were placed: each step of each, once."""
    booked: dict[tuple[str, str], int] = {}
    for order, step in connection.exec_driver_sql("SELECT order_id, step FROM shop_ledger"):
        booked[order, step] = booked.get((order, step), 0) + 1
    lost = sum(1 for order in orders if any((order, step) not in booked for step in STEPS))
    mine = set(orders)
    doubled = sum(times - 1 for (order, _), times in booked.items() if order in mine)
    return Ledger(lost, doubled)

"""The story, told act by act: orders flow, the provider breaks, failures pile up, one fix, one redrive."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from engine.cli.demo.figures import Figures, Summary, audit_ledger, read
from engine.cli.demo.stage import Stage
from engine.errors import WarrenError
from engine.model.codec import to_message
from engine.model.event import new_event
from engine.model.message import Message
from engine.operations import redrive
from engine.operations.operator import Operator
from engine.operations.performing import carry_out
from engine.storage.failure_search import Filter
from engine.storage.failures import Status

#: Every so many orders, one is published twice: the same id, as a publisher does that lost its confirm.
DUPLICATE_EVERY = 5
#: Orders a second, so that one can watch.
RATE = 40.0
#: Seconds between two looks at the figures.
LOOK = 0.25
#: Seconds that one act may take before the demo gives up on it.
PATIENCE = 60.0


class Teller(Protocol):
    """Shows the story: on a terminal, or as lines."""

    def act(self, title: str) -> None:
        """A new act begins."""

    def show(self, figures: Figures, published: int) -> None:
        """The figures of this moment."""

    def quote(self, lines: list[str]) -> None:
        """What the worker said."""


async def tell(stage: Stage, orders: int, teller: Teller) -> Summary:
    """Play all acts and prove the end by the database."""
    begun = time.monotonic()
    teller.act("A worker starts: four handlers of an order flow, each with a queue of its own")
    await stage.start_worker()
    stage.break_provider()

    teller.act(f"{orders} orders are placed; the payment provider is flaky, and for one bank in eight it is down")
    ids = order_ids(orders)
    published = await _publish(stage, ids, teller)

    teller.act("What failed is tried again, after random delays that grow; what keeps failing goes to the dead letters")
    figures = await _until(stage, teller, published, lambda now: _settled(now, orders))
    dead = figures.open_failures
    teller.quote(stage.backoff())

    teller.act(f"The certificate is renewed, and {dead} failed messages are redriven to their own queue")
    stage.mend_provider()
    redriven = await _redrive(stage)
    await _until(stage, teller, published, lambda now: now.confirmed >= orders)

    teller.act("The worker drains, and the shop's own ledger is held against the orders")
    await stage.stop_worker()
    figures = await stage.database.read(lambda connection: read(connection, stage.settings.app))
    teller.show(figures, published)
    ledger = await stage.database.read(lambda connection: audit_ledger(connection, ids))
    return Summary(
        published=published,
        handled=figures.sum("handled"),
        retried=figures.sum("retried"),
        dead_lettered=figures.failures,
        redriven=redriven,
        duplicates_skipped=figures.sum("duplicates"),
        lost=ledger.lost,
        double_effects=ledger.double_effects,
        duration_s=round(time.monotonic() - begun, 2),
    )


async def _redrive(stage: Stage) -> int:
    """What an operator does with `warren redrive`: a plan, and its recorded operation; returns how many were sent."""
    database, broker, app = stage.database, stage.engine.broker, stage.settings.app
    plan = await redrive.plan(database, broker, Filter(status=Status.OPEN))
    if not plan.ids:
        return 0
    why = "the certificate of the bank's endpoint was renewed"
    operator = Operator.present()
    ordered = await redrive.start(database, plan, app=app, operator=operator, why=why)
    return (await carry_out(database, broker, app, ordered.id, operator=operator)).operation.sent


def order_ids(orders: int) -> list[str]:
    """Ids that no other demo on the same database has."""
    run = uuid.uuid4().hex[:4]
    return [f"o-{run}-{number:04}" for number in range(1, orders + 1)]


class Placing:
    """Places orders group by group, some of them twice. `published` counts messages that were confirmed."""

    def __init__(self, stage: Stage, ids: list[str]) -> None:
        self.group = max(1, int(RATE * LOOK))
        self.placed = 0
        self.published = 0
        self._stage = stage
        self._ids = ids
        self._chance = random.Random(7)
        self._again: list[tuple[str, Message]] = []

    @property
    def done(self) -> bool:
        """Whether all are placed, and all copies."""
        return self.placed >= len(self._ids) and not self._again

    async def go_on(self) -> None:
        """Place the next group, and again some of the one before."""
        ids = self._ids[self.placed : self.placed + self.group]
        messages = [_placed(self._stage, order_id, self._chance) for order_id in ids]
        await self._stage.engine.publish_messages([*messages, *self._again])
        self.published += len(messages) + len(self._again)
        self._again = messages[::DUPLICATE_EVERY] if self.group > 1 else []
        self.placed += len(messages)


async def _publish(stage: Stage, ids: list[str], teller: Teller) -> int:
    """Place the orders at a watchable rate; returns how many messages were confirmed."""
    placing, begun = Placing(stage, ids), time.monotonic()
    while not placing.done:
        await placing.go_on()
        teller.show(
            await stage.database.read(lambda connection: read(connection, stage.settings.app)), placing.published
        )
        await asyncio.sleep(max(0.0, begun + placing.placed / RATE - time.monotonic()))
    return placing.published


def _placed(stage: Stage, order_id: str, chance: random.Random) -> tuple[str, Message]:
    data = stage.placed(
        order_id=order_id,
        customer=chance.choice(["ada", "grace", "edsger", "barbara", "tony"]),
        sku=chance.choice(["lamp", "chair", "desk", "shelf"]),
        quantity=chance.randint(1, 4),
        total=Decimal(chance.randint(500, 25_000)) / 100,
    )
    event = new_event(data, id=f"{uuid.uuid4()}", now=datetime.now(UTC), source="demo")
    return event.type, to_message(event)


def _settled(figures: Figures, orders: int) -> bool:
    """Every order is confirmed or has failed, and no attempt is under way."""
    return figures.confirmed + figures.open_failures >= orders and not figures.sum("in_flight")


async def _until(stage: Stage, teller: Teller, published: int, reached: Callable[[Figures], bool]) -> Figures:
    async def look() -> Figures:
        while True:
            figures = await stage.database.read(lambda connection: read(connection, stage.settings.app))
            teller.show(figures, published)
            if reached(figures):
                return figures
            await asyncio.sleep(LOOK)

    try:
        return await asyncio.wait_for(look(), PATIENCE)
    except TimeoutError:
        said = stage.log.read_text(errors="replace")[-2000:]
        raise WarrenError(f"the demo waited {PATIENCE:g} s in vain", hint=f"The worker said last:\n{said}") from None

"""The story in a terminal: the dashboard opens on it, and the person before it is the operator."""

from __future__ import annotations

import asyncio
import contextlib
import time
from importlib import import_module
from typing import TYPE_CHECKING

from engine.cli.demo.figures import Figures, Ledger, Summary, audit_ledger, read
from engine.cli.demo.plain import conclusion
from engine.cli.demo.stage import Stage
from engine.cli.demo.story import LOOK, RATE, Placing, order_ids
from engine.operations import progress

if TYPE_CHECKING:
    from engine.cli.call import Call
    from engine.settings import Settings
    from engine.storage.database import Database

#: The share of the orders that comes at full rate; the others come slowly, so that something moves while one looks.
BURST = 0.75
#: Orders a second then, until the redrive has ended.
TRICKLE = 1.5


class Guided:
    """What happens beside the dashboard: orders, until each has come to its end. It answers what `monitor.demo` asks."""

    def __init__(self, stage: Stage, orders: int) -> None:
        self.orders = orders
        self.ready = False
        self.mended = False
        self.redriving = False
        self.redriven = 0
        self.published = 0
        self.ledger: Ledger | None = None
        self.figures = Figures()
        self.took = 0.0
        self._stage = stage
        self._ids = order_ids(orders)

    @property
    def settings(self) -> Settings:
        """Where the dashboard reads."""
        return self._stage.settings

    @property
    def confirmed(self) -> int:
        """Orders that came to their end."""
        return self.figures.confirmed

    @property
    def failed(self) -> int:
        """Failures that are open."""
        return self.figures.open_failures

    @property
    def lost(self) -> int | None:
        """Orders that did not end, by the shop's own ledger; None before the end."""
        return None if self.ledger is None else self.ledger.lost

    @property
    def double_effects(self) -> int | None:
        """Lines that are in the ledger twice; None before the end."""
        return None if self.ledger is None else self.ledger.double_effects

    def fix(self) -> None:
        """Somebody renewed the certificate."""
        self._stage.mend_provider()
        self.mended = True

    async def play(self) -> None:
        """Start the worker, place the orders, and hold the ledger against them once they are through."""
        begun = time.monotonic()
        self._stage.break_provider()
        await self._stage.start_worker()
        self.ready = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._place())
            tasks.create_task(self._follow())
        self.took = time.monotonic() - begun

    async def _place(self) -> None:
        placing = Placing(self._stage, self._ids)
        while not placing.done:
            await placing.go_on()
            self.published = placing.published
            hurried = self._hurried or placing.placed < len(self._ids) * BURST
            await asyncio.sleep(placing.group / (RATE if hurried else TRICKLE))
            placing.group = max(1, int(RATE * LOOK)) if hurried else 1

    @property
    def _hurried(self) -> bool:
        """Whether nothing is left to put right, so that only the last orders are wanting."""
        return self.mended and not self.failed and not self.redriving

    async def _follow(self) -> None:
        database = self._stage.database
        while True:
            await self._look(database)
            if self.confirmed >= self.orders and not self.failed and not self.redriving:
                self.ledger = await database.read(lambda connection: audit_ledger(connection, self._ids))
                return
            await asyncio.sleep(LOOK)

    async def _look(self, database: Database) -> None:
        app = self._stage.settings.app
        self.figures = await database.read(lambda connection: read(connection, app))
        redrives = await progress.list_operations(database, app, kind="redrive")
        self.redriving = any(progress.moving(each, until_verified=True) for each in redrives)
        self.redriven = sum(each.sent for each in redrives)

    async def summary(self) -> Summary:
        """What happened, read once more when the worker has drained."""
        database = self._stage.database
        await self._look(database)
        ledger = await database.read(lambda connection: audit_ledger(connection, self._ids))
        return Summary(
            published=self.published,
            handled=self.figures.sum("handled"),
            retried=self.figures.sum("retried"),
            dead_lettered=self.figures.failures,
            redriven=self.redriven,
            duplicates_skipped=self.figures.sum("duplicates"),
            lost=ledger.lost,
            double_effects=ledger.double_effects,
            duration_s=round(self.took, 2),
        )


async def guide(call: Call, stage: Stage, orders: int) -> int:
    """Show the dashboard on the story until it is quit; the exit code is 1 when an order was lost or booked twice."""
    story = Guided(stage, orders)
    # The dashboard stands above the command line, so it is named here and not imported.
    monitor = import_module("monitor.demo.app").make(stage.settings, story)
    telling = asyncio.create_task(story.play())
    telling.add_done_callback(lambda task: monitor.exit() if not task.cancelled() and task.exception() else None)
    try:
        await monitor.run_async()
    finally:
        ended = telling.done()
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
    if monitor.fault is not None:
        raise monitor.fault
    if not ended:
        return await _left(call, story)
    await stage.stop_worker()
    summary = await story.summary()
    for line in conclusion(summary, stage):
        call.output.line(line)
    return 0 if summary.proven else 1


async def _left(call: Call, story: Guided) -> int:
    """Say how far it was: what did not come to its end is not lost."""
    summary = await story.summary()
    call.output.line(f"You left before the end: {story.confirmed} of {story.published} orders are confirmed,")
    call.output.line(f"{story.failed} failed and were not redriven yet, double effects {summary.double_effects}.")
    call.output.line("`warren demo --headless` plays it to the end by itself.")
    return 0 if not summary.double_effects else 1

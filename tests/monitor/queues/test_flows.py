"""What an operator does on the screens of queues, workers and the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.monitor.conftest import PLUGIN, opened
from tests.support.inprocess import own_settings
from tests.support.seat import seated

Shop = Any


async def test_a_queue_is_paused_and_resumed_and_the_audit_tells_who_and_why(shop: Shop) -> None:
    shop.come_up()
    async with seated(shop.settings, size=(130, 40)) as seat:
        await seat.press("2")
        await seat.see("1 of 1 queues", "bound to    order.placed")
        await seat.press("p")
        await seat.see(f"Pause {shop.queue}?", "what waits stays, and loses no attempt")
        await seat.type("the bank is closed")
        await seat.press("enter", "enter")
        await seat.hear(f"Paused {shop.queue}.")
        await seat.see("‖ shop.charge  paused", "because     the bank is closed")
        await seat.see("consumers   0")
        await shop.place({"order_id": "o-1", "total": 10})
        await seat.until(lambda: " 1 " in seat.line("‖ shop.charge"), "the order in its queue")
        await seat.press("1")
        await seat.see("is paused for", "(the bank is closed)", "1 message waits; p resumes →")
        await seat.press("enter")
        await seat.see("1 of 1 queues")
        await seat.press("p")
        await seat.see(f"Resume {shop.queue}?")
        await seat.press("tab", "enter")
        await seat.hear(f"Resumed {shop.queue}.")
        await seat.miss("paused")
        await seat.until(lambda: " 0 " in seat.line("▌"), "the order handled")
        await seat.press("7")
        await seat.see("1 of 2 entries", "resume", "pause", "the bank is closed")
        await seat.press("slash")
        await seat.type("action:pause bank")
        await seat.press("enter")
        await seat.see("1 of 1 entries")
        await seat.press("enter")
        await seat.see("why      the bank is closed", f'"{shop.queue}"')
        await seat.press("escape", "slash")
        await seat.type(" whom:me")
        await seat.see("there is no term 'whom'")


async def test_a_queue_in_strict_order_tells_how_many_wait_behind_what_failed(tmp_path: Path, app: str) -> None:
    strict = PLUGIN.replace("retry=NEVER", 'retry=NEVER, key="order_id", partitions=2, order="strict"')
    async with opened(own_settings(tmp_path, app), tmp_path, strict) as shop:
        await shop.place(*({"order_id": "o-1", "total": 10 + number} for number in range(4)))
        await shop.failed(1)
        async with seated(shop.settings, size=(130, 40)) as seat:
            await seat.press("2")
            await seat.see("▲ shop.charge  holds 3", "held        3  behind failures, in strict order")
            shop.come_up()
            await seat.press("3")
            await seat.see("1 failure")
            await seat.press("r")
            await seat.see("Redrive 1 message")
            await seat.press("enter")
            await seat.see("✓ done")
            await seat.press("2")
            await seat.miss("holds")


async def test_a_pause_that_is_not_agreed_to_changes_nothing(shop: Shop) -> None:
    async with seated(shop.settings) as seat:
        await seat.press("2")
        await seat.see("1 of 1 queues")
        await seat.press("enter")
        await seat.see("bound to")
        await seat.press("p")
        await seat.see("Pause")
        await seat.press("escape")
        await seat.miss("Pause " + shop.queue)
        await seat.press("7")
        await seat.see("Nobody did anything yet.")


async def test_workers_with_what_they_counted_and_those_that_ended(shop: Shop) -> None:
    await shop.place({"order_id": "o-1", "total": 2000})
    await shop.failed(1)
    async with seated(shop.settings) as seat:
        await seat.press("6")
        await seat.see("1 of 1 workers", "● running", shop.worker.id[:12])
        await seat.press("enter")
        await seat.see("failed      1 attempt", "shop.charge")
        await seat.press("escape")
        shop.worker.stop()
        await seat.see("No worker is alive", "✗ no worker")
        await seat.press("a")
        await seat.see("○ stopped", "1 of 1 workers")

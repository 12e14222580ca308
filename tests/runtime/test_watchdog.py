"""A handler that blocks the event loop is named; one that waits is not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from engine.runtime.watchdog import INTERVAL, PATIENCE, Watchdog


@pytest.fixture
async def watchdog(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Watchdog]:
    caplog.set_level(logging.DEBUG, "warren.watchdog")
    dog = Watchdog()
    dog.start()
    yield dog
    await dog.stop()


async def blocks(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_blocked_loop_is_told_with_the_handler_and_the_place(
    watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.create_task(blocks(PATIENCE + 4 * INTERVAL), name="lane of shop.orders.charge")
    await asyncio.sleep(2 * INTERVAL)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert warnings[0].startswith("the handler of shop.orders.charge blocks the event loop")
    assert "test_watchdog.py:" in warnings[0]
    assert " in blocks" in warnings[0]
    assert warnings[1].startswith("the event loop goes on after")


async def test_a_handler_that_waits_or_is_quick_is_not_told(
    watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.create_task(asyncio.sleep(PATIENCE + 2 * INTERVAL), name="lane of shop.orders.charge")
    await asyncio.create_task(blocks(PATIENCE / 2), name="lane of shop.orders.charge")
    await asyncio.sleep(2 * INTERVAL)
    assert not [record for record in caplog.records if "shop.orders.charge" in record.getMessage()]

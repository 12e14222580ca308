"""A broker or a database that is gone is a state with an age; what can be read is read, and it is back by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.storage.database import Database
from monitor.app import make
from tests.monitor.conftest import opened
from tests.support.inprocess import own_settings
from tests.support.postgres import PostgresServer
from tests.support.rabbit import RabbitNode
from tests.support.seat import Seat, seated

Shop = Any
ORDERS = [{"order_id": f"o-{each}", "total": 10.0} for each in range(2)]
#: Nobody listens there.
NOBODY = "amqp://guest:guest@127.0.0.1:1/"


async def test_without_a_broker_what_is_in_the_database_is_read_and_redriven(shop: Shop) -> None:
    await shop.place(*ORDERS)
    await shop.failed(2)
    shop.come_up()
    async with seated(replace(shop.settings, broker=NOBODY)) as seat:
        await seat.see("✗ broker lost", "✗ The broker is lost for", "2 failed, the last", "TimeoutError: the payment")
        await seat.press("enter")
        await seat.hear("127.0.0.1:1")
        await seat.press("2")
        await seat.see("1 of 1 queues", "–")
        await seat.press("3")
        await seat.see("2 failures", "1 of 1 causes")
        await seat.press("enter", "enter")
        await seat.see("the payment provider did not answer", '"order_id"')
        await seat.press("t")
        await seat.see("correlation c-1", "✗ failure #")
        await seat.press("escape", "escape", "escape", "r")
        await seat.see("Redrive 2 messages")
        await seat.press("enter")
        await seat.see("✓ done", "2 succeeded")
        await seat.press("7")
        await seat.see("redrive")


async def test_a_database_that_never_answered_is_no_empty_list(tmp_path: Path, app: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    settings = own_settings(tmp_path, app, database=f"sqlite:///{folder}")
    monitor = make(settings, interval=0.1)
    async with monitor.run_test(size=(80, 24)) as pilot:
        seat = Seat(monitor, pilot)
        await seat.until(lambda: monitor.source.database_state.word == "lost", "the loss")
        await seat.see("✗ database lost", "✗ The database is lost for", "The database does not answer")
        assert "Nothing has failed" not in seat.screen
        await seat.press("enter")
        await seat.hear(str(folder))
        for place in "2345678":
            await seat.press(place)
            await seat.see("The database does not answer; screen 1 says why.")
        await seat.press("3", "r")
        await seat.hear("There is nothing to redrive here.")


@pytest.mark.slow
@pytest.mark.faults
async def test_a_broker_that_is_killed_and_comes_back(tmp_path: Path, app: str, rabbit_node: RabbitNode) -> None:
    async with (
        opened(own_settings(tmp_path, app, rabbit_node.url), tmp_path) as shop,
        seated(shop.settings) as seat,
    ):
        await shop.place(*ORDERS)
        await shop.failed(2)
        await seat.see("● broker", "2 failed, the last", "TimeoutError: the payment")
        await asyncio.to_thread(rabbit_node.kill)
        await seat.see("✗ broker lost", "✗ The broker is lost for", patience=40)
        await seat.press("3")
        await seat.see("2 failures")
        await seat.press("r")
        await seat.see("Redrive 2 messages", "! The broker does not answer.")
        shop.come_up()
        await seat.press("enter")
        await seat.see("▶ sending", "0 of 2 sent")  # are its queues there?
        await asyncio.to_thread(rabbit_node.start)
        await seat.see("● broker", "✓ done", "2 succeeded", patience=60)


@pytest.mark.faults
async def test_a_database_that_is_killed_and_comes_back(
    tmp_path: Path, app: str, postgres_node: PostgresServer
) -> None:
    settings = own_settings(tmp_path, app, database=postgres_node.url)
    await (await Database.open(settings.database_url, migrate=True)).close()
    async with opened(settings, tmp_path) as shop:
        await shop.place(*ORDERS)
        await shop.failed(2)
        async with seated(settings) as seat:
            await seat.press("3")
            await seat.see("2 failures", "1 of 1 causes")
            await asyncio.to_thread(postgres_node.kill)
            await seat.see("✗ database lost", patience=40)
            await seat.see("TimeoutError: the payment", "1 of 1 causes")
            await seat.press("1")
            await seat.see("✗ The database is lost for")
            await asyncio.to_thread(postgres_node.start)
            await seat.see("● database", patience=60)

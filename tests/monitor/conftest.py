"""A shop whose charging fails, and a worker that runs it in the test's own process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import Settings
from engine.model.message import Message
from engine.runtime.application import Engine
from engine.runtime.ids import new_id
from engine.runtime.worker import Worker
from engine.storage.failure_search import Filter, count
from engine.storage.failures import Status
from tests.support.inprocess import own_settings, until, working

PLUGIN = """
from pathlib import Path

from engine import NEVER, Event, EventData, handler

DOWN = Path(__file__).with_name("down")


class OrderPlaced(EventData, type="order.placed", version=1, aggregate="order", key="order_id"):
    order_id: str
    total: float
    card_token: str = ""


@handler(OrderPlaced, retry=NEVER)
async def charge(event: Event[OrderPlaced]) -> None:
    if event.data.total > 1000:
        raise ValueError(f"card declined: {event.data.total:g} is over the limit")
    if DOWN.exists():
        raise TimeoutError("the payment provider did not answer")
"""


class Shop:
    """Orders, and the plugin that charges them: while it is `down` that times out, totals over 1,000 are refused."""

    def __init__(self, settings: Settings, folder: Path, plugin: str = PLUGIN) -> None:
        self.settings = settings
        self.plugin = folder / "handlers" / "shop.py"
        self.plugin.parent.mkdir()
        self.plugin.write_text(plugin)
        self.queue = f"{settings.app}.shop.charge"
        self.worker: Worker
        self.go_down()

    def go_down(self) -> None:
        """From now on the payment provider does not answer."""
        self.plugin.with_name("down").touch()

    def come_up(self) -> None:
        """The payment provider answers again."""
        self.plugin.with_name("down").unlink(missing_ok=True)

    async def place(self, *orders: dict[str, Any] | bytes) -> None:
        """Publish these payloads, or these bodies as they are."""
        messages = [
            ("order.placed", _message(order) if isinstance(order, dict) else Message(order, message_id=new_id()))
            for order in orders
        ]
        async with Engine(self.settings) as engine:
            await engine.publish_messages(messages)

    async def failed(self, number: int, status: Status | None = Status.OPEN) -> None:
        """Wait until so many failures are there."""
        database = self.worker.database

        async def there() -> bool:
            return await database.read(lambda connection: count(connection, Filter(status=status))) >= number

        await until(there, f"{number} failures")


def _message(order: dict[str, Any]) -> Message:
    body = {"eventType": "order.placed", "eventId": new_id(), "version": 1, "data": order, "correlationId": "c-1"}
    return Message(json.dumps(body).encode(), content_type="application/json", message_id=body["eventId"])


@asynccontextmanager
async def opened(settings: Settings, folder: Path, plugin: str = PLUGIN) -> AsyncIterator[Shop]:
    """The shop of these settings, with its worker."""
    shop = Shop(settings, folder, plugin)
    async with working(settings, shop.plugin) as worker:
        shop.worker = worker
        yield shop


@pytest.fixture
async def shop(tmp_path: Path, app: str) -> AsyncIterator[Shop]:
    """The shop on the embedded broker and SQLite."""
    async with opened(own_settings(tmp_path, app), tmp_path) as shop:
        yield shop


@pytest.fixture
async def shop_on_rabbitmq(tmp_path: Path, app: str, amqp_url: str) -> AsyncIterator[Shop]:
    """The shop on RabbitMQ."""
    async with opened(own_settings(tmp_path, app, amqp_url), tmp_path) as shop:
        yield shop

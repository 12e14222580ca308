"""Fleets that are made to suffer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.testing.proxy import Proxy
from tests.support.homes import HOMES, home, settled
from tests.support.rabbit import RabbitNode
from tests.support.workers import Fleet


@pytest.fixture(params=HOMES)
async def fleet(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Fleet]:
    """Workers at each home."""
    async with home(request, request.param, tmp_path, app) as made:
        yield made


@pytest.fixture
async def rabbit_fleet(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Fleet]:
    """Workers on the shared RabbitMQ, with SQLite."""
    async with home(request, "rabbitmq-sqlite", tmp_path, app) as made:
        yield made


@pytest.fixture
async def embedded_fleet(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Fleet]:
    """Workers on the embedded broker, with SQLite."""
    async with home(request, "embedded-sqlite", tmp_path, app) as made:
        yield made


@pytest.fixture
async def node_fleet(
    request: pytest.FixtureRequest, rabbit_node: RabbitNode, tmp_path: Path, app: str
) -> AsyncIterator[Fleet]:
    """Workers on a RabbitMQ node of this test's own, with SQLite."""
    async with settled(request, Fleet(tmp_path, rabbit_node.url, app)) as made:
        yield made


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    """A way to the shared RabbitMQ that can be broken."""
    parts = urlsplit(amqp_url)
    async with Proxy(parts.hostname or "", parts.port or 5672) as made:
        yield made


@pytest.fixture
async def behind(
    request: pytest.FixtureRequest, proxy: Proxy, amqp_url: str, tmp_path: Path, app: str
) -> AsyncIterator[Fleet]:
    """Workers that reach the shared RabbitMQ through the proxy, with SQLite."""
    url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
    async with settled(request, Fleet(tmp_path, url, app), amqp_url) as made:
        yield made

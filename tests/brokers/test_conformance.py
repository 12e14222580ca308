"""The conformance suite on each broker that Warren has."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.brokers import open_broker
from engine.brokers.embedded import EmbeddedBroker
from engine.testing.conformance import CHECKS, Check

each_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))


@each_check
async def test_embedded(check: Check, tmp_path: Path) -> None:
    await check(lambda: EmbeddedBroker(tmp_path / "broker.db"))


@each_check
async def test_rabbitmq(check: Check, amqp_url: str) -> None:
    await check(lambda: open_broker(amqp_url, app="conformance"))

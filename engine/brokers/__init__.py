"""Brokers: one port, `engine.brokers.base.Broker`, and its adapters, each imported on use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from engine.brokers.base import Broker

__all__ = ["TIMEOUT", "open_broker"]

#: Seconds that a call on a broker may take, unless said otherwise.
TIMEOUT = 10.0


def open_broker(url: str, *, app: str, timeout: float = TIMEOUT) -> Broker:
    """The adapter for this URL, not yet connected; raises `ConfigurationError` for a URL that cannot be.

    `timeout` bounds each call, in seconds; a publish also waits that long for a reconnect.
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("amqp", "amqps"):
        from engine.brokers.rabbitmq.broker import RabbitBroker

        return RabbitBroker(url, app=app, timeout=timeout)
    if scheme == "embedded" and rest:
        from engine.brokers.embedded import EmbeddedBroker

        return EmbeddedBroker(Path(rest), app=app, timeout=timeout)
    raise ConfigurationError(
        f"There is no broker for a URL that begins with {scheme}://",
        hint="Use embedded:///path/to/broker.db, amqp://user:password@host:5672/vhost or amqps://….",
    )

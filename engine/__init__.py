"""Warren: small Python handlers on RabbitMQ, with retries, idempotency and a terminal monitor.

    from engine import Context, Event, EventData, handler

Names are imported when they are first used (PEP 562), so that a file of handlers loads
without the broker's client, the database layer and the monitor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.errors import (
        AccessRefused,
        BrokerError,
        BrokerUnavailable,
        ConfigurationError,
        DatabaseError,
        DatabaseNewer,
        DatabaseOutdated,
        DatabaseUnavailable,
        DecodingError,
        ExchangeMissing,
        FilterError,
        HandlerTimeout,
        PluginError,
        PublishRefused,
        QueueMissing,
        ReadOnly,
        Reject,
        Rejected,
        ReplyInvalid,
        RequestError,
        RequestFailed,
        RequestLost,
        RequestTimeout,
        RetryLater,
        TopologyMismatch,
        Unroutable,
        UsageError,
        WarrenError,
    )
    from engine.model.commands import command_handler, query_handler
    from engine.model.event import Event, EventData
    from engine.model.handler import handler
    from engine.model.request import Command, Query
    from engine.model.retry import NEVER, RetryPolicy
    from engine.model.scheduled import cron, every
    from engine.runtime.application import Engine
    from engine.runtime.context import Context
    from engine.runtime.depends import Depends
    from engine.runtime.listening import Subscriber
    from engine.settings import Settings
    from engine.storage.session import AsyncSession

__all__ = (
    "NEVER",
    "AccessRefused",
    "AsyncSession",
    "BrokerError",
    "BrokerUnavailable",
    "Command",
    "ConfigurationError",
    "Context",
    "DatabaseError",
    "DatabaseNewer",
    "DatabaseOutdated",
    "DatabaseUnavailable",
    "DecodingError",
    "Depends",
    "Engine",
    "Event",
    "EventData",
    "ExchangeMissing",
    "FilterError",
    "HandlerTimeout",
    "PluginError",
    "PublishRefused",
    "Query",
    "QueueMissing",
    "ReadOnly",
    "Reject",
    "Rejected",
    "ReplyInvalid",
    "RequestError",
    "RequestFailed",
    "RequestLost",
    "RequestTimeout",
    "RetryLater",
    "RetryPolicy",
    "Settings",
    "Subscriber",
    "TopologyMismatch",
    "Unroutable",
    "UsageError",
    "WarrenError",
    "command_handler",
    "cron",
    "every",
    "handler",
    "query_handler",
)

_HOMES = {
    "Command": "engine.model.request",
    "Query": "engine.model.request",
    "Subscriber": "engine.runtime.listening",
    "command_handler": "engine.model.commands",
    "query_handler": "engine.model.commands",
    "AsyncSession": "engine.storage.session",
    "Context": "engine.runtime.context",
    "Depends": "engine.runtime.depends",
    "Engine": "engine.runtime.application",
    "Event": "engine.model.event",
    "EventData": "engine.model.event",
    "NEVER": "engine.model.retry",
    "RetryPolicy": "engine.model.retry",
    "Settings": "engine.settings",
    "cron": "engine.model.scheduled",
    "every": "engine.model.scheduled",
    "handler": "engine.model.handler",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES.get(name, "engine.errors")), name)
    globals()[name] = value  # the next use costs nothing
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

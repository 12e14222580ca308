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
        ApplierFailed,
        BrokerError,
        BrokerUnavailable,
        ConcurrencyConflict,
        ConfigurationError,
        DatabaseError,
        DatabaseNewer,
        DatabaseOutdated,
        DatabaseUnavailable,
        DecodingError,
        EventTaken,
        ExchangeMissing,
        FilterError,
        HandlerTimeout,
        HistoryError,
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
        StreamArchived,
        StreamError,
        StreamMissing,
        TopologyMismatch,
        UnknownEvent,
        Unroutable,
        UsageError,
        WarrenError,
    )
    from engine.model.aggregate import Aggregate
    from engine.model.applying import applies
    from engine.model.commands import command_handler, query_handler
    from engine.model.event import Event, EventData
    from engine.model.handler import handler
    from engine.model.projection import projection
    from engine.model.request import Command, Query
    from engine.model.retry import NEVER, RetryPolicy
    from engine.model.scheduled import cron, every
    from engine.model.stream import ANY_VERSION, NO_STREAM, StreamId
    from engine.runtime.application import Engine
    from engine.runtime.context import Context
    from engine.runtime.depends import Depends
    from engine.runtime.event_log import Append, EventLog, LogEntry
    from engine.runtime.listening import Subscriber
    from engine.runtime.replicating import ReplicatedView, replicated_view
    from engine.runtime.repository import Repository
    from engine.settings import Settings
    from engine.storage.session import AsyncSession

__all__ = (
    "ANY_VERSION",
    "NEVER",
    "NO_STREAM",
    "AccessRefused",
    "Aggregate",
    "Append",
    "ApplierFailed",
    "AsyncSession",
    "BrokerError",
    "BrokerUnavailable",
    "Command",
    "ConcurrencyConflict",
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
    "EventLog",
    "EventTaken",
    "ExchangeMissing",
    "FilterError",
    "HandlerTimeout",
    "HistoryError",
    "LogEntry",
    "PluginError",
    "PublishRefused",
    "Query",
    "QueueMissing",
    "ReadOnly",
    "Reject",
    "Rejected",
    "ReplicatedView",
    "ReplyInvalid",
    "Repository",
    "RequestError",
    "RequestFailed",
    "RequestLost",
    "RequestTimeout",
    "RetryLater",
    "RetryPolicy",
    "Settings",
    "StreamArchived",
    "StreamError",
    "StreamId",
    "StreamMissing",
    "Subscriber",
    "TopologyMismatch",
    "UnknownEvent",
    "Unroutable",
    "UsageError",
    "WarrenError",
    "applies",
    "command_handler",
    "cron",
    "every",
    "handler",
    "projection",
    "query_handler",
    "replicated_view",
)

_HOMES = {
    "Command": "engine.model.request",
    "Query": "engine.model.request",
    "Subscriber": "engine.runtime.listening",
    "command_handler": "engine.model.commands",
    "query_handler": "engine.model.commands",
    "Repository": "engine.runtime.repository",
    "LogEntry": "engine.runtime.event_log",
    "EventLog": "engine.runtime.event_log",
    "Append": "engine.runtime.event_log",
    "StreamId": "engine.model.stream",
    "NO_STREAM": "engine.model.stream",
    "ANY_VERSION": "engine.model.stream",
    "applies": "engine.model.applying",
    "Aggregate": "engine.model.aggregate",
    "AsyncSession": "engine.storage.session",
    "Context": "engine.runtime.context",
    "Depends": "engine.runtime.depends",
    "Engine": "engine.runtime.application",
    "Event": "engine.model.event",
    "EventData": "engine.model.event",
    "NEVER": "engine.model.retry",
    "ReplicatedView": "engine.runtime.replicating",
    "RetryPolicy": "engine.model.retry",
    "Settings": "engine.settings",
    "cron": "engine.model.scheduled",
    "every": "engine.model.scheduled",
    "handler": "engine.model.handler",
    "projection": "engine.model.projection",
    "replicated_view": "engine.runtime.replicating",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES.get(name, "engine.errors")), name)
    globals()[name] = value  # the next use costs nothing
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""A row of the outbox: a message that the transaction which wrote it has promised to send."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from engine.model.event import Event
from engine.model.message import Message


class Kind(StrEnum):
    """Why a message is sent."""

    EMIT = "emit"
    SEND = "send"
    RETRY = "retry"
    DEAD = "dead"
    PARK = "park"
    REDRIVE = "redrive"
    REPLAY = "replay"
    REPLY = "reply"


class Outgoing(NamedTuple):
    """What the relay publishes, and deletes on the confirm.

    `id` sorts by time of creation. `due`, in seconds since the epoch, holds it back on the
    delay rungs until then; None sends it at once. `event` is what it carries, where that is to be
    logged with it.
    """

    id: str
    kind: Kind
    exchange: str
    routing_key: str
    message: Message
    mandatory: bool
    due: float | None
    created: float
    event: Event[Any] | None = None

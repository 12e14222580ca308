"""A row of the outbox: a message that the transaction which wrote it has promised to send."""

from __future__ import annotations

from collections.abc import Collection
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


class Order:
    """Where a row stands among those of one key. `behind`: rows of others that go first, found when it was committed."""

    __slots__ = ("behind", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.behind: Collection[str] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Order) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def order_of(event: Event[Any]) -> Order | None:
    """The order of an event of an aggregate, None where it has none: its type and id."""
    if event.aggregate_id is None:
        return None
    return Order(f"{event.aggregate_type or ''}/{event.aggregate_id}")


class Outgoing(NamedTuple):
    """What the relay publishes, and deletes on the confirm.

    `id` sorts by time of creation. `due`, in seconds since the epoch, holds it back on the
    delay rungs until then; None sends it at once. `event` is what it carries, where that is to be
    logged with it. `order`: rows of one key leave in the order of their commits.
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
    order: Order | None = None

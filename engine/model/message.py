"""What travels: a message, where it is published to, and how it is delivered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

#: What an AMQP table may hold, as Python values.
HeaderValue: TypeAlias = "str | int | float | bool | bytes | None | list[HeaderValue] | dict[str, HeaderValue]"
Headers: TypeAlias = Mapping[str, HeaderValue]


@dataclass(slots=True)
class Message:
    """A body and its AMQP properties. Treated as immutable; not frozen for speed.

    `timestamp` is in whole seconds since the epoch, UTC, as AMQP has it.
    """

    body: bytes
    headers: Headers = field(default_factory=dict[str, HeaderValue])
    message_id: str | None = None
    correlation_id: str | None = None
    type: str | None = None
    app_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    reply_to: str | None = None
    timestamp: int | None = None


@dataclass(slots=True)
class Publication:
    """A message on its way out: the default exchange `""` routes to the queue named by the key.

    `mandatory`: whether it is an error when no queue takes it.
    """

    exchange: str
    routing_key: str
    message: Message
    mandatory: bool = True


@dataclass(slots=True)
class Delivery:
    """A message on its way in, to be acked or nacked through the subscription that delivered it.

    `tag` and `generation` belong to the adapter. `defect` says what of the frame could
    not be read (a poison header, say); the message then holds what could.
    """

    queue: str
    message: Message
    tag: int
    generation: int = 0
    exchange: str = ""
    routing_key: str = ""
    redelivered: bool = False
    defect: str | None = None

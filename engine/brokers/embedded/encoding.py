"""Messages as rows of `contents`, and back."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from engine.errors import PublishRefused
from engine.model.headers import dump, load
from engine.model.message import Message, Publication

#: exchange, routing key, the properties, headers as JSON or None, body
Row: TypeAlias = tuple[Any, ...]

#: The columns of `contents` in the order of `encode`, and of `decode` from the third on.
COLUMNS: Final = (
    "exchange, routing_key, message_id, correlation_id, type, app_id,"
    " content_type, content_encoding, reply_to, timestamp, headers, body"
)
PROPERTIES: Final = ", ".join("c." + name.strip() for name in COLUMNS.split(",")[2:])

#: AMQP 0.9.1: the length of a short string is one octet.
MAX_SHORT: Final = 255
MAX_TIMESTAMP: Final = 2**63 - 1


def encode(publication: Publication) -> Row:
    """The row of a message; raises `PublishRefused` for what AMQP could not carry either."""
    message = publication.message
    row = (
        publication.exchange,
        publication.routing_key,
        message.message_id,
        message.correlation_id,
        message.type,
        message.app_id,
        message.content_type,
        message.content_encoding,
        message.reply_to,
    )
    try:
        for text in row:
            if text is not None and len(text.encode()) > MAX_SHORT:
                raise PublishRefused(
                    f"The routing key or a property is longer than {MAX_SHORT} bytes: {text[:40]!r}…", lasting=True
                )
        headers = dump(message.headers) if message.headers else None
        body = bytes(message.body)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise PublishRefused(f"The message cannot be written: {error}", lasting=True) from error
    timestamp = message.timestamp
    if timestamp is not None and not (type(timestamp) is int and -MAX_TIMESTAMP <= timestamp <= MAX_TIMESTAMP):
        raise PublishRefused(f"The timestamp {timestamp!r} is not a whole number of seconds.", lasting=True)
    return (*row, timestamp, headers, body)


def decode(properties: Row) -> Message:
    """The message of the columns `PROPERTIES`."""
    message_id, correlation_id, kind, app_id, content_type, encoding, reply_to, timestamp, headers, body = properties
    return Message(
        body,
        load(headers) if headers else {},
        message_id,
        correlation_id,
        kind,
        app_id,
        content_type,
        encoding,
        reply_to,
        timestamp,
    )

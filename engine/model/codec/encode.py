"""From an event to a message: the DomainEvent JSON, and what the AMQP properties repeat of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from engine.errors import DecodingError, UsageError
from engine.model.codec.strict import Limits, loads
from engine.model.event import Event
from engine.model.message import Message

CONTENT_TYPE = "application/json"

#: The field of an event's metadata that has its version in its stream.
STREAM_VERSION = "streamVersion"

_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_ANY_SIZE = Limits(size=2**62)


def encode(event: Event[Any]) -> bytes:
    """The body of the event's message: always the same fields in the same order.

    Raises `UsageError` for a payload or metadata that JSON cannot carry, or that no reader
    of ours would take back: NaN, integers beyond 64 bits, nesting over 64 levels.
    """
    return orjson.dumps(
        {
            "eventType": event.type,
            "eventId": event.id,
            "timestamp": event.timestamp,
            "source": event.source,
            "aggregateId": event.aggregate_id,
            "aggregateType": event.aggregate_type,
            "version": event.version,
            "causationId": event.causation_id,
            "correlationId": event.correlation_id,
            "data": orjson.Fragment(_payload(event)),
            "metadata": orjson.Fragment(_metadata(event)),
        },
        option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC,
    )


def to_message(event: Event[Any]) -> Message:
    """The message of an event, with the properties that routers and other tools look for."""
    return Message(
        encode(event),
        {},
        event.id,
        event.correlation_id,
        event.type,
        event.source or None,
        CONTENT_TYPE,
        None,
        None,
        _seconds(event.timestamp),
    )


def _seconds(moment: datetime) -> int | None:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0, int(aware.timestamp()))


def _metadata(event: Event[Any]) -> bytes:
    found = event.metadata
    if not found:
        return b"{}"
    if len(found) == 1 and type(version := found.get(STREAM_VERSION)) is int:
        return b'{"streamVersion":%d}' % version  # of nearly all that is appended
    return _checked(event, "metadata", dict(found))


def _payload(event: Event[Any]) -> bytes:
    data = event.data
    if not isinstance(data, BaseModel):
        return _checked(event, "data", data)
    try:
        body = data.__pydantic_serializer__.to_json(data, by_alias=True)
    except PydanticSerializationError as error:
        raise UsageError(f"the payload of {event.type} cannot be written as JSON: {error}") from error
    if _LONG_NUMBER.search(body) or body.count(b"{") + body.count(b"[") > 48:
        _check(event, "data", body)
    return body


def _checked(event: Event[Any], what: str, value: Any) -> bytes:
    try:
        body = to_json(value, inf_nan_mode="constants", bytes_mode="base64", by_alias=True)
    except PydanticSerializationError as error:
        raise UsageError(f"the {what} of {event.type} cannot be written as JSON: {error}") from error
    _check(event, what, body)
    return body


def _check(event: Event[Any], what: str, body: bytes) -> None:
    try:
        # Nested within the event's own object, it has one level less than the whole.
        value = loads(body, _ANY_SIZE._replace(depth=_ANY_SIZE.depth - 1))
    except DecodingError as error:
        raise UsageError(f"the {what} of {event.type} would not be read back: {error}") from None
    if type(value) is not dict:
        raise UsageError(f"the {what} of {event.type} is not an object", hint="Emit a model or a dict.")

"""From a message to an envelope: DomainEvent JSON, CloudEvents 1.0, or plain JSON."""

from __future__ import annotations

from typing import Any

from engine.errors import DecodingError
from engine.model.codec import cloudevents, media
from engine.model.codec.envelope import (
    Envelope,
    app_id,
    correlation_id,
    message_id,
    moment,
    property_moment,
    required,
    table,
    text,
    version,
)
from engine.model.codec.strict import LIMITS, Limits, kind, loads
from engine.model.message import Message

#: Checked without a look at their parts.
_USUAL = frozenset((None, "", "application/json"))


def decode(message: Message, routing_key: str, limits: Limits = LIMITS) -> Envelope:
    """What the message says about its event; raises `DecodingError` with the reason.

    A JSON object with `eventType` is a DomainEvent. CloudEvents are told by their headers or
    content type. Any other object is the payload itself: its type is the AMQP `type` property
    or else the routing key, its id the `message_id`.
    """
    if message.content_encoding:
        media.check_encoding(message.content_encoding)
    if message.headers and (attributes := cloudevents.attributes(message.headers)):
        return cloudevents.binary(attributes, message, limits)
    name = ""
    if message.content_type not in _USUAL:
        content_type = message.content_type or ""
        media.check_type(content_type)
        name = media.essence(content_type)
        if name == cloudevents.BATCH:
            raise DecodingError("a batch of CloudEvents is not understood: send one a message")
    value = loads(message.body, limits)
    if type(value) is not dict:
        raise DecodingError(f"the body is {kind(value)} where an object belongs")
    if name == cloudevents.STRUCTURED:
        return cloudevents.structured(value, message, limits)
    if "eventType" in value:
        return _domain(value, message)
    if cloudevents.looks_structured(value):
        return cloudevents.structured(value, message, limits)
    return _plain(value, message, routing_key)


def _domain(value: dict[str, Any], message: Message) -> Envelope:
    get = value.get
    return Envelope(
        required(value["eventType"], "eventType"),
        text(get("eventId"), "eventId") or message_id(message),
        moment(get("timestamp"), "timestamp") or property_moment(message),
        (get("source") and text(get("source"), "source")) or app_id(message),
        text(get("aggregateType"), "aggregateType"),
        text(get("aggregateId"), "aggregateId"),
        version(get("version"), "version"),
        text(get("causationId"), "causationId"),
        text(get("correlationId"), "correlationId") or correlation_id(message),
        table(get("data"), "data"),
        table(get("metadata"), "metadata"),
    )


def _plain(value: dict[str, Any], message: Message, routing_key: str) -> Envelope:
    if message.type:
        type_ = required(message.type, "the type property")
    elif routing_key:
        type_ = required(routing_key, "the routing key")
    else:
        raise DecodingError("the message has no event type: no eventType, no type property, no routing key")
    return Envelope(
        type_,
        message_id(message),
        property_moment(message),
        app_id(message),
        None,
        None,
        1,
        None,
        correlation_id(message),
        value,
        {},
    )

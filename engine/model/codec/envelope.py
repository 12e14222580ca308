"""What a message says about its event, whichever of the forms it came in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from engine.errors import DecodingError
from engine.model.codec.strict import kind
from engine.model.event import MAX_VERSION
from engine.model.message import Message
from engine.model.names import flaw


class Envelope(NamedTuple):
    """An event as it stands in a message: strings checked, payload not yet.

    `id` is None when the message has none: it is then at-least-once. `timestamp` is in UTC.
    """

    type: str
    id: str | None
    timestamp: datetime | None
    source: str
    aggregate_type: str | None
    aggregate_id: str | None
    version: int
    causation_id: str | None
    correlation_id: str | None
    data: dict[str, Any]
    metadata: dict[str, Any]


def text(value: Any, where: str) -> str | None:
    """An id or a name: 1 to 255 bytes without control characters; None stays None."""
    if value is None:
        return None
    if type(value) is not str:
        raise DecodingError(f"{where} is {kind(value)} where a string belongs")
    if problem := flaw(value):
        raise DecodingError(f"{where} {problem}")
    return value


def required(value: Any, where: str) -> str:
    """The same, where None will not do."""
    found = text(value, where)
    if found is None:
        raise DecodingError(f"{where} is missing")
    return found


def table(value: Any, where: str) -> dict[str, Any]:
    """An object; a missing one is empty."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise DecodingError(f"{where} is {kind(value)} where an object belongs")
    return value


def version(value: Any, where: str) -> int:
    """The version of a schema; without one it is the first."""
    if value is None:
        return 1
    if type(value) is not int:
        raise DecodingError(f"{where} is {kind(value)} where a whole number belongs")
    if not 1 <= value <= MAX_VERSION:
        raise DecodingError(f"{where} is not between 1 and {MAX_VERSION}")
    return value


def moment(value: Any, where: str) -> datetime | None:
    """A date and time of ISO 8601, as UTC; one without an offset is taken as UTC."""
    if value is None:
        return None
    if isinstance(value, datetime):
        found = value  # an AMQP header of that type
    elif type(value) is not str:
        raise DecodingError(f"{where} is {kind(value)} where a timestamp belongs")
    else:
        try:
            found = datetime.fromisoformat(value)
            if value[10:11] not in ("T", "t", " "):
                raise ValueError
        except ValueError:
            raise DecodingError(f"{where} is not a timestamp of ISO 8601, such as 2026-11-23T19:00:00Z") from None
    if found.tzinfo is UTC:
        return found
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise DecodingError(f"{where} lies outside the years 1 to 9999") from None


def property_moment(message: Message) -> datetime | None:
    """The AMQP timestamp; one that no calendar knows counts as missing, for nothing depends on it."""
    if message.timestamp is None:
        return None
    try:
        return datetime.fromtimestamp(message.timestamp, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def message_id(message: Message) -> str | None:
    """The AMQP message id, checked; an empty one counts as missing."""
    return text(message.message_id or None, "the message_id property")


def correlation_id(message: Message) -> str | None:
    """The AMQP correlation id, checked; an empty one counts as missing."""
    return text(message.correlation_id or None, "the correlation_id property")


def app_id(message: Message) -> str:
    """The AMQP app id, checked, or nothing."""
    return text(message.app_id or None, "the app_id property") or ""


def first(values: Mapping[str, Any], *names: str) -> Any:
    """The first of these that is there and not null."""
    for name in names:
        if (value := values.get(name)) is not None:
            return value
    return None

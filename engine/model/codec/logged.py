"""Reading back the events of a stream, thousands at a time: the envelope is known, only the payload is parsed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import orjson

from engine.errors import DecodingError
from engine.model.codec.build import Payloads, build_event
from engine.model.codec.decode import decode
from engine.model.codec.envelope import Envelope
from engine.model.codec.strict import LIMITS
from engine.model.event import Event, EventData
from engine.model.message import Message

#: What `encode` writes around a payload. No string in front of it can hold it: a quote in a string is escaped.
_BEFORE, _AFTER = b',"data":', b',"metadata":{"streamVersion":%d}}'

#: What is in the log is read whatever its size: nobody refuses it there, as a handler may.
ANY_SIZE = LIMITS._replace(size=2**62)


class Parts(NamedTuple):
    """A body as `encode` writes it for a stream: its fields in front of the payload, and the payload as JSON."""

    head: dict[str, Any]
    data: bytes


def split(body: bytes, version: int) -> Parts | None:
    """The parts of a body that has this place in its stream, None where another program wrote it."""
    end = _AFTER % version
    begin = body.find(_BEFORE)
    if begin < 0 or not body.endswith(end):
        return None
    try:
        head = orjson.loads(body[:begin] + b"}")
    except orjson.JSONDecodeError:
        return None
    return Parts(head, body[begin + len(_BEFORE) : -len(end)])


def schema_version(parts: Parts) -> int:
    """The version of the payload's schema."""
    found: int = parts.head.get("version", 1)
    return found


def fast(model: type[EventData], parts: Parts) -> EventData | None:
    """The payload as an instance of the model; None where it takes a slower look to say what is wrong."""
    try:
        found: EventData = model.__pydantic_validator__.validate_json(parts.data)
    except Exception:  # of pydantic, or from a validator of the user's
        return None
    return found


def envelope_of(event_type: str, body: bytes) -> Envelope:
    """The envelope of a body, whoever wrote it. Raises `DecodingError`."""
    return decode(Message(bytes(body), {}, type=event_type), event_type, ANY_SIZE)


def to_event(
    body: bytes, payloads: Payloads | None, *, id: str, type: str, now: datetime
) -> Event[Any]:  # fmt: skip
    """The event of a body, as `build_event`; raises `DecodingError` for what cannot be read."""
    envelope = envelope_of(type, body)
    if envelope.type != type:
        raise DecodingError(f"the body is an event of type {envelope.type}, and the log has it as {type}")
    return build_event(envelope, payloads, id=id, now=now)

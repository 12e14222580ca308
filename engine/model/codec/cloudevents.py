"""CloudEvents 1.0 as they come over AMQP 0.9.1: structured JSON, and binary in the headers.

Sources: the CloudEvents core specification, its JSON event format and its AMQP binding,
whose prefixes `cloudEvents:` and `cloudEvents_` are used on headers here. Extension
attributes named like fields of ours in lower case (`correlationid`, `aggregatetype` …)
fill them; all others are found in the event's metadata.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.errors import DecodingError
from engine.model.codec import envelope as read
from engine.model.codec.envelope import Envelope
from engine.model.codec.media import is_json
from engine.model.codec.strict import Limits, kind, loads
from engine.model.message import Headers, Message

PREFIXES = ("cloudEvents:", "cloudEvents_")
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

_REQUIRED = ("specversion", "id", "source", "type")
_OURS = ("version", "correlationid", "causationid", "aggregatetype", "aggregateid")
_KNOWN = frozenset((*_REQUIRED, *_OURS, "time", "datacontenttype", "data", "data_base64"))


def attributes(headers: Headers) -> dict[str, Any] | None:
    """The attributes in the headers of a binary CloudEvent; None when it is not one."""
    found: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith(PREFIXES):
            found[name[12:]] = value
    return found or None


def looks_structured(value: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a CloudEvent though its content type does not say so."""
    return "specversion" in value and all(name in value for name in _REQUIRED)


def binary(attributes: dict[str, Any], message: Message, limits: Limits) -> Envelope:
    """A CloudEvent whose attributes are headers and whose body is the data."""
    plain = {name: _header(value, f"the header {PREFIXES[0]}{name}") for name, value in attributes.items()}
    content_type = plain.get("datacontenttype") or message.content_type
    if content_type and not is_json(read.required(content_type, "the content type")):
        raise DecodingError("the data of the CloudEvent is not JSON")
    data = loads(message.body, limits) if message.body else None
    return _envelope(plain, read.table(data, "the body"), message)


def structured(value: dict[str, Any], message: Message, limits: Limits) -> Envelope:
    """A CloudEvent that is a JSON object as a whole."""
    content_type = read.text(value.get("datacontenttype"), "datacontenttype")
    if content_type is not None and not is_json(content_type):
        raise DecodingError("the data of the CloudEvent is not JSON")
    data = value.get("data")
    if (packed := value.get("data_base64")) is not None:
        if data is not None:
            raise DecodingError("the CloudEvent has both data and data_base64")
        data = loads(_unpack(packed), limits)
    return _envelope(value, read.table(data, "data"), message)


def _unpack(packed: Any) -> bytes:
    if type(packed) is not str:
        raise DecodingError(f"data_base64 is {kind(packed)} where a string belongs")
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise DecodingError("data_base64 is not base64") from None


def _header(value: Any, where: str) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise DecodingError(f"{where} is not UTF-8") from None
    return value


def _envelope(attributes: dict[str, Any], data: dict[str, Any], message: Message) -> Envelope:
    for name in _REQUIRED:
        if attributes.get(name) is None:
            raise DecodingError(f"a CloudEvent needs the attribute {name}")
    if read.required(attributes["specversion"], "specversion") != "1.0":
        raise DecodingError("specversion is not 1.0, the only version of CloudEvents that is understood")
    return Envelope(
        type=read.required(attributes["type"], "type"),
        id=read.required(attributes["id"], "id"),
        timestamp=read.moment(attributes.get("time"), "time") or read.property_moment(message),
        source=read.required(attributes["source"], "source"),
        aggregate_type=read.text(attributes.get("aggregatetype"), "aggregatetype"),
        aggregate_id=read.text(attributes.get("aggregateid"), "aggregateid"),
        version=read.version(_whole(attributes.get("version")), "version"),
        causation_id=read.text(attributes.get("causationid"), "causationid"),
        correlation_id=read.text(attributes.get("correlationid"), "correlationid") or read.correlation_id(message),
        data=data,
        metadata={name: _extension(value) for name, value in attributes.items() if name not in _KNOWN},
    )


def _whole(value: Any) -> Any:
    """Header attributes may be strings throughout: a number in one is read."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11 else value


def _extension(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value

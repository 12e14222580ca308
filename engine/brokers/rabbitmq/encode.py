"""Write the frames of the hot path: publish, ack, nack.

What the broker would answer by closing the channel or the connection (a header block larger
than a frame, a NaN, a name over 255 bytes) is refused here, for that one message.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct

from engine.brokers.rabbitmq.decode import MAX_DEPTH
from engine.errors import PublishRefused
from engine.model.message import Message, Publication

#: Frame header and end octet.
FRAME_OVERHEAD = 8
#: Bytes of an ack or nack frame.
SETTLE_SIZE = 21

_frame = Struct(">BHI").pack
_content = Struct(">BHIHHQH").pack
_settle = Struct(">BHIHHQBB").pack
_u32 = Struct(">I").pack
_u64 = Struct(">Q").pack
_i32 = Struct(">i").pack
_i64 = Struct(">q").pack
_f64 = Struct(">d").pack


class Unencodable(ValueError):
    """A message that AMQP 0-9-1 cannot carry."""


def publication_frames(publication: Publication, channel: int, frame_max: int, into: list[bytes]) -> int:
    """Append the frames of one publication to `into`; the number of bytes.

    Raises `PublishRefused`, with `into` untouched, when the broker could not read it.
    """
    message = publication.message
    try:
        exchange = _short(publication.exchange, "exchange name")
        key = _short(publication.routing_key, "routing key")
        flags, properties = _properties(message)
    except Unencodable as error:
        raise PublishRefused(
            f"The message {message.message_id or '(without an id)'} cannot be published: {error}.",
            hint="Nothing was sent. Change the message; others are not affected.",
            lasting=True,
        ) from None
    if len(properties) + 14 > frame_max - FRAME_OVERHEAD:
        raise PublishRefused(
            f"The message {message.message_id or '(without an id)'} has {len(properties)} bytes of headers; "
            f"RabbitMQ takes {frame_max - FRAME_OVERHEAD - 14}.",
            hint="Nothing was sent. Put large values into the body.",
            lasting=True,
        )
    body = message.body
    size = len(body)
    arguments = b"\x00\x3c\x00\x28\x00\x00" + exchange + key + (b"\x01" if publication.mandatory else b"\x00")
    head = b"".join(
        (
            _frame(1, channel, len(arguments)),
            arguments,
            b"\xce",
            _content(2, channel, 14 + len(properties), 60, 0, size, flags),
            properties,
            b"\xce",
        )
    )
    into.append(head)
    largest = frame_max - FRAME_OVERHEAD
    if 0 < size <= largest:
        into += (_frame(3, channel, size), body, b"\xce")
    else:
        for start in range(0, size, largest):
            part = body[start : start + largest]
            into += (_frame(3, channel, len(part)), part, b"\xce")
    return len(head) + size


def ack_frame(channel: int, tag: int, multiple: bool) -> bytes:
    """Basic.Ack of one tag, or of all up to it."""
    return _settle(1, channel, 13, 60, 80, tag, multiple, 0xCE)


def nack_frame(channel: int, tag: int, multiple: bool, requeue: bool) -> bytes:
    """Basic.Nack of one tag, or of all up to it."""
    return _settle(1, channel, 13, 60, 120, tag, multiple | requeue << 1, 0xCE)


def _properties(message: Message) -> tuple[int, bytes]:
    """Property flags and list. Always persistent; the order is that of the flags."""
    flags = 0x1000
    parts: list[bytes] = []
    if message.content_type is not None:
        flags |= 0x8000
        parts.append(_short(message.content_type, "content type"))
    if message.content_encoding is not None:
        flags |= 0x4000
        parts.append(_short(message.content_encoding, "content encoding"))
    if message.headers:
        flags |= 0x2000
        parts.append(table(message.headers))
    parts.append(b"\x02")
    if message.correlation_id is not None:
        flags |= 0x0400
        parts.append(_short(message.correlation_id, "correlation id"))
    if message.reply_to is not None:
        flags |= 0x0200
        parts.append(_short(message.reply_to, "reply-to"))
    if message.message_id is not None:
        flags |= 0x0080
        parts.append(_short(message.message_id, "message id"))
    if message.timestamp is not None:
        flags |= 0x0040
        try:
            parts.append(_u64(message.timestamp))
        except struct.error:
            raise Unencodable(f"the timestamp {message.timestamp!r} is not a number of seconds from 0") from None
    if message.type is not None:
        flags |= 0x0020
        parts.append(_short(message.type, "type"))
    if message.app_id is not None:
        flags |= 0x0008
        parts.append(_short(message.app_id, "app id"))
    return flags, b"".join(parts)


def _short(text: str, name: str) -> bytes:
    try:
        raw = text.encode()
        return bytes((len(raw),)) + raw
    except UnicodeEncodeError:
        raise Unencodable(f"the {name} holds characters that UTF-8 cannot carry") from None
    except ValueError:
        raise Unencodable(f"the {name} has {len(raw)} bytes, AMQP takes 255") from None


def table(fields: Mapping[str, object], depth: int = 1, path: str = "") -> bytes:
    """An AMQP table with its length in front; raises `Unencodable`, naming the field."""
    parts: list[bytes] = []
    for name, value in fields.items():
        if not isinstance(name, str):
            raise Unencodable(f"the header name {name!r} is not a string")
        parts.append(_short(name, f"header name {path}{name[:40]}…" if len(name) > 40 else f"header name {path}{name}"))
        parts.append(_value(value, depth, f"{path}{name[:40]}"))
    joined = b"".join(parts)
    return _u32(len(joined)) + joined


def _value(value: object, depth: int, path: str) -> bytes:
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value, path)
    if isinstance(value, Mapping):
        _check_depth(depth, path)
        return b"F" + table(value, depth + 1, f"{path}.")
    if isinstance(value, list | tuple):
        _check_depth(depth, path)
        return b"A" + _array(value, depth + 1, path)
    for kind, fallback in _WRITERS.items():  # subclasses: an IntEnum, a str of one's own
        if isinstance(value, kind):
            return fallback(value, path)
    raise Unencodable(f"the header {path} is a {type(value).__name__}, which AMQP does not know")


def _array(items: Iterable[object], depth: int, path: str) -> bytes:
    joined = b"".join(_value(item, depth, path) for item in items)
    return _u32(len(joined)) + joined


def _check_depth(depth: int, path: str) -> None:
    if depth >= MAX_DEPTH:
        raise Unencodable(f"the header {path.split('.', 1)[0]} is nested deeper than {MAX_DEPTH} levels")


def _text(value: str, path: str) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise Unencodable(f"the header {path} holds characters that UTF-8 cannot carry") from None
    return b"S" + _u32(len(raw)) + raw


def _int(value: int, path: str) -> bytes:
    if -0x80000000 <= value <= 0x7FFFFFFF:
        return b"I" + _i32(value)
    try:
        return b"l" + _i64(value)
    except struct.error:
        raise Unencodable(f"the header {path} is an integer beyond 64 bits") from None


def _float(value: float, path: str) -> bytes:
    if not math.isfinite(value):
        raise Unencodable(f"the header {path} is {value}, which RabbitMQ does not take")
    return b"d" + _f64(value)


def _decimal(value: Decimal, path: str) -> bytes:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise Unencodable(f"the header {path} is {value}, which AMQP does not know")
    scale = max(0, -exponent)
    mantissa = int(value.scaleb(scale))
    if scale > 255 or not -(2**31) <= mantissa < 2**31:
        return _float(float(value), path)
    return b"D" + bytes((scale,)) + _i32(mantissa)


def _datetime(value: datetime, path: str) -> bytes:
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    if moment.timestamp() < 0:
        raise Unencodable(f"the header {path} is a time before 1970")
    return b"T" + _u64(int(moment.timestamp()))


_WRITERS: dict[type, Callable[..., bytes]] = {
    str: _text,
    bool: lambda value, _: b"t\x01" if value else b"t\x00",
    int: _int,
    float: _float,
    bytes: lambda value, _: b"x" + _u32(len(value)) + value,
    bytearray: lambda value, _: b"x" + _u32(len(value)) + bytes(value),
    type(None): lambda _value, _: b"V",
    Decimal: _decimal,
    datetime: _datetime,
}

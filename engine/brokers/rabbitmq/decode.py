"""Read content headers tolerantly: what cannot be read becomes a defect, never an exception.

The readers that come with AMQP clients raise on a timestamp past the year 9999, on tables
nested a few thousand deep and on invalid UTF-8, and take the whole connection with them,
again at each redelivery. Here the caller hands in a list of defects; what is unreadable adds
a line to it and is left out or made printable.

Values come back as `HeaderValue`, and each can be published again: a timestamp in a table
becomes an int (seconds), a decimal a float, a long string that is no UTF-8 bytes.
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from struct import Struct

from engine.model.message import HeaderValue, Message

#: Tables and arrays within each other; deeper ones are left out.
MAX_DEPTH = 64
#: 9999-12-31T23:59:59Z in seconds; larger timestamps are taken for milliseconds first.
MAX_TIMESTAMP = 253_402_300_799
#: At most this many defects are spelled out for one message.
MAX_DEFECTS = 5
MAX_INT = 2**63 - 1

_u16 = Struct(">H").unpack_from
_u32 = Struct(">I").unpack_from
_u64 = Struct(">Q").unpack_from

#: Fixed-size values of AMQP tables by their type octet, as RabbitMQ writes them.
_FIXED = {
    ord(kind): Struct(">" + form)
    for kind, form in {
        "b": "b",
        "B": "B",
        "s": "h",
        "u": "H",
        "I": "i",
        "i": "I",
        "l": "q",
        "L": "q",
        "f": "f",
        "d": "d",
    }.items()
}


def read_properties(data: bytes, at: int, end: int, defects: list[str]) -> Message:
    """The message, without its body, whose property flags and list stand in `data[at:end]`."""
    content_type = content_encoding = correlation_id = reply_to = message_id = kind = app_id = None
    headers: dict[str, HeaderValue] = {}
    timestamp = None
    try:
        flags = _u16(data, at)[0]
        at += 2
        more = flags
        while more & 1:
            more = _u16(data, at)[0]
            at += 2
        if flags & 0x8000:
            content_type, at = read_short(data, at, end, "content type", defects)
        if flags & 0x4000:
            content_encoding, at = read_short(data, at, end, "content encoding", defects)
        if flags & 0x2000:
            size = _u32(data, at)[0]
            at += 4
            stop = at + size
            if stop > end:
                raise IndexError
            if size:
                headers = read_table(data, at, stop, 1, defects)
            at = stop
        if flags & 0x1000:  # delivery mode
            at += 1
        if flags & 0x0800:  # priority
            at += 1
        if flags & 0x0400:
            correlation_id, at = read_short(data, at, end, "correlation id", defects)
        if flags & 0x0200:
            reply_to, at = read_short(data, at, end, "reply-to", defects)
        if flags & 0x0100:  # expiration
            at += 1 + data[at]
        if flags & 0x0080:
            message_id, at = read_short(data, at, end, "message id", defects)
        if flags & 0x0040:
            timestamp = _timestamp(_u64(data, at)[0], defects)
            at += 8
        if flags & 0x0020:
            kind, at = read_short(data, at, end, "type", defects)
        if flags & 0x0010:  # user id
            at += 1 + data[at]
        if flags & 0x0008:
            app_id, at = read_short(data, at, end, "app id", defects)
        if at > end:
            raise IndexError
    except (IndexError, struct.error):
        defects.append("the properties end too early")
    return Message(
        b"",
        headers,
        message_id,
        correlation_id,
        kind,
        app_id,
        content_type,
        content_encoding,
        reply_to,
        timestamp,
    )


def read_short(data: bytes, at: int, end: int, name: str, defects: list[str]) -> tuple[str, int]:
    """A short string and the position after it; `name` is what a defect calls it."""
    stop = at + 1 + data[at]
    if stop > end:
        raise IndexError
    raw = data[at + 1 : stop]
    try:
        return raw.decode(), stop
    except UnicodeDecodeError:
        defects.append(f"the {name} is not valid UTF-8")
        return _printable(raw), stop


def read_table(data: bytes, at: int, end: int, depth: int, defects: list[str]) -> dict[str, HeaderValue]:
    """The table whose fields stand in `data[at:end]`, as far as it can be read."""
    table: dict[str, HeaderValue] = {}
    try:
        while at < end:
            stop = at + 1 + data[at]
            raw = data[at + 1 : stop]
            try:
                name = raw.decode()
            except UnicodeDecodeError:
                name = _printable(raw)
                defects.append(f"the header name {name!r} is not valid UTF-8")
            if data[stop] == 83:  # a long string, the commonest by far
                at = stop + 5 + _u32(data, stop + 1)[0]
                if at > end:
                    raise IndexError
                text = data[stop + 5 : at]
                try:
                    table[name] = text.decode()
                except UnicodeDecodeError:
                    table[name] = text
            else:
                table[name], at = _value(data, stop, end, depth, defects)
    except (IndexError, struct.error):
        defects.append("a header table ends too early")
    except _UnknownType as error:
        defects.append(f"a header has the unknown type {error.args[0]:#04x}; what follows it is lost")
    return table


def summary(defects: list[str]) -> str | None:
    """The defects as one text, None when there are none."""
    if not defects:
        return None
    shown = list(dict.fromkeys(defects))
    text = "; ".join(shown[:MAX_DEFECTS])
    return text if len(shown) <= MAX_DEFECTS else f"{text}; and {len(shown) - MAX_DEFECTS} more"


class _UnknownType(Exception):
    """A type octet that no table has: its value's length is not known."""


def _value(data: bytes, at: int, end: int, depth: int, defects: list[str]) -> tuple[HeaderValue, int]:
    kind = data[at]
    at += 1
    fixed = _FIXED.get(kind)
    stop: int
    if fixed is not None:
        stop = at + fixed.size
        if stop > end:
            raise IndexError
        number: int | float = fixed.unpack_from(data, at)[0]
        if kind in (102, 100) and not math.isfinite(number):
            defects.append(f"a header is {number}, which is no number")
            return None, stop
        return number, stop
    if kind == 116:  # t
        return bool(data[at]), at + 1
    if kind in (86, 0):  # V
        return None, at
    if kind == 84:  # T
        return min(_u64(data, at)[0], MAX_INT), at + 8
    if kind == 68:  # D
        scale, raw = data[at], int.from_bytes(data[at + 1 : at + 5], "big", signed=True)
        return float(Decimal(raw).scaleb(-scale)), at + 5
    if kind not in (83, 120, 70, 65):  # S, x, F, A
        raise _UnknownType(kind)
    stop = at + 4 + _u32(data, at)[0]
    at += 4
    if stop > end:
        raise IndexError
    if kind == 83:
        text = data[at:stop]
        try:
            return text.decode(), stop
        except UnicodeDecodeError:
            return text, stop
    if kind == 120:
        return data[at:stop], stop
    if depth >= MAX_DEPTH:
        defects.append(f"headers are nested deeper than {MAX_DEPTH} levels; what is below is left out")
        return None, stop
    if kind == 70:
        return read_table(data, at, stop, depth + 1, defects), stop
    items: list[HeaderValue] = []
    while at < stop:
        item, at = _value(data, at, stop, depth + 1, defects)
        items.append(item)
    return items, stop


def _timestamp(seconds: int, defects: list[str]) -> int | None:
    if seconds <= MAX_TIMESTAMP:
        return seconds
    if seconds <= MAX_TIMESTAMP * 1000:  # many clients write milliseconds
        return seconds // 1000
    defects.append(f"the timestamp {seconds} is past the year 9999")
    return None


def _printable(raw: bytes) -> str:
    """Bytes as text that still fits a short string when it is published again."""
    return raw.decode(errors="backslashreplace").encode()[:255].decode(errors="ignore")

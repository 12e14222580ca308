"""The headers of a message: our own names, what a republish keeps, and how a row stores them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from engine.errors import DecodingError
from engine.model.message import Headers, HeaderValue

#: Every header of ours begins with this.
PREFIX: Final = "warren-"

#: Which run of its record a copy is; see `engine.model.record`.
RUN: Final = "warren-run"

#: The idempotency key that a copy's record goes by, where that is not the event id.
KEY: Final = "warren-key"

#: What a reply is: ok, rejected or failed; see `engine.model.codec.reply`.
REPLY: Final = "warren-reply"
#: When nobody waits any more for the reply to a request: it is not begun after that. Milliseconds since the epoch.
DEADLINE: Final = "warren-deadline"

#: When a delayed message is due (milliseconds since the epoch), by how much it may be late
#: (milliseconds), where it then goes, and that it may be lost there if no queue wants it.
DUE: Final = "warren-due"
SLACK: Final = "warren-slack"
TARGET_EXCHANGE: Final = "warren-target-exchange"
TARGET_KEY: Final = "warren-target-key"
TARGET_OPTIONAL: Final = "warren-target-optional"
#: Set on a delayed message that may have been cancelled: the database is asked before it goes to its target.
CANCELLABLE: Final = "warren-cancellable"
#: At how many looks in a row its target was not there.
MISSED: Final = "warren-missed"
DELAY_HEADERS: Final = frozenset({DUE, SLACK, TARGET_EXCHANGE, TARGET_KEY, TARGET_OPTIONAL, CANCELLABLE, MISSED})

#: What a dead letter carries; times in milliseconds since the epoch.
REASON: Final = "warren-reason"
EXCEPTION: Final = "warren-exception"
MESSAGE: Final = "warren-message"
TRACEBACK: Final = "warren-traceback"
ATTEMPTS: Final = "warren-attempts"
FIRST_FAILED: Final = "warren-first-failed"
LAST_FAILED: Final = "warren-last-failed"
QUEUE: Final = "warren-queue"
HANDLER: Final = "warren-handler"
WORKER: Final = "warren-worker"
EXCHANGE: Final = "warren-exchange"
ROUTING_KEY: Final = "warren-routing-key"
FINGERPRINT: Final = "warren-fingerprint"

#: Between a router and a partition: by which way the message came, and what of its frame could not be read.
ROUTED_EXCHANGE: Final = "warren-routed-exchange"
ROUTED_KEY: Final = "warren-routed-key"
ROUTED_DEFECT: Final = "warren-routed-defect"
ROUTED_HEADERS: Final = frozenset({ROUTED_EXCHANGE, ROUTED_KEY, ROUTED_DEFECT})

#: Tables nested deeper than this are cut in `dump`.
MAX_DEPTH: Final = 64
TOO_DEEP: Final = "(nested too deep)"

_PLAIN = (str, int, bool, type(None))


def clean(headers: Headers, *, ours: bool = False) -> dict[str, HeaderValue]:
    """The headers that a republish keeps: all but `CC`, `BCC` (they would route copies) and `x-*`.

    With `ours` those that begin with `warren-` go too: a stranger may have forged them.
    """
    return {
        name: value
        for name, value in headers.items()
        if name not in ("CC", "BCC") and not name.startswith("x-") and not (ours and name.startswith(PREFIX))
    }


def read_int(headers: Headers, name: str, default: int, lo: int, hi: int) -> int:
    """The whole number in a header, or `default` where it is missing, of another type or not in lo..hi."""
    value = headers.get(name)
    if type(value) is not int or not lo <= value <= hi:
        return default
    return value


def read_str(headers: Headers, name: str, default: str = "") -> str:
    """The text in a header, or `default` where it is missing or of another type."""
    value = headers.get(name)
    return value if type(value) is str else default


def dump(headers: Headers) -> str:
    """The headers as ASCII JSON from which `load` restores the same types.

    What JSON lacks is written as an object with one key that begins with `$`. Never raises:
    a value of a foreign type becomes its text, and what is nested too deep a note.
    """
    if all(type(value) in _PLAIN for value in headers.values()) and not any(name[:1] == "$" for name in headers):
        return json.dumps(headers if type(headers) is dict else dict(headers), separators=(",", ":"))
    return json.dumps(_pack_table(headers, 0), separators=(",", ":"))


def load(text: str) -> dict[str, HeaderValue]:
    """The headers that `dump` wrote; raises `DecodingError` on anything else."""
    try:
        value = json.loads(text, object_hook=_unpack if "$" in text else None)
    except (ValueError, TypeError, ArithmeticError, OSError, RecursionError) as error:
        raise DecodingError(f"Stored headers cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise DecodingError("Stored headers are not a JSON object.")
    return value


def _pack_table(table: Mapping[str, Any], depth: int) -> dict[str, Any]:
    packed = {str(name): _pack(value, depth + 1) for name, value in table.items()}
    # A table whose own keys look like our tags hides behind one more tag.
    return {"$table": list(packed.items())} if any(name[:1] == "$" for name in packed) else packed


def _pack(value: Any, depth: int) -> Any:
    if type(value) in _PLAIN:
        return value
    if depth > MAX_DEPTH:
        return TOO_DEEP
    match value:
        case float():
            return value if value - value == 0 else {"$float": repr(value)}
        case bytes() | bytearray() | memoryview():
            return {"$bytes": b64encode(bytes(value)).decode()}
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return {"$time": moment.astimezone(UTC).isoformat()}
        case Decimal():
            return {"$decimal": str(value)}
        case Mapping():
            return _pack_table(value, depth)
        case list() | tuple():
            return [_pack(item, depth + 1) for item in value]
        case _:
            return str(value)


_TAGS: Final[dict[str, Callable[[Any], Any]]] = {
    "$bytes": b64decode,
    "$time": datetime.fromisoformat,
    "$decimal": Decimal,
    "$float": float,
    "$table": dict,
}


def _unpack(table: dict[str, Any]) -> Any:
    if len(table) == 1:
        ((tag, value),) = table.items()
        if tag in _TAGS:
            return _TAGS[tag](value)
    return table

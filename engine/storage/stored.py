"""How values are stored: a message as JSON text and bytes, and text as PostgreSQL takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.model import headers
from engine.model.message import Message

#: The longest text in an indexed column, in characters: PostgreSQL limits an index row to 2,700 bytes.
SHORT = 255

#: The properties of a message that are stored by name.
PROPERTIES = (
    "message_id",
    "correlation_id",
    "type",
    "app_id",
    "content_type",
    "content_encoding",
    "reply_to",
    "timestamp",
)


def plain(text: str, limit: int | None = None) -> str:
    """The text without NUL and lone surrogates, cut to `limit` characters."""
    if limit is not None:
        text = text[:limit]
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def dump_properties(message: Message, extra: Mapping[str, Any] | None = None) -> str:
    """Headers and properties of a message as ASCII JSON, and what else goes with them."""
    found: dict[str, Any] = dict(extra) if extra else {}
    for name in PROPERTIES:
        value = getattr(message, name)
        if value is not None:
            found[name] = value
    if message.headers:
        found["headers"] = headers.dump(message.headers)
    return json.dumps(found, separators=(",", ":"))


def load_properties(text: str) -> dict[str, Any]:
    """What `dump_properties` wrote; the headers are still text."""
    found: dict[str, Any] = json.loads(text)
    return found


def build_message(body: bytes, found: Mapping[str, Any]) -> Message:
    """The message again, from its body and its properties."""
    stored = found.get("headers")
    return Message(
        bytes(body),
        headers.load(stored) if stored else {},
        **{name: found[name] for name in PROPERTIES if name in found},
    )

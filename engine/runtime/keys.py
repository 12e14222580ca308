"""The keys of a handler: `idempotency_key`, by which duplicates are told, and `key`, what is serial."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from hashlib import blake2b
from typing import Any

from engine.errors import DecodingError
from engine.model.codec import Envelope, Payloads, build_event
from engine.model.event import Event
from engine.model.handler import Key
from engine.model.names import flaw
from engine.runtime import clock


def key_hash(key: str) -> bytes:
    """What stands for the body in the record of an idempotency key: equal for all events with that key."""
    return blake2b(key.encode(), digest_size=16, person=b"warren-key").digest()


class Identity:
    """The idempotency key of a handler's events. It is read before the claim, so the payload is validated then."""

    def __init__(self, key: Key, payloads: Payloads) -> None:
        self._read = _reader(key)
        self._payloads = payloads

    def __call__(self, envelope: Envelope, event_id: str) -> tuple[Event[Any], str]:
        """The event and its key; raises `DecodingError` when it has none."""
        event = build_event(envelope, self._payloads, id=event_id, now=clock.utc())
        value = _call(self._read, event, "idempotency_key")
        if value is None:
            raise DecodingError("the idempotency key is missing")
        text = value if type(value) is str else str(value)
        if problem := flaw(text):
            raise DecodingError(f"the idempotency key {problem}")
        return event, text


class SerialKey:
    """The key of what a handler does one at a time; None where a message has none."""

    def __init__(self, key: Key) -> None:
        self._read = _reader(key)

    def __call__(self, event: Event[Any]) -> Hashable:
        """The key; raises `DecodingError` when it cannot be told."""
        value = _call(self._read, event, "key")
        try:
            hash(value)
        except TypeError:
            raise DecodingError(f"the key is {type(value).__name__}, which cannot be compared") from None
        return value  # type: ignore[no-any-return]


def _reader(key: Key) -> Callable[[Event[Any]], object]:
    if not isinstance(key, str):
        return key

    def field(event: Event[Any]) -> object:
        data = event.data
        return data.get(key) if isinstance(data, Mapping) else getattr(data, key, None)

    return field


def _call(read: Callable[[Event[Any]], object], event: Event[Any], what: str) -> Any:
    try:
        return read(event)
    except Exception as error:
        raise DecodingError(f"{what}= raised {type(error).__name__}: {error}") from error

"""Which failures are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

from engine.model.failure import Status

#: Terms that are a whole name, or its beginning where they end with `*`.
NAMES: Final = ("handler", "queue", "exception", "event_type", "reason")

#: Terms that are an id, whole.
IDS: Final = ("event_id", "correlation_id", "fingerprint", "act")

#: A field of the payload, and what it must be: `("data.order_id", "17")`.
FieldTerm: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Terms that must all hold; what is None or empty does not matter. Times in seconds since the epoch.

    `handler`, `queue`, `exception`, `event_type` and `reason` are whole names, or beginnings when they end
    with `*`. Each of `texts` is looked for in message, exception, reason, event id, handler and event type,
    case aside, as it stands. `fields` are fields of the payload with their values; in a list any element counts. `act` is the
    token of the act that archived it; `edited`: whether an edit of it waits to be sent.
    """

    ids: Sequence[int] | None = None
    queue: str | None = None
    handler: str | None = None
    exception: str | None = None
    reason: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    correlation_id: str | None = None
    fingerprint: str | None = None
    act: str | None = None
    texts: tuple[str, ...] = ()
    fields: tuple[FieldTerm, ...] = ()
    edited: bool | None = None
    arrived_before: float | None = None
    arrived_after: float | None = None
    status: Status | None = None

    def narrows(self) -> bool:
        """Whether it leaves anything out but by status."""
        return any(getattr(self, each.name) not in (None, ()) for each in fields(self) if each.name != "status")

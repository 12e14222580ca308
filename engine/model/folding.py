"""Building an aggregate from its stream, and from a snapshot of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from engine.errors import DecodingError, HistoryError, UnknownEvent, UsageError
from engine.model.aggregate import Aggregate, applier_failed, standing, stream_of
from engine.model.applying import Applier
from engine.model.codec import logged
from engine.model.event import EventData

A = TypeVar("A", bound=Aggregate)


class Recorded(Protocol):
    """An event of a stream, as far as a fold looks at it."""

    @property
    def version(self) -> int: ...
    @property
    def event_type(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class _Reader(NamedTuple):
    """How events of one type and schema version are read: nothing for those that are ignored."""

    model: type[EventData] | None
    apply: Applier | None


def fold(aggregate: Aggregate, events: Iterable[Recorded]) -> int:
    """Apply the events that follow in its stream; how many there were.

    Raises `UnknownEvent`, `ApplierFailed`, and `HistoryError` where an event is missing.
    """
    own = standing(aggregate)
    version = begun = own.version
    known: dict[tuple[str, int], _Reader] = {}
    for event in events:
        version += 1
        if event.version != version:
            raise HistoryError(
                f"the stream {_stream(aggregate)} lacks version {version}: after {version - 1} comes {event.version}",
                stream=_stream(aggregate),
                version=version,
                hint="Somebody deleted it from warren_events: restore it from a copy, or `warren events import` it.",
            )
        _apply(aggregate, event, known)
    own.version = version
    return version - begun


def _apply(aggregate: Aggregate, event: Recorded, known: dict[tuple[str, int], _Reader]) -> None:
    parts = logged.split(event.body, event.version)
    data: EventData | None = None
    if parts is not None:
        key = (event.event_type, logged.schema_version(parts))
        reader = known.get(key)
        if reader is None:
            reader = known[key] = _reader(aggregate, event, *key)
        if reader.model is None:
            return
        data = logged.fast(reader.model, parts)
        apply = reader.apply
    if data is None:
        data = _slowly(aggregate, event)
        apply = None if data is None else type(aggregate).__warren_appliers__.of(type(data))
    if data is None or apply is None:
        return
    try:
        apply(aggregate, data)
    except Exception as error:
        raise applier_failed(aggregate, event.event_type, event.version, error) from error


def _reader(aggregate: Aggregate, event: Recorded, event_type: str, schema_version: int) -> _Reader:
    appliers = type(aggregate).__warren_appliers__
    model = appliers.model(event_type, schema_version)
    if model is not None:
        return _Reader(model, appliers.of(model))
    if event_type in type(aggregate).__warren_ignores__:
        return _Reader(None, None)
    name = type(aggregate).__name__
    models = appliers.models.models.get(event_type)
    if models:
        problem = f"has schema version {schema_version}, and {name} knows it up to {models[-1].__warren_version__}"
        hint = "A newer program wrote it: bring this one up to date."
    else:
        problem = f"is not known to {name}"
        hint = f"Write an applier for it, or let the class say ignores=({event_type!r},)."
    raise UnknownEvent(
        f"{event_type} at version {event.version} of {_stream(aggregate)} {problem}",
        stream=_stream(aggregate),
        version=event.version,
        hint=hint,
    )


def _slowly(aggregate: Aggregate, event: Recorded) -> EventData | None:
    """The payload of a body that is not of our own form, or that its model refuses; None where it is ignored."""
    try:
        version = logged.envelope_of(event.event_type, event.body).version
        if _reader(aggregate, event, event.event_type, version).model is None:
            return None
        payloads = type(aggregate).__warren_appliers__.models
        now = datetime.fromtimestamp(0, UTC)  # the payload is wanted alone
        found: EventData = logged.to_event(event.body, payloads, id="-", type=event.event_type, now=now).data
    except DecodingError as error:
        raise UnknownEvent(
            f"{event.event_type} at version {event.version} of {_stream(aggregate)} cannot be read: {error.message}",
            stream=_stream(aggregate),
            version=event.version,
            hint="Let the class of this event read what was written, or give its new form a version of its own.",
        ) from error
    return found


def _stream(aggregate: Aggregate) -> str:
    return str(stream_of(type(aggregate), aggregate.id))


# --- snapshots --------------------------------------------------------------------------------


def schema_of(cls: type[Aggregate]) -> str:
    """What tells the snapshots of this class from those of another form: its `snapshot_version`, and its fields."""
    known = cls.__dict__.get("__warren_schema__")
    if known is None:
        shape: Any
        try:
            shape = cls.model_json_schema(mode="serialization")
        except Exception:  # a type of the user's own that has no JSON schema
            shape = {name: repr(field.annotation) for name, field in cls.model_fields.items()}
        digest = hashlib.sha256(json.dumps(shape, sort_keys=True, default=repr).encode()).hexdigest()
        known = f"{cls.__warren_snapshot__}-{digest[:16]}"
        type.__setattr__(cls, "__warren_schema__", known)
    return str(known)


def dump_state(aggregate: Aggregate) -> bytes:
    """The state as JSON. Raises `UsageError` for what JSON cannot carry."""
    try:
        return aggregate.__pydantic_serializer__.to_json(aggregate, by_alias=True, warnings=False)
    except PydanticSerializationError as error:
        raise UsageError(
            f"the state of {type(aggregate).__name__} {aggregate.id} cannot be written as a snapshot: {error}",
            hint="Use field types that pydantic writes as JSON, or take no snapshots of it.",
        ) from error


def restore_state(cls: type[A], id: str, version: int, state: bytes) -> A | None:
    """The aggregate of a snapshot, None where its state does not fit the class any more."""
    try:
        made = cls.model_validate_json(state)
    except (ValidationError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        return None
    own = standing(made)
    own.id, own.version, own.snapshot = id, version, version
    return made

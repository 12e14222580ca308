"""From an envelope to an event with its payload validated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, get_args

import orjson
from pydantic import ValidationError
from pydantic_core.core_schema import ErrorType

from engine.errors import DecodingError
from engine.model.codec.envelope import Envelope
from engine.model.codec.strict import join
from engine.model.event import Event, EventData

#: Refused fields that an error names before it only counts.
_MAX_ERRORS = 5

#: Kinds of pydantic errors whose text may repeat a part of the input.
_TELLTALE = frozenset(
    (
        "assertion_error",
        "bytes_invalid_encoding",
        "dataclass_type",
        "date_from_datetime_parsing",
        "date_parsing",
        "datetime_from_date_parsing",
        "datetime_parsing",
        "get_attribute_error",
        "iteration_error",
        "json_invalid",
        "mapping_type",
        "time_delta_parsing",
        "time_parsing",
        "unexpected_keyword_argument",
        "union_tag_invalid",
        "url_parsing",
        "url_syntax_violation",
        "uuid_parsing",
        "value_error",
    )
)


class Payloads(NamedTuple):
    """What a handler accepts: models by event type, lowest version first.

    `open`: a type without a model comes as a plain dict; otherwise it is refused.
    """

    models: Mapping[str, tuple[type[EventData], ...]]
    open: bool = False


#: Every type, as a plain dict.
RAW = Payloads({}, open=True)


def payloads(models: Iterable[type[EventData]], *, open: bool = False) -> Payloads:
    """The models by type. Of one type and version the first is kept."""
    found: dict[str, list[type[EventData]]] = {}
    for model in models:
        if model.__warren_type__ is not None:
            found.setdefault(model.__warren_type__, []).append(model)
    return Payloads(
        {kind: tuple(sorted(group, key=lambda model: model.__warren_version__)) for kind, group in found.items()},
        open,
    )


def build_event(envelope: Envelope, payloads: Payloads | None, *, id: str, now: datetime) -> Event[Any]:
    """The event, its payload an instance of the model for its type; without payloads a dict.

    `id` is what the event is known by, for a message may have none; `now`, in UTC, stands in
    for a missing timestamp. A payload of an older version is read by the next model above.
    Raises `DecodingError` for an unknown type, a version newer than the models know, and a
    payload that its model refuses.
    """
    data: Any = envelope.data
    if payloads is not None and (model := _model(envelope, payloads)) is not None:
        data = _validate(model, envelope)
    return Event(
        data,
        envelope.type,
        id,
        envelope.timestamp or now,
        envelope.source,
        envelope.aggregate_type,
        envelope.aggregate_id,
        envelope.version,
        envelope.causation_id,
        envelope.correlation_id or id,
        envelope.metadata,
    )


def _model(envelope: Envelope, payloads: Payloads) -> type[EventData] | None:
    models = payloads.models.get(envelope.type)
    if models is None:
        if payloads.open:
            return None
        known = ", ".join(sorted(payloads.models)) or "none"
        raise DecodingError(f"the handler has no model for events of type {envelope.type} (it has: {known})")
    for model in models:
        if model.__warren_version__ >= envelope.version:
            return model
    newest = models[-1].__warren_version__
    raise DecodingError(f"{envelope.type} has version {envelope.version}; this program knows it up to {newest}")


def _validate(model: type[EventData], envelope: Envelope) -> EventData:
    try:
        # As JSON, not as Python values: strict fields and base64 bytes mean what they mean in a body.
        return model.model_validate_json(orjson.dumps(envelope.data))
    except ValidationError as error:
        raise DecodingError(f"the payload of {envelope.type} is refused: {reasons(error)}") from None
    except Exception as error:  # from a validator of the user's
        raise DecodingError(
            f"the payload of {envelope.type} is refused: a validator of {model.__name__} raised {type(error).__name__}"
        ) from error


def reasons(error: ValidationError, root: str = "data") -> str:
    """Which fields below `root`, and why; no value of the payload."""
    plain = set(get_args(ErrorType)) - _TELLTALE
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    found: list[str] = []
    for item in errors[:_MAX_ERRORS]:
        where = root
        for key in item["loc"]:
            where = join(where, key)
        found.append(f"{where}: {item['msg'] if item['type'] in plain else item['type'].replace('_', ' ')}")
    if len(errors) > _MAX_ERRORS:
        found.append(f"and {len(errors) - _MAX_ERRORS} more")
    return "; ".join(found)

"""From a projection's declaration to a call, and from a row of the log to the event it gets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engine.errors import PluginError
from engine.model.codec import build_event, decode
from engine.model.codec.logged import ANY_SIZE
from engine.model.event import Event
from engine.model.projection import ProjectionSpec
from engine.runtime.annotations import of_handler, parameters, refusal, strip
from engine.runtime.binding import Invoke, bind
from engine.runtime.context import Context
from engine.storage.event_log import EventDetail


def bind_projection(spec: ProjectionSpec) -> Invoke:
    """Resolve what its parameters ask for; raises `PluginError` where that cannot be given.

    A projection is a function of the log: it has no context to emit with, and no providers.
    """
    subject = of_handler(spec.handler)
    for parameter, annotation in parameters(subject):
        if strip(annotation) is Context:
            raise refusal(
                subject,
                parameter.name,
                "asks for a Context, and a projection emits nothing",
                hint="Leave it out; what is to happen because of an event belongs into a handler.",
            )
    invoke = bind(spec.handler)
    if invoke.plan:
        raise PluginError(
            f"{spec.place}: {spec.name} asks for a provider, and a projection depends on the log alone",
            hint="A rebuild would call it again for every event of the past: leave Depends out.",
        )
    for option, name in (("key", spec.key), ("versions", spec.versions)):
        for models in invoke.payloads.models.values():
            for model in models:
                if isinstance(name, str) and name not in model.model_fields:
                    raise PluginError(f"{spec.place}: {option}={name!r} is not a field of {model.__name__}")
    return invoke


def read_event(detail: EventDetail, invoke: Invoke) -> Event[Any]:
    """The event of a row of the log; raises `DecodingError` for what the projection's models refuse."""
    row = detail.row
    envelope = decode(detail.message, row.routing_key, ANY_SIZE)
    return build_event(envelope, invoke.payloads, id=row.event_id, now=datetime.fromtimestamp(row.time, UTC))

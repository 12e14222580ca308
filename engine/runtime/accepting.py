"""Which payloads a handler takes, from its subjects and its annotation together."""

from __future__ import annotations

import inspect
import typing
from typing import Any

from engine.errors import PluginError
from engine.model.codec import RAW, Payloads, payloads
from engine.model.event import EventData
from engine.model.handler import HandlerSpec


def _shown(annotation: Any) -> str:
    return inspect.formatannotation(annotation)


def accepted(spec: HandlerSpec, types: list[Any] | None) -> Payloads:
    """What the events are validated by; `types` are the payloads that the annotation names, None for none.

    Raises `PluginError` where annotation and subjects contradict each other.
    """
    found = _payloads(spec, types)
    _check_keys(spec, found)
    return found


def _payloads(spec: HandlerSpec, types: list[Any] | None) -> Payloads:
    untyped = types is None or any(kind is Any or kind is object for kind in types)
    if untyped:
        names = {model.__warren_type__ for model in spec.models}
        return payloads(spec.models, open=any(pattern not in names for pattern in spec.patterns)) if names else RAW
    assert types is not None
    raw = False
    models: dict[type[EventData], None] = {}
    for kind in types:
        if kind is dict or typing.get_origin(kind) is dict or _is_mapping(kind):
            raw = True
        elif isinstance(kind, type) and issubclass(kind, EventData):
            models.update(dict.fromkeys(_concrete(spec, kind)))
        else:
            raise PluginError(
                f"{spec.place}: {spec.name}: Event[{_shown(kind)}] is not the event of an event class",
                hint="Name a subclass of EventData, or dict[str, Any] where no model is wanted.",
            )
    if not raw:
        _check_covered(spec, models)
    return payloads(models, open=raw) if models else RAW


def _is_mapping(kind: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(dict, origin)


def _concrete(spec: HandlerSpec, kind: type[EventData]) -> list[type[EventData]]:
    """The class itself, or for a base those among the subjects that derive from it."""
    derived = [model for model in spec.models if issubclass(model, kind) and model is not kind]
    if kind.__warren_type__ is not None:
        return [kind, *derived]
    if not derived:
        raise PluginError(
            f"{spec.place}: {spec.name}: {kind.__name__} has no event type, and no subject derives from it",
            hint="Name the event classes in @handler(…).",
        )
    return derived


def _check_covered(spec: HandlerSpec, accepted: dict[type[EventData], None]) -> None:
    """No pattern may let in what the models cannot read: that would be dead letters by design."""
    known = {model.__warren_type__ for model in accepted}
    shown = " | ".join(model.__name__ for model in accepted)
    for pattern in spec.patterns:
        if pattern not in known:
            wider = "is wider than" if "*" in pattern or "#" in pattern else "is not of"
            raise PluginError(
                f"{spec.place}: {spec.name}: its pattern {pattern!r} {wider} its model {shown}",
                hint=f"Write @handler({', '.join(model.__name__ for model in accepted)}), "
                "or take the event as Event[dict[str, Any]].",
            )
    for model in spec.models:
        if not any(model is other for other in accepted):
            raise PluginError(
                f"{spec.place}: {spec.name} subscribes to {model.__name__} but takes {shown}",
                hint="Use the same event classes in @handler(…) and in the annotation.",
            )


def _check_keys(spec: HandlerSpec, accepted: Payloads) -> None:
    for option, name in (("key", spec.key), ("idempotency_key", spec.idempotency_key)):
        if not isinstance(name, str):
            continue
        for models in accepted.models.values():
            for model in models:
                if name not in model.model_fields:
                    raise PluginError(
                        f"{spec.place}: {spec.name}: {option}={name!r} is not a field of {model.__name__}"
                    )

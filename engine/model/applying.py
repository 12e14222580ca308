"""Appliers: the methods of an aggregate that take over what has happened, found by the type of event."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

from engine.errors import PluginError
from engine.model.codec.build import Payloads, payloads
from engine.model.event import EventData

A = TypeVar("A")
D = TypeVar("D", bound=EventData)
D1 = TypeVar("D1", bound=EventData)
D2 = TypeVar("D2", bound=EventData)
D3 = TypeVar("D3", bound=EventData)
F = TypeVar("F", bound=Callable[[Any, Any], None])

_MARK = "__warren_applies__"


class _Mark(NamedTuple):
    """What `applies` was told, and the names that were around the class."""

    models: tuple[type[EventData], ...]
    names: Mapping[str, Any]


#: Takes an aggregate and a payload.
Applier: TypeAlias = Callable[[Any, Any], None]


class Appliers:
    """The appliers of one class of aggregates, by payload class."""

    def __init__(self, found: Mapping[type[EventData], Applier] | None = None) -> None:
        self.found: Mapping[type[EventData], Applier] = found or {}
        self.models: Payloads = payloads(self.found)

    def of(self, model: type[Any]) -> Applier | None:
        """The applier for a new payload of this class."""
        return self.found.get(model)

    def model(self, event_type: str, version: int) -> type[EventData] | None:
        """The class that reads events of this type in this version of their schema: its own, or the next one above."""
        for model in self.models.models.get(event_type, ()):
            if model.__warren_version__ >= version:
                return model
        return None


@overload
def applies(event: type[D], /) -> Callable[[Callable[[A, D], None]], Callable[[A, D], None]]: ...
@overload
def applies(
    first: type[D1], second: type[D2], /
) -> Callable[[Callable[[A, D1 | D2], None]], Callable[[A, D1 | D2], None]]: ...
@overload
def applies(
    first: type[D1], second: type[D2], third: type[D3], /
) -> Callable[[Callable[[A, D1 | D2 | D3], None]], Callable[[A, D1 | D2 | D3], None]]: ...
@overload
def applies(function: F, /) -> F: ...
def applies(*given: Any) -> Any:
    """Mark a method as the applier for these events: `@applies(MoneyWithdrawn)`, or `@applies` alone by its annotation.

    It takes the payload, and what it needs of the time or of who did it must stand there. Raises `PluginError` for what
    is no event class.
    """
    if len(given) == 1 and not isinstance(given[0], type) and callable(given[0]):
        setattr(given[0], _MARK, _Mark((), _names()))
        return given[0]
    for model in given:
        if not (isinstance(model, type) and issubclass(model, EventData)) or model.__warren_type__ is None:
            raise PluginError(f"@applies({getattr(model, '__name__', repr(model))}) is no class of events with a type")
    if not given:
        raise PluginError(
            "@applies() names no event", hint="Write @applies(OrderPlaced), or @applies without brackets."
        )

    def mark(function: F) -> F:
        setattr(function, _MARK, _Mark(given, {}))
        return function

    return mark


def _names() -> Mapping[str, Any]:
    """The local names around the class whose body calls `applies`, for its annotations."""
    body = sys._getframe(2)  # noqa: SLF001
    return dict(body.f_back.f_locals) if body.f_back is not None else {}


def collect(cls: type[Any]) -> Appliers:
    """The appliers of a class and its bases; raises `PluginError` for two of one event, and for annotations that cannot be read."""
    found: dict[type[EventData], Applier] = {}
    for base in reversed(cls.__mro__):
        own: dict[type[EventData], str] = {}
        for name, function in vars(base).items():
            mark = getattr(function, _MARK, None)
            if not isinstance(mark, _Mark):
                continue
            where = f"class {cls.__name__}: {name}"
            for model in mark.models or _by_annotation(function, mark, where):
                if model in own:
                    raise PluginError(f"{where} and {own[model]} both apply {model.__name__}")
                own[model] = name
                found[model] = function
    return Appliers(found)


def _by_annotation(function: Any, mark: _Mark, where: str) -> Sequence[type[EventData]]:
    """Which events a method takes."""
    hint = "Annotate its parameter with a class of events or a union of them, or write @applies(OrderPlaced)."
    try:
        hints = typing.get_type_hints(function, function.__globals__, dict(mark.names))
    except NameError as error:
        raise PluginError(
            f"{where}: its annotation names {error.name}, which is not known when the program runs", hint=hint
        ) from None
    hints.pop("return", None)
    if len(hints) != 1:
        raise PluginError(f"{where} does not take exactly one event", hint=hint)
    annotation = next(iter(hints.values()))
    models = typing.get_args(annotation) or (annotation,)
    for model in models:
        if not (isinstance(model, type) and issubclass(model, EventData)) or model.__warren_type__ is None:
            raise PluginError(f"{where} takes no event but {getattr(model, '__name__', model)}", hint=hint)
    return models

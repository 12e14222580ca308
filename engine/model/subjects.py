"""What a handler is declared for: event classes, types and patterns, and which of them its role may take."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from enum import StrEnum

from engine.errors import PluginError
from engine.model.event import EventData
from engine.model.names import check_type
from engine.model.place import shown_path
from engine.model.request import Command, Query, Request
from engine.model.topology import check_pattern


class Role(StrEnum):
    """What a handler takes: events that many may hear of, or what it alone is asked to do or to answer."""

    EVENT = "event"
    COMMAND = "command"
    QUERY = "query"


def read_subjects(
    subjects: tuple[object, ...], at: str, role: Role
) -> tuple[tuple[str, ...], tuple[type[EventData], ...]]:
    """The patterns that a handler of this role names, and the event classes among them; raises `PluginError`."""
    if len(subjects) == 1 and inspect.isfunction(subjects[0]):
        raise PluginError(f"{at} is written without its {role}", hint=f"Write {_example(role, at)} above the function.")
    if not subjects:
        raise PluginError(f"{at} names no {role}", hint=f"Name it by class or type: {_example(role, at)}.")
    patterns: dict[str, None] = {}
    models: dict[type[EventData], None] = {}
    for subject in subjects:
        if isinstance(subject, str):
            try:
                check_pattern(subject)
                if role is not Role.EVENT:
                    check_type(subject, f"the type of a {role}")
            except PluginError as error:
                raise PluginError(f"{at}: {error.message}", hint=error.hint) from None
            patterns[subject] = None
        else:
            model = _concrete(subject, at)
            _check_role(model, role, at)
            models[model] = None
            patterns[str(model.__warren_type__)] = None
    check_models(models, f"{at}: ")
    return tuple(patterns), tuple(models)


def _example(role: Role, at: str) -> str:
    call = "".join(at.rpartition("@")[1:])
    return {
        Role.EVENT: f'{call}(OrderPlaced) or {call}("order.*")',
        Role.COMMAND: "@command_handler(ShipOrder)",
        Role.QUERY: "@query_handler(GetOrder)",
    }[role]


def _check_role(model: type[EventData], role: Role, at: str) -> None:
    """A command is not for a handler of events, nor a query for one of commands."""
    own = Role.QUERY if issubclass(model, Query) else Role.COMMAND if issubclass(model, Command) else None
    if issubclass(model, Request) and own is not role:
        own = own or Role.COMMAND
        raise PluginError(f"{at}: {model.__name__} is a {own}", hint=f"Write @{own}_handler({model.__name__}).")
    if role is Role.QUERY and own is None:
        raise PluginError(
            f"{at}: {model.__name__} is no query",
            hint=f"Say what it is answered by: class {model.__name__}(Query[…], type=…).",
        )


def _concrete(subject: object, at: str) -> type[EventData]:
    if not isinstance(subject, type) or not issubclass(subject, EventData):
        shown = getattr(subject, "__name__", None) or type(subject).__name__
        raise PluginError(f"{at}: {shown} is neither an event class nor a topic pattern")
    if subject.__warren_type__ is None:
        raise PluginError(
            f"{at}: the event class {subject.__name__} has no type, it is abstract",
            hint=f'Declare it as class {subject.__name__}(EventData, type="…"), or name its subclasses.',
        )
    return subject


def read_emits(emits: Iterable[object], at: str) -> tuple[type[EventData], ...]:
    """The event classes that a handler may emit; raises `PluginError`."""
    if isinstance(emits, (str, type)):
        raise PluginError(f"{at}: emits= takes a list of event classes", hint="Write emits=[OrderShipped].")
    return tuple(_concrete(model, at) for model in emits)


def check_models(models: Iterable[type[EventData]], at: str = "") -> None:
    """Raise `PluginError` where two classes declare one event type in one version."""
    seen: dict[tuple[str | None, int], type[EventData]] = {}
    for model in models:
        other = seen.setdefault((model.__warren_type__, model.__warren_version__), model)
        if other is not model:
            raise PluginError(
                f"{at}{_named(other)} and {_named(model)} both declare "
                f"{model.__warren_type__} version {model.__warren_version__}",
                hint="Use one class for both, or raise the version of one.",
            )


def _named(model: type[EventData]) -> str:
    file = getattr(sys.modules.get(model.__module__), "__file__", None)
    return f"{model.__qualname__} ({shown_path(file)})" if file else model.__qualname__

"""The handlers that a test names: functions, modules, files, or whatever the project has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from engine.errors import UsageError
from engine.model.handler import DECLARED, HandlerSpec, assign_queues
from engine.model.names import nearest
from engine.model.projection import PROJECTED, ProjectionSpec, assign_projections
from engine.model.scheduled import SCHEDULED, ScheduleSpec, assign_names
from engine.runtime.plugins import Plugins, load_all, load_module
from engine.settings import find_project

#: A decorated function, a module, or a plugin by name or path, as `warren worker` takes them.
Named: TypeAlias = "Callable[..., Any] | ModuleType | HandlerSpec | str | Path"


def load(path: str | Path) -> ModuleType:
    """The module of a plugin file, as a worker loads it: `load("handlers/orders.py")`.

    A relative path begins in the current folder or the project's root. Raises `PluginError`.
    """
    near = Path(path).parent if Path(path).is_absolute() else None
    return load_module(str(path), find_project(near).root)


def gather(named: Iterable[Named | Iterable[Named]], app: str) -> Plugins:
    """What was named, or what the project has where nothing was. Raises `UsageError`, `PluginError`."""
    wanted = list(named)
    found = [load_all((), find_project().root, app=app)] if not wanted else [_declared(one, app) for one in wanted]
    handlers = dict.fromkeys(spec for each in found for spec in each.handlers)
    schedules = dict.fromkeys(spec for each in found for spec in each.schedules)
    projections = dict.fromkeys(spec for each in found for spec in each.projections)
    assign_queues(app, handlers)
    assign_names(app, schedules)
    assign_projections(app, projections)
    return Plugins(list(handlers), list(schedules), list(projections))


def _declared(named: Any, app: str) -> Plugins:
    if isinstance(named, HandlerSpec):
        return Plugins([named], [])
    if isinstance(named, (str, Path)):
        return load_all([str(named)], find_project().root, app=app)
    if isinstance(named, ModuleType):
        found = Plugins(*(list(vars(named).get(kind, ())) for kind in (DECLARED, SCHEDULED, PROJECTED)))
        if not any(found):
            raise UsageError(
                f"the module {named.__name__} has no handlers", hint="Decorate its functions with @handler(…)."
            )
        return found
    handler = getattr(named, "__warren_handler__", None)
    if isinstance(handler, HandlerSpec):
        return Plugins([handler], [])
    projection = getattr(named, "__warren_projection__", None)
    if isinstance(projection, ProjectionSpec):
        return Plugins([], [], [projection])
    around: list[ScheduleSpec] = getattr(named, "__globals__", {}).get(SCHEDULED, [])
    if schedules := [spec for spec in around if spec.function is named]:
        return Plugins([], schedules)
    if isinstance(named, Iterable):
        many = [_declared(one, app) for one in named]
        return Plugins(
            [x for each in many for x in each.handlers],
            [x for each in many for x in each.schedules],
            [x for each in many for x in each.projections],
        )
    shown = getattr(named, "__name__", None) or repr(named)
    raise UsageError(f"{shown} is not a handler", hint="Decorate it: @handler(…), or name a module or a file.")


def find(queues: dict[str, HandlerSpec], named: object) -> str:
    """The queue of a handler, by its function, its name or its queue; raises `UsageError`."""
    spec = named if isinstance(named, HandlerSpec) else getattr(named, "__warren_handler__", None)
    if spec is not None:
        matches = [queue for queue, known in queues.items() if known is spec]
    else:
        matches = [queue for queue, known in queues.items() if named in (queue, known.name)]
    if len(matches) == 1:
        return matches[0]
    shown = named if isinstance(named, str) else getattr(named, "__name__", repr(named))
    if matches:
        raise UsageError(f"several handlers are called {shown}", hint=f"Name its queue: {' or '.join(matches)}.")
    names = sorted({known.name for known in queues.values()})
    hint = nearest(str(shown), names) or f"It has: {', '.join(names)}."
    raise UsageError(f"the harness has no handler {shown}", hint=hint)

"""The decorators `@every` and `@cron`: functions that make an event at fixed times.

@cron("0 3 * * 1-5", timezone="Europe/Berlin")
def nightly(tick: datetime) -> ReportWanted:
    return ReportWanted(day=tick.date())
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from engine.errors import ConfigurationError, PluginError
from engine.model.event import EventData
from engine.model.place import shown_path, stem_of
from engine.model.schedule import Missed, Timing, event_id, read_cron, read_every

#: Where a module keeps the schedules that were declared in it.
SCHEDULED = "__warren_schedules__"

#: AMQP has a message's id in at most so many bytes.
LONGEST_ID = 255

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

#: What such a function returns: the event to publish, or None for nothing this time.
Made: TypeAlias = "EventData | None | Awaitable[EventData | None]"
F = TypeVar("F", bound=Callable[..., Made])


@dataclass(frozen=True, slots=True, eq=False)
class ScheduleSpec:
    """A schedule as it was declared. `takes_tick`: whether the function wants the moment it is called for."""

    function: Callable[..., Any]
    name: str
    timing: Timing
    missed: Missed
    takes_tick: bool
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """Where it was declared, as `handlers/orders.py:12`."""
        return f"{shown_path(self.file)}:{self.line}"

    def name_for(self, app: str) -> str:
        """Its name in this application; the ids of its events begin with it."""
        return f"{app}.{self.name}"


def every(
    interval: str | float | None = None,
    *,
    seconds: float | None = None,
    missed: str = "last",
    name: str | None = None,
) -> Callable[[F], F]:
    """Call a function every so often, and publish the event that it returns.

    `interval` as "5m" or in seconds, whole and from 1 on. Ticks are the multiples of it since the epoch, UTC.
    The function takes nothing, or the tick as a datetime in UTC; it returns an `EventData`, or None for no
    event this time. `missed`: what becomes of ticks at which no worker was there: "last" fires the newest,
    "skip" none, "all" each. `name` instead of `<file stem>.<function>`. Raises `PluginError`.
    """
    at = _place("every")
    wanted = interval if interval is not None else seconds
    if not isinstance(wanted, (str, int, float)) or (interval is None) == (seconds is None):
        raise PluginError(f"{at[2]}: an interval is missing", hint='Write @every("5m") or @every(seconds=300).')
    return _declare(at, lambda: read_every(wanted), missed, name)


def cron(expression: str, *, timezone: str = "UTC", missed: str = "last", name: str | None = None) -> Callable[[F], F]:
    """Call a function at the times of a cron expression, and publish the event that it returns.

    Five fields (minute, hour, day of month, month, day of week) or @hourly, @daily, @weekly, @monthly, @yearly,
    in an IANA time zone; the tick is a datetime in that zone. All else is as with `every`. Around a change
    of the clocks it keeps to what Debian's cron does: a time that is missing comes right after the gap, a time
    that comes twice fires once. Raises `PluginError`.
    """
    at = _place("cron")
    if not isinstance(expression, str):
        raise PluginError(f"{at[2]}: an expression is missing", hint='Write @cron("0 3 * * 1-5").')
    return _declare(at, lambda: read_cron(expression, timezone), missed, name)


def assign_names(app: str, specs: Iterable[ScheduleSpec]) -> dict[str, ScheduleSpec]:
    """The schedules by their names. Raises `PluginError` where two claim one name, or a name is too long."""
    owners: dict[str, ScheduleSpec] = {}
    for spec in specs:
        name = spec.name_for(app)
        if len(event_id(name, 0).encode()) > LONGEST_ID:
            raise PluginError(f"{spec.place}: the name of the schedule {name} is too long", hint="Give it a name=.")
        other = owners.setdefault(name, spec)
        if other is not spec:
            raise PluginError(
                f"Two schedules claim the name {name}: at {other.place} and {spec.place}",
                hint="Rename one of the functions, or give it a name of its own with name=.",
            )
    return owners


_At: TypeAlias = tuple[dict[str, Any], int, str]


def _place(decorator: str) -> _At:
    """The scope of the declaration, its line, and how errors name it."""
    frame = sys._getframe(2)  # noqa: SLF001
    scope, line = frame.f_globals, frame.f_lineno
    file = str(scope.get("__file__") or frame.f_code.co_filename)
    return scope, line, f"{shown_path(file)}:{line}: @{decorator}"


def _declare(at: _At, read: Callable[[], Timing], missed: str, name: str | None) -> Callable[[F], F]:
    scope, line, where = at
    try:
        timing = read()
    except ConfigurationError as error:
        raise PluginError(f"{where}: {error.message}", hint=error.hint) from None
    if missed not in tuple(Missed):
        raise PluginError(f"{where}: missed={missed!r} is unknown", hint=f"Use one of {', '.join(Missed)}.")
    if name is not None and not _NAME.fullmatch(name):
        raise PluginError(f"{where}: name={name!r} is not a name", hint="Use letters, digits, dots and dashes.")

    def declare(function: F) -> F:
        file = str(scope.get("__file__") or function.__code__.co_filename)
        spec = ScheduleSpec(
            function=function,
            name=name or f"{stem_of(scope, file)}.{function.__name__}",
            timing=timing,
            missed=Missed(missed),
            takes_tick=_takes_tick(function, where),
            file=file,
            line=line,
        )
        scope.setdefault(SCHEDULED, []).append(spec)
        return function

    return declare


def _takes_tick(function: Callable[..., Any], where: str) -> bool:
    if not inspect.isfunction(function):
        raise PluginError(f"{where} stands on {type(function).__name__}", hint="A schedule is a function.")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise PluginError(f"{where}: {function.__name__} yields", hint="It returns one event, or None.")
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    needed = [one for one in needed if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if len(needed) > 1 or any(one.kind not in positional for one in needed):
        raise PluginError(f"{where}: {function.__name__} takes at most one argument, the tick")
    return bool(needed)

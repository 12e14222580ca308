"""The `@projection` decorator: a function that keeps tables up to date from the log of events.

@projection(OrderPlaced, OrderShipped, tables=[OrderSummary])
async def orders(events: list[Event[OrderPlaced | OrderShipped]], session: AsyncSession) -> None: ...
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from engine.errors import PluginError
from engine.model.event import Event, EventData
from engine.model.handler import DEFAULT_TIMEOUT, HandlerSpec
from engine.model.place import Place, stem_of
from engine.model.subjects import Role, read_subjects

#: Where a module keeps the projections that were declared in it.
PROJECTED = "__warren_projections__"

#: Events that a projection takes in one transaction, unless it says otherwise, and at most.
DEFAULT_BATCH = 1_000
MAX_BATCH = 10_000

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LONGEST_NAME = 200

F = TypeVar("F", bound=Callable[..., Any])


@runtime_checkable
class Mapped(Protocol):
    """What stands for a table: a SQLModel class with `table=True`, or any class that SQLAlchemy maps."""

    __table__: Any


#: A payload field's name, or a function of the event.
Of: TypeAlias = "str | Callable[[Any], object]"


@dataclass(frozen=True, slots=True, eq=False)
class ProjectionSpec:
    """A projection as it was declared.

    `handler` is its function as one binds and calls it. `tables` are the classes of the tables that it writes.
    With `versions` an event that is not newer than what was applied of its key is stale, and left out.
    """

    handler: HandlerSpec
    name: str
    version: int
    tables: tuple[type[Any], ...]
    batch: int
    key: Of | None = None
    versions: Of | bool = False

    @property
    def place(self) -> str:
        """Where it was declared, as `handlers/orders.py:12`."""
        return self.handler.place

    @property
    def patterns(self) -> tuple[str, ...]:
        """The event types and topic patterns that it is made from."""
        return self.handler.patterns

    def name_for(self, app: str) -> str:
        """Its name in this application."""
        return f"{app}.{self.name}"


def projection(
    *subjects: type[EventData] | str,
    tables: Iterable[type[Any]] = (),
    name: str | None = None,
    version: int = 1,
    batch: int = DEFAULT_BATCH,
    key: Of | None = None,
    versions: Of | bool = False,
    timeout: float = DEFAULT_TIMEOUT,
) -> Callable[[F], F]:
    """Declare a function as a projection of the log: it gets every event of its subjects, in order, once.

    The function takes `events: list[Event[…]]`, up to `batch` at a time, or `event: Event[…]`, one call each, and
    `session: AsyncSession`; what it writes commits together with how far it has come. `tables` are the SQLModel
    classes that it writes, and nothing else; they are made where they are missing, and a rebuild makes them anew.
    `name` instead of `<file stem>.<function>`. Raise `version` when the function means something else: its tables
    then wait for a rebuild. `versions` (a payload field, a function of the event, or True for the place in its
    stream) leaves out what is not newer than what was applied of the same `key` (the aggregate's unless named). `timeout` of
    a batch is in seconds. The function is returned unchanged. Raises `PluginError`.
    """
    place = Place.above("projection")
    classes = tuple(tables)
    read_subjects(subjects, place.at, Role.EVENT)  # mistakes are told at the line of the decorator
    _check(place.at, classes, name, version, batch, key, versions, timeout)

    def made(function: F) -> F:
        spec = declare(
            place,
            function,
            subjects,
            tables=classes,
            name=name,
            version=version,
            batch=batch,
            key=key,
            versions=versions,
            timeout=timeout,
        )
        function.__warren_projection__ = spec  # type: ignore[attr-defined]
        return function

    return made


def declare(
    place: Place,
    function: Callable[..., Any],
    subjects: tuple[type[EventData] | str, ...],
    *,
    tables: tuple[type[Any], ...] = (),
    name: str | None = None,
    version: int = 1,
    batch: int = DEFAULT_BATCH,
    key: Of | None = None,
    versions: Of | bool = False,
    timeout: float = DEFAULT_TIMEOUT,
) -> ProjectionSpec:
    """Check a projection and note it in the module that declares it; see `projection`. Raises `PluginError`."""
    at, stem = place.at, stem_of(place.scope, place.file)
    patterns, models = read_subjects(subjects, at, Role.EVENT)
    _check(at, tables, name, version, batch, key, versions, timeout)
    if not inspect.iscoroutinefunction(function):
        raise PluginError(f"{at} stands on something else than an async def function")
    spec = ProjectionSpec(
        handler=HandlerSpec(
            function=function,
            name=function.__name__,
            module_stem=stem,
            patterns=patterns,
            models=models,
            timeout=float(timeout),
            file=place.file,
            line=place.line,
            namespace=place.nearby,
        ),
        name=name or f"{stem}.{function.__name__}",
        version=version,
        tables=tables,
        batch=batch,
        key=key,
        versions=versions,
    )
    place.scope.setdefault(PROJECTED, []).append(spec)
    return spec


def assign_projections(app: str, specs: Iterable[ProjectionSpec]) -> dict[str, ProjectionSpec]:
    """The projections by their names. Raises `PluginError` where two claim one name or one table."""
    owners: dict[str, ProjectionSpec] = {}
    tables: dict[str, ProjectionSpec] = {}
    for spec in specs:
        other = owners.setdefault(spec.name_for(app), spec)
        if other is not spec:
            raise PluginError(
                f"Two projections claim the name {spec.name_for(app)}: at {other.place} and {spec.place}",
                hint="Rename one of the functions, or give it a name of its own with name=.",
            )
        for table in table_names(spec):
            owner = tables.setdefault(table, spec)
            if owner is not spec:
                raise PluginError(
                    f"Two projections write the table {table}: {owner.name} at {owner.place} and "
                    f"{spec.name} at {spec.place}",
                    hint="A table belongs to one projection: make it one function, or two tables.",
                )
    return owners


def table_names(spec: ProjectionSpec) -> list[str]:
    """The names of its tables, as declared."""
    return [str(table.__table__.name) for table in spec.tables]


def version_of(spec: ProjectionSpec, event: Event[Any], place: int | None) -> tuple[str, int] | None:
    """The key and version by which the event is judged stale or not; None: it is applied whatever was before.

    `place` is its version in a stream of the log. Raises `PluginError` where what it names is no whole number.
    """
    if spec.versions is False:
        return None
    found = place if spec.versions is True else _of(spec.versions, event)
    if spec.versions is True and found is None:
        found = event.metadata.get("streamVersion")
    if found is None:
        return None
    if type(found) is not int:
        raise PluginError(f"{spec.place}: versions= gives {type(found).__name__}, not a whole number")
    key = _of(spec.key, event) if spec.key is not None else event.aggregate_id
    if key is None:
        return None
    return (f"{event.aggregate_type or ''}/{key}" if spec.key is None else str(key)), found


def backoff(attempts: int) -> float:
    """Seconds until an event that failed so often is tried again: 1, doubling, at most 60."""
    return min(60.0, 2.0 ** min(max(attempts - 1, 0), 16))


def _of(name: Of | bool, event: Event[Any]) -> Any:
    if callable(name):
        return name(event)
    data = event.data
    return data.get(name) if isinstance(data, Mapping) else getattr(data, str(name), None)


def _check(
    at: str,
    tables: tuple[object, ...],
    name: object,
    version: object,
    batch: object,
    key: object,
    versions: object,
    timeout: object,
) -> None:
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name) and len(name) <= _LONGEST_NAME):
        raise PluginError(f"{at}: name={name!r} is not a name", hint="Use letters, digits, dots and dashes.")
    if type(version) is not int or version < 1:
        raise PluginError(f"{at}: version={version!r} is not a whole number from 1")
    if type(batch) is not int or not 1 <= batch <= MAX_BATCH:
        raise PluginError(f"{at}: batch={batch!r} is not a whole number from 1 to {MAX_BATCH}")
    if type(timeout) not in (int, float) or not 0 < float(timeout) < math.inf:  # type: ignore[arg-type]
        raise PluginError(f"{at}: timeout={timeout!r} is not a number of seconds above 0")
    for option, value in (("key", key), ("versions", versions)):
        if value is not None and not isinstance(value, (str, bool)) and not callable(value):
            raise PluginError(f"{at}: {option}={value!r} is neither the name of a payload field nor a function")
    if key is not None and versions is False:
        raise PluginError(f"{at}: key= means nothing without versions=", hint="Name the field of the version as well.")
    for table in tables:
        _check_table(at, table)


def _check_table(at: str, table: object) -> None:
    shown = getattr(table, "__name__", None) or repr(table)
    if not isinstance(table, Mapped):
        raise PluginError(f"{at}: {shown} is not a table", hint="Name a class: class Orders(SQLModel, table=True).")
    made = table.__table__
    if made.schema is not None:
        raise PluginError(f"{at}: the table {made.name} has a schema of its own", hint="Leave the schema out.")
    if made.name in made.columns:
        raise PluginError(
            f"{at}: the table {made.name} has a column of its own name", hint="Rename the column or the table."
        )
    if str(made.name).startswith("warren_"):
        raise PluginError(f"{at}: the table {made.name} is Warren's own")

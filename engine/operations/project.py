"""What the project declares, as far as its plugins load: for who looks at what only the code can read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.errors import PluginError
from engine.model.aggregate import Aggregate
from engine.model.handler import HandlerSpec
from engine.model.projection import ProjectionSpec, assign_projections
from engine.settings import Settings

__all__ = ("HandlerSpec", "Project", "ProjectionSpec")


@dataclass(frozen=True, slots=True)
class Project:
    """Handlers, projections by their names, and the classes of aggregates by their types; several where it is not clear which.

    `note` says why they are not known, or nothing.
    """

    handlers: tuple[HandlerSpec, ...] = ()
    projections: Mapping[str, ProjectionSpec] = field(default_factory=dict[str, ProjectionSpec])
    aggregates: Mapping[str, tuple[type[Aggregate], ...]] = field(
        default_factory=dict[str, tuple[type[Aggregate], ...]]
    )
    note: str = ""

    @classmethod
    def load(cls, settings: Settings) -> Project:
        """From the plugins of the settings. Imports them, so it takes its time; never raises: see `note`."""
        from engine.runtime.plugins import load_all

        try:
            found = load_all((), settings.project.root, configured=settings.plugins, app=settings.app)
        except PluginError as error:
            return cls(note=f"a plugin does not import: {error.message}")
        files = {spec.file for spec in found.handlers} | {each.handler.file for each in found.projections}
        return cls(
            tuple(found.handlers),
            assign_projections(settings.app, found.projections),
            _aggregates(files),
        )

    def aggregate(self, kind: str) -> type[Aggregate] | str:
        """The class of the aggregates of a type, or why it is not known."""
        known = self.aggregates.get(kind, ())
        if len(known) == 1:
            return known[0]
        if self.note:
            return self.note
        if known:
            return f"several classes say type={kind!r}: {', '.join(sorted(_name(each) for each in known))}"
        return f"no plugin here has a class Aggregate with type={kind!r}"


def _aggregates(files: Iterable[str]) -> dict[str, tuple[type[Aggregate], ...]]:
    """All classes of aggregates by type. Where there are several of a type, those that the plugins' own modules hold."""
    classes: dict[str, list[type[Aggregate]]] = {}
    for each in _subclasses(Aggregate):
        if each.__warren_aggregate__ is not None:
            classes.setdefault(each.__warren_aggregate__, []).append(each)
    held = _held(frozenset(files))
    return {kind: tuple([each for each in found if each in held] or found) for kind, found in classes.items()}


def _subclasses(cls: type[Aggregate]) -> Iterator[type[Aggregate]]:
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)


def _held(files: frozenset[str]) -> set[object]:
    modules = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None) in files]
    return {value for module in modules for value in vars(module).values() if isinstance(value, type)}


def _name(cls: type[Aggregate]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"

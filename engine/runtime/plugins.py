"""Plugins: where handlers come from, and what is said when one of them does not load.

What is named on the command line is all that is loaded. With nothing named there it is
what the settings name, the files in the project's `handlers/`, and the entry points in
the group `warren.handlers`. Nothing else is ever searched.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from engine.errors import PluginError
from engine.model.handler import DECLARED, HandlerSpec, assign_queues
from engine.model.place import shown_path
from engine.model.projection import PROJECTED, ProjectionSpec, assign_projections
from engine.model.scheduled import SCHEDULED, ScheduleSpec, assign_names
from engine.model.subjects import check_models
from engine.runtime.folders import append_path, plugin_folder
from engine.runtime.mishaps import explain

GROUP = "warren.handlers"
FOLDER = "handlers"


class Plugins(NamedTuple):
    """What plugins declare, in the order in which it was found."""

    handlers: list[HandlerSpec]
    schedules: list[ScheduleSpec]
    projections: Sequence[ProjectionSpec] = ()


def load_plugins(
    names: Sequence[str],
    project: Path | None,
    *,
    configured: Sequence[str] = (),
    app: str = "warren",
) -> list[HandlerSpec]:
    """The handlers of the plugins; see `load_all`."""
    return load_all(names, project, configured=configured, app=app).handlers


def load_all(
    names: Sequence[str],
    project: Path | None,
    *,
    configured: Sequence[str] = (),
    app: str = "warren",
) -> Plugins:
    """The handlers, schedules and projections of the plugins.

    `names`: modules (`shop.handlers`), files or folders; without any, those `configured`, the
    files of the project's `handlers/` and the entry points. `project` is the project's root. Raises
    `PluginError` for a plugin that does not import or declares nothing, and for two handlers of one
    queue, two schedules or projections of one name, or two models of one event type and version.
    """
    root = (project or Path.cwd()).resolve()
    if project is not None:
        append_path(root)
    specs: dict[HandlerSpec, None] = {}
    schedules: dict[ScheduleSpec, None] = {}
    projections: dict[ProjectionSpec, None] = {}
    for modules in _modules(names, configured, root):
        for module in modules:
            specs.update(dict.fromkeys(module.__dict__.get(DECLARED, ())))
            schedules.update(dict.fromkeys(module.__dict__.get(SCHEDULED, ())))
            projections.update(dict.fromkeys(module.__dict__.get(PROJECTED, ())))
    assign_queues(app, specs)
    assign_names(app, schedules)
    assign_projections(app, projections)
    declared = [*specs, *(each.handler for each in projections)]
    check_models([model for spec in declared for model in (*spec.models, *spec.emits)])
    return Plugins(list(specs), list(schedules), list(projections))


def load_module(name: str, project: Path) -> ModuleType:
    """The module of one plugin by name or path, with or without handlers; raises `PluginError`."""
    root = project.resolve()
    append_path(root)
    modules = _named(name, root)
    if len(modules) != 1 and not hasattr(modules[0], "__path__"):
        raise PluginError(f"The plugin {name} is a folder of {len(modules)} files", hint="Name one of them.")
    return modules[0]


def _modules(names: Sequence[str], configured: Sequence[str], root: Path) -> Iterator[Iterable[ModuleType]]:
    for name in names or configured:
        yield _with_handlers(name, _named(name, root))
    if names:
        return
    if (root / FOLDER).is_dir():
        yield _folder(root / FOLDER, root)
    yield from _entry_points()


def _with_handlers(name: str, modules: list[ModuleType]) -> list[ModuleType]:
    if not any(module.__dict__.get(kind) for module in modules for kind in (DECLARED, SCHEDULED, PROJECTED)):
        hint = "Decorate its functions with @handler(…) from engine, or name another plugin."
        if len(modules) == 1 and hasattr(modules[0], "__path__"):
            hint = f"It is a package: name its modules, as {name}.orders, or import them in it."
            if modules[0].__file__ is None:
                hint = f"It is a folder: write {name}/ for the handlers in its files."
        raise PluginError(f"The plugin {name} has no handlers", hint=hint)
    return modules


def _named(name: str, root: Path) -> list[ModuleType]:
    if name.endswith(".py") or "/" in name or os.sep in name:
        path = next((base / name for base in (Path.cwd(), root) if (base / name).exists()), None)
        if path is None:
            raise PluginError(f"The plugin {name} is not there", hint="Name a file, a folder, or a module.")
        return _folder(path, root) if path.is_dir() else [_file(path, root)]
    if not all(part.isidentifier() for part in name.split(".")):
        raise PluginError(
            f"The plugin {name!r} is neither a module nor a file", hint="Write shop.handlers or path/to/file.py."
        )
    if name.partition(".")[0] == FOLDER and (path := _in_folder(name, root)) is not None:
        return _folder(path, root) if path.is_dir() else [_file(path, root)]
    return _package(_imported(name, root, lambda: importlib.import_module(name)))


def _in_folder(name: str, root: Path) -> Path | None:
    """The file or folder of the project's own handlers that a module name means."""
    path = root.joinpath(*name.split("."))
    file = path.with_suffix(".py")
    return file if file.is_file() else path if path.is_dir() else None


def _package(module: ModuleType) -> list[ModuleType]:
    """The module, and if it is a package those of its own modules that it has imported."""
    if not hasattr(module, "__path__"):
        return [module]
    prefix = f"{module.__name__}."
    return [module, *(known for name, known in list(sys.modules.items()) if name.startswith(prefix))]


def _folder(folder: Path, root: Path) -> list[ModuleType]:
    files = sorted(path for path in folder.glob("*.py") if path.is_file() and _is_plugin(path.name))
    return [_file(path, root) for path in files]


def _is_plugin(name: str) -> bool:
    return name == "__init__.py" or not name.startswith(("_", ".", "test_", "conftest."))


def _file(path: Path, root: Path) -> ModuleType:
    path = path.resolve()
    if path.suffix != ".py" or not path.is_file():
        raise PluginError(f"The plugin {shown_path(str(path))} is not a Python file")
    if "." in path.stem:
        raise PluginError(
            f"The plugin {shown_path(str(path))} cannot be imported: its name has a dot within", hint="Rename the file."
        )
    shown, folder = shown_path(str(path)), path.parent
    if (folder / "__init__.py").is_file() and (folder.parent / "__init__.py").is_file():
        return _imported(shown, root, lambda: _nested(path))
    package = plugin_folder(folder, package=folder == root / FOLDER)
    return _imported(shown, root, lambda: package.load(path.stem))


def _nested(path: Path) -> ModuleType:
    """A file within a package of packages is imported by its full name, as its siblings import it."""
    top = path.parent
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    append_path(top.parent)
    parts = path.relative_to(top.parent).with_suffix("").parts
    module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    found = Path(module.__file__ or "").resolve()
    if found != path:
        raise PluginError(
            f"The plugin {shown_path(str(path))} is hidden: {module.__name__} is {found}",
            hint=f"Rename the package {top.name}, or uninstall the other one.",
        )
    return module


def _entry_points() -> Iterator[list[ModuleType]]:
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        shown = f"{point.name} = {point.value!r} (entry point{f' of {point.dist.name}' if point.dist else ''})"
        if point.attr:
            raise PluginError(f"The plugin {shown} names an object", hint="An entry point names a module.")
        module = _imported(shown, Path.cwd(), lambda name=point.module: importlib.import_module(name))  # type: ignore[misc]
        yield _with_handlers(shown, _package(module))


def _imported(shown: str, root: Path, load: Callable[[], ModuleType]) -> ModuleType:
    try:
        return load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and what else libraries raise past `except Exception`
        raise explain(shown, error, root) from error

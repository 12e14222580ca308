"""What to say of a plugin that does not import: its name, the cause, and the user's own line."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from types import TracebackType

from engine.errors import PluginError
from engine.model.place import shown_path

#: This package and the libraries: their lines are not the user's.
_OURS = str(Path(__file__).resolve().parents[1])
_FOREIGN = tuple(
    dict.fromkeys([_OURS, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))])
)


def explain(plugin: str, error: BaseException, root: Path) -> PluginError:
    """The error of an import as one that names the plugin, the place and the cause."""
    if isinstance(error, SyntaxError):
        where = f"{shown_path(error.filename)}:{error.lineno}" if error.filename else plugin
        return PluginError(f"The plugin {plugin} does not import: {where}: {type(error).__name__}: {error.msg}")
    place = _place(error.__traceback__)
    at = f"{place}: " if place else ""
    if isinstance(error, PluginError):
        # What @handler raised names its place; what an event class raised does not.
        return error if ".py:" in error.message else PluginError(f"{at}{error.message}", hint=error.hint)
    if isinstance(error, SystemExit):
        return PluginError(
            f"The plugin {plugin} ends the program when it is imported: {at}SystemExit",
            hint='Put what runs it as a script under `if __name__ == "__main__":`.',
        )
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return PluginError(f"The plugin {plugin} does not import: {at}{reason}", hint=_hint(plugin, error, place, root))


def _place(trace: TracebackType | None) -> str | None:
    """The innermost line of the user's own code; in a virtual environment within the project too."""
    found = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(("<", *_FOREIGN)):
            found = f"{shown_path(file)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _hint(plugin: str, error: BaseException, place: str | None, root: Path) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    if error.name == plugin or plugin.startswith(f"{error.name}."):
        return f"Modules are looked for in {root} and among what is installed in {sys.prefix}."
    name = error.name.rpartition(".")[2]
    if place is not None and (Path(place.rpartition(":")[0]).parent / f"{name}.py").is_file():
        return f"The file beside it is imported as: from .{name} import …"
    return f"Install {error.name.partition('.')[0]}, or correct the name."

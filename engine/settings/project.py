"""The project one stands in: its root, its configuration, and the folder of the embedded defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import ConfigurationError

#: The folder of the embedded broker and database.
WARREN_DIR = ".warren"
#: Its settings are at the top level; in pyproject.toml they are in [tool.warren].
CONFIG_FILE = "warren.toml"

_MARKERS = (CONFIG_FILE, "pyproject.toml", ".git", WARREN_DIR)


class Project(NamedTuple):
    """Where we stand. `warren_dir` need not exist yet: whoever writes there makes it.

    `config` is what `config_file` sets; `name` is the project's own from pyproject.toml, or "".
    """

    root: Path
    warren_dir: Path
    config: Mapping[str, Any]
    config_file: Path | None
    name: str


def find_project(start: Path | None = None) -> Project:
    """The project around `start` (the current folder). Looks only; raises `ConfigurationError`.

    The root is the nearest folder upward with a warren.toml, a pyproject.toml, a .git or a
    .warren; without one it is `start`. `.warren` is the nearest one upward, up to the
    repository's top; without one it is to be made in the root.
    """
    here = (start or Path.cwd()).absolute()
    root = next((folder for folder in _upward(here) if _marked(folder)), here)
    config, config_file, name = _config(root)
    return Project(root, _warren_dir(here, root), config, config_file, name)


def _upward(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.parents


def _marked(folder: Path) -> bool:
    return any((folder / marker).exists() for marker in _MARKERS)


def _warren_dir(here: Path, root: Path) -> Path:
    for folder in _upward(here):
        if (folder / WARREN_DIR).exists():
            return folder / WARREN_DIR
        if (folder / ".git").exists():
            break  # what lies beyond belongs to another project
    return root / WARREN_DIR


def _config(root: Path) -> tuple[Mapping[str, Any], Path | None, str]:
    own, pyproject = root / CONFIG_FILE, root / "pyproject.toml"
    document = _read(pyproject)
    project, tool = _table(document, "project", pyproject), _table(document, "tool", pyproject)
    name = project.get("name")
    if own.is_file():
        if "warren" in tool:
            raise ConfigurationError(
                f"The settings stand in two places: {own} and [tool.warren] of {pyproject}",
                hint="Keep one of them.",
            )
        return _read(own), own, str(name or "")
    if "warren" in tool:
        return _table(tool, "warren", pyproject, "[tool.warren]"), pyproject, str(name or "")
    return {}, None, str(name or "")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None


def _table(document: Mapping[str, Any], key: str, path: Path, shown: str = "") -> Mapping[str, Any]:
    found = document.get(key, {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"{shown or f'[{key}]'} in {path} is not a table")
    return found

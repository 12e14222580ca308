"""Settings: explicit > `WARREN_…` > warren.toml or [tool.warren] > defaults.

Read with the standard library alone: every command waits for this import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError
from engine.settings.project import Project, find_project
from engine.settings.urls import EMBEDDED, SQLITE, redact
from engine.settings.values import FIELDS, is_app

__all__ = ("DEFAULT_APP", "Project", "Settings", "find_project", "redact")

#: The application's name where nobody gave one: queues begin with it.
DEFAULT_APP = "warren"

_ENVIRONMENT = "WARREN_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process. `Settings.load()` makes them.

    `max_body` is in bytes, `drain_timeout` in seconds. `retention`: days for which it is remembered that a
    message was handled, so that a copy of it is known for one. An empty `database` and `embedded://`
    mean files in the project's `.warren`. `circuit` is how many failures in a row, of one cause, have a
    queue left alone for a while; 0 never. `migrate`: bring the database up to date when it is
    opened; by default for SQLite only. `traces`: make spans with OpenTelemetry. `repr` shows no password.
    """

    project: Project
    app: str = DEFAULT_APP
    broker: str = EMBEDDED
    database: str = ""
    exchange: str = "events"
    plugins: tuple[str, ...] = ()
    max_body: int = 1024 * 1024
    drain_timeout: float = 30.0
    retention: float = 7.0
    circuit: int = 20
    traces: bool = False
    migrate: bool = True
    log_level: str = "info"
    log_format: str = "auto"

    @classmethod
    def load(cls, start: Path | None = None, **explicit: Any) -> Settings:
        """The settings for whoever stands in `start` (the current folder).

        `explicit` are settings by name; None means not given. Raises `ConfigurationError` for
        an unknown setting and for a value that cannot be, and says where it stands.
        """
        project = find_project(start)
        found: dict[str, Any] = {}
        for values, prefix, base in _sources(project, explicit):
            for name, value in values.items():
                if name not in found:
                    found[name] = FIELDS[name](
                        value, f"{prefix}{name.upper() if prefix == _ENVIRONMENT else name}", base
                    )
        if "app" not in found and is_app(project.name):
            found["app"] = project.name
        found.setdefault("migrate", not found.get("database", "").startswith("postgres"))
        return cls(project=project, **found)

    @property
    def broker_url(self) -> str:
        """The broker's URL; an embedded one names its file."""
        return f"{EMBEDDED}{self.project.warren_dir / 'broker.db'}" if self.broker == EMBEDDED else self.broker

    @property
    def database_url(self) -> str:
        """The database's URL; a SQLite one has an absolute path."""
        return self.database or f"{SQLITE}{self.project.warren_dir / 'warren.db'}"

    @property
    def broker_shown(self) -> str:
        """The broker's URL for people and logs."""
        return redact(self.broker_url)

    @property
    def database_shown(self) -> str:
        """The database's URL for people and logs."""
        return redact(self.database_url)

    def __repr__(self) -> str:
        shown = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "project"}
        shown |= {"broker": redact(self.broker), "database": redact(self.database)}
        inside = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"Settings(project={str(self.project.root)!r}, {inside})"


def _sources(project: Project, explicit: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, Path]]:
    """The sources, strongest first, each with how its names are written and where its paths begin."""
    here = Path.cwd()
    _refuse_unknown(explicit, "")
    yield {name: value for name, value in explicit.items() if value is not None}, "", here
    environment = {name: os.environ.get(_ENVIRONMENT + name.upper()) for name in FIELDS}
    yield {name: value for name, value in environment.items() if value}, _ENVIRONMENT, here
    where = f"{project.config_file}: "
    _refuse_unknown(project.config, where)
    yield project.config, where, project.root


def _refuse_unknown(values: Mapping[str, Any], where: str) -> None:
    for name in values:
        if name not in FIELDS:
            from difflib import get_close_matches

            near = get_close_matches(name, list(FIELDS), n=1)
            raise ConfigurationError(
                f"{where}there is no setting {name!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"The settings are {', '.join(FIELDS)}.",
            )

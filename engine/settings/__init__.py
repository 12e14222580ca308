"""Settings: explicit > `WARREN_…` > warren.toml or [tool.warren] > defaults.

Read with the standard library alone: every command waits for this import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import ConfigurationError
from engine.settings.project import Project, find_project
from engine.settings.urls import EMBEDDED, SQLITE, redact
from engine.settings.values import FIELDS, is_app

__all__ = ("DEFAULT_APP", "Kept", "Project", "Settings", "find_project", "redact")

#: The application's name where nobody gave one: queues begin with it.
DEFAULT_APP = "warren"

_ENVIRONMENT = "WARREN_"


class Kept(NamedTuple):
    """How long the journal's stream keeps an event: so many days, and as long as all of it has so many bytes."""

    days: float
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process. `Settings.load()` makes them.

    `max_body` is in bytes, `drain_timeout` in seconds. `retention`: days for which it is remembered that a
    message was handled, so that a copy of it is known for one. An empty `database` and `embedded://`
    mean files in the project's `.warren`. `event_log`: write what is emitted to the log of events, where it stays for
    `event_retention` days, or as many as `event_retention_of` has for the first topic pattern that matches; `journal`: topic patterns of events that are logged whoever publishes them. With
    `journal_to` "stream" those go to a stream of the broker in place of the "database", where they stay for `stream_retention` days and as
    long as it has no more than `stream_max_bytes`. `circuit` is how
    many failures in a row, of one cause, have a queue left alone for a while; 0 never. `migrate`: bring the database up to date when it is
    opened; by default for SQLite only. `read_only`: the command line and the monitor change nothing. `mask`: hide
    secrets where messages are shown: fields with these names besides the usual ones, and what these regular
    expressions find. `traces`: make spans with OpenTelemetry. `management` is the URL of the broker's management API or
    Prometheus endpoint; without one it is looked for where the broker is, "off" asks none. `monitor` is the
    dashboard's own table: theme, refresh, keys. `repr` shows no password.
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
    event_log: bool = True
    event_retention: float = 30.0
    event_retention_of: Mapping[str, float] = field(default_factory=dict)
    journal: tuple[str, ...] = ()
    journal_to: str = "database"
    stream_retention: float = 30.0
    stream_max_bytes: int = 10_000_000_000
    circuit: int = 20
    traces: bool = False
    migrate: bool = True
    read_only: bool = False
    mask: bool = True
    mask_fields: tuple[str, ...] = ()
    mask_patterns: tuple[str, ...] = ()
    log_level: str = "info"
    log_format: str = "auto"
    management: str = ""
    monitor: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, start: Path | None = None, *, environ: Mapping[str, str] | None = None, **explicit: Any) -> Settings:
        """The settings for whoever stands in `start` (the current folder).

        `explicit` are settings by name; None means not given. `environ` takes the place of the process's
        environment. Raises `ConfigurationError` for
        an unknown setting and for a value that cannot be, and says where it stands.
        """
        project = find_project(start)
        found: dict[str, Any] = {}
        for values, prefix, base in _sources(project, explicit, os.environ if environ is None else environ):
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
    def stream(self) -> Kept | None:
        """How long the journal's stream keeps events; None where the journal writes to the database."""
        return Kept(self.stream_retention, self.stream_max_bytes) if self.journal_to == "stream" else None

    @property
    def broker_shown(self) -> str:
        """The broker's URL for people and logs."""
        return redact(self.broker_url)

    @property
    def database_shown(self) -> str:
        """The database's URL for people and logs."""
        return redact(self.database_url)

    def __repr__(self) -> str:
        shown = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "project"}
        shown |= {name: redact(shown[name]) for name in ("broker", "database", "management")}
        inside = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"Settings(project={str(self.project.root)!r}, {inside})"


def _sources(
    project: Project, explicit: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[tuple[Mapping[str, Any], str, Path]]:
    """The sources, strongest first, each with how its names are written and where its paths begin."""
    here = Path.cwd()
    _refuse_unknown(explicit, "")
    yield {name: value for name, value in explicit.items() if value is not None}, "", here
    environment = {name: environ.get(_ENVIRONMENT + name.upper()) for name in FIELDS}
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

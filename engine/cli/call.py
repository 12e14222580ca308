"""One call of the command line: its options, its settings, and the doors to broker and database."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from engine.cli.options import options
from engine.cli.output import Output
from engine.errors import ConfigurationError, PluginError

if TYPE_CHECKING:
    from engine.brokers.base import Broker
    from engine.model.handler import HandlerSpec
    from engine.model.masking import Masking
    from engine.model.projection import ProjectionSpec
    from engine.model.scheduled import ScheduleSpec
    from engine.operations.operator import Operator
    from engine.runtime.plugins import Plugins
    from engine.settings import Settings
    from engine.storage.database import Database


class Call:
    """What a verb works with. Settings are read when they are first asked for. `logs`: say on stderr what is logged."""

    def __init__(self, context: typer.Context, *, logs: bool = True) -> None:
        self.options = options(context)
        self.output = Output(self.options.json, lambda: self.operator.allow("change anything"))
        if self.options.project is not None:
            _enter(self.options.project)
        if logs:
            from engine.cli.logging import configure_logging

            configure_logging(self.options.log_level or "warning")

    @cached_property
    def settings(self) -> Settings:
        """The settings, with what the command line said on top. Raises `ConfigurationError`."""
        from engine.settings import Settings

        return Settings.load(**self.options.overrides())

    @cached_property
    def operator(self) -> Operator:
        """Who calls, and whether he may change something."""
        from engine.operations.operator import Operator

        return Operator.present(read_only=self.settings.read_only)

    @cached_property
    def masking(self) -> Masking:
        """What is hidden of messages that are shown."""
        from engine.operations.masking import masking_for

        return masking_for(self.settings)

    def specs(self, plugins: Sequence[str] = ()) -> list[HandlerSpec]:
        """The handlers of these plugins, else those of the project. Raises `PluginError`."""
        return self.plugins(plugins).handlers

    def plugins(self, plugins: Sequence[str] = ()) -> Plugins:
        """Handlers, schedules and projections of these plugins, else those of the project. Raises `PluginError`."""
        from engine.runtime.plugins import load_all

        settings = self.settings
        return load_all(
            plugins,
            settings.project.root,
            configured=settings.plugins,
            app=settings.app,
        )

    def specs_if_any(self) -> list[HandlerSpec]:
        """The project's handlers; none, and a note, when a plugin does not import."""
        return self._if_any().handlers

    def schedules_if_any(self) -> list[ScheduleSpec]:
        """The project's schedules; none, and a note, when a plugin does not import."""
        return self._if_any().schedules

    def projections_if_any(self) -> Sequence[ProjectionSpec]:
        """The project's projections; none, and a note, when a plugin does not import."""
        return self._if_any().projections

    def _if_any(self) -> Plugins:
        from engine.runtime.plugins import Plugins

        try:
            return self.plugins()
        except PluginError as error:
            self.output.note(f"Without the project's plugins, since one does not import: {error.message}")
            return Plugins([], [])

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """The database, open. Raises a `DatabaseError` that says what to do."""
        from engine.storage.database import Database

        settings = self.settings
        database = await Database.open(settings.database_url, migrate=settings.migrate and not settings.read_only)
        try:
            yield database
        finally:
            await database.close()

    @contextlib.asynccontextmanager
    async def broker(self) -> AsyncIterator[Broker]:
        """The broker, connected. Raises `BrokerUnavailable` or `AccessRefused`."""
        from engine.brokers import open_broker

        broker = open_broker(self.settings.broker_url, app=self.settings.app)
        try:
            await broker.connect()
            yield broker
        finally:
            await broker.close()


def _enter(project: Path) -> None:
    """Stand in the project, as if the command had been called there."""
    try:
        os.chdir(project)
    except OSError as error:
        raise ConfigurationError(f"cannot enter the project {project}: {error.strerror}") from None

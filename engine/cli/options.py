"""The global options: they stand before or after the verb, and the last one said wins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

PANEL = "Global options"
LEVELS = ("debug", "info", "warning", "error")
_KEY = "warren.options"


@dataclass(slots=True)
class Options:
    """What was said on the command line; None where nothing was, and the settings decide."""

    broker: str | None = None
    database: str | None = None
    project: Path | None = None
    json: bool = False
    log_level: str | None = None
    debug: bool = False
    read_only: bool = False

    def overrides(self) -> dict[str, Any]:
        """The settings that were given, by their names in `Settings`."""
        said = {"broker": self.broker, "database": self.database, "log_level": self.log_level}
        found = {name: value for name, value in said.items() if value is not None}
        return {**found, "read_only": True} if self.read_only else found


def options(context: typer.Context) -> Options:
    """The global options of this call."""
    kept: Options = context.meta.setdefault(_KEY, Options())
    return kept


def _keep(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    if value and not context.resilient_parsing:
        setattr(options(context), str(parameter.name), value)
    return value


def _level(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:
    if value is not None and value.lower() not in LEVELS:
        raise typer.BadParameter(f"one of {', '.join(LEVELS)}, not {value!r}")
    _keep(context, parameter, value and value.lower())
    return value


def _global(
    broker: Annotated[
        str | None,
        typer.Option(
            "--broker", metavar="URL", callback=_keep, help="embedded://, amqp://… or amqps://…  [WARREN_BROKER]"
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database", metavar="URL", callback=_keep, help="sqlite:///… or postgresql://…  [WARREN_DATABASE]"
        ),
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project", metavar="DIR", callback=_keep, help="Stand in this project instead of the current folder."
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", callback=_keep, help="Print one JSON object; lists are under `items`.")
    ] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level", metavar="LEVEL", callback=_level, help="debug, info, warning or error.  [WARREN_LOG_LEVEL]"
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option("--read-only", callback=_keep, help="Refuse whatever changes something.  [WARREN_READ_ONLY]"),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", callback=_keep, help="Show the traceback of an unexpected error.")
    ] = False,
) -> None:
    """Only its parameters are used."""


@cache
def global_parameters() -> Sequence[Any]:
    """The parameters that every command has, which fill `Options` instead of reaching its function."""
    carrier = typer.Typer(add_completion=False, rich_markup_mode=None)
    carrier.command()(_global)
    parameters: list[Any] = typer.main.get_command(carrier).params
    for parameter in parameters:
        parameter.expose_value = False
        parameter.rich_help_panel = PANEL
    return parameters


class Plain(TyperOption):
    """An option that typer does not look at where there is nothing to convert or to refuse.

    It looks with pydantic, whose import takes longer than most commands.
    """

    def process_value(self, ctx: Any, value: Any) -> Any:
        """The value as its function gets it."""
        text = type(value) is str and self.type_descriptor.annotation is str and value.isascii()
        if self.required or self.multiple or not (value is None or value is self.default or text):
            return super().process_value(ctx, value)
        return value if self.callback is None else self.callback(ctx, self, value)


def unburdened(parameters: Sequence[Any]) -> list[Any]:
    """The same parameters; options become `Plain`."""
    for parameter in parameters:
        if type(parameter) is TyperOption:
            parameter.__class__ = Plain
    return list(parameters)


def quiet_level(options: Options) -> int:
    """The level of logging for verbs that are not a worker: warnings, unless asked for more."""
    return logging.getLevelNamesMapping()[(options.log_level or "warning").upper()]

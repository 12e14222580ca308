"""How commands look: global options on each, help in sections, examples as they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import typer
from typer.core import TyperCommand, TyperGroup

from engine.cli.options import PANEL, global_parameters, unburdened

#: The sections of `warren --help`, and the verbs in them; what is in none comes last.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Run": ("demo", "new", "worker", "publish"),
    "Look": (
        *("monitor", "queues", "workers", "schedules", "failures", "trace", "events", "projections", "audit"),
        *("topology", "doctor"),
    ),
    "Put right": ("redrive", "replay", "operations", "db"),
}

#: More characters than the first sentence of any help has: it is wrapped, not cut.
WHOLE = 1000

EXIT_CODES = """\b
Exit codes:
  0    done, and nothing found amiss
  1    the world is at fault: broker or database down, or doctor, --check or diff found something
  2    the call is at fault: an unknown option, a wrong URL, a plugin that does not import
  130  interrupted
"""


class Formatter(Protocol):
    """What of typer's help formatter is used here."""

    width: int

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None: ...
    def section(self, name: str) -> Any: ...


def examples(*lines: str) -> str:
    """An epilogue that shows these lines as they are typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _write_options(command: TyperCommand | TyperGroup, context: typer.Context, formatter: Formatter) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], PANEL: []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            name, record = "Arguments", (record[0].partition(" <")[0], record[1])
        else:
            name = PANEL if getattr(parameter, "rich_help_panel", None) == PANEL else "Options"
            record = (record[0].replace("<int range>", "N").replace("<int>", "N"), record[1])
        sections[name].append(record)
    for name, rows in sections.items():
        if rows:
            with formatter.section(name):
                formatter.write_dl(rows)


class Command(TyperCommand):
    """A verb."""

    def __init__(self, name: str | None, *, params: list[Any] | None = None, **rest: Any) -> None:
        super().__init__(name, params=[*(params or ()), *global_parameters()], **rest)

    def get_params(self, ctx: Any) -> list[Any]:
        return unburdened(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self, ctx, formatter)


class Group(TyperGroup):
    """A verb with verbs of its own, and the root of them all."""

    def __init__(self, *, params: list[Any] | None = None, **rest: Any) -> None:
        super().__init__(params=[*(params or ()), *global_parameters()], **rest)

    def get_params(self, ctx: Any) -> list[Any]:
        return unburdened(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rest = {name: command for name, command in self.commands.items() if not command.hidden}
        for section, names in {**SECTIONS, "Commands": tuple(rest)}.items():
            rows = [(name, rest.pop(name).get_short_help_str(WHOLE)) for name in names if name in rest]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)

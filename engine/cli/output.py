"""What the command line prints: tables for people, one JSON object for programs.

With --json a verb prints exactly one object on stdout; a list is under `items`, keys are
snake_case, times are seconds since the epoch, UTC. Everything else (progress, notes,
errors) goes to stderr. Text is passed through `visible`; nothing is parsed as markup.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from engine.operations.text import cell, visible

#: Cells between two columns.
GAP = 2


class Column(NamedTuple):
    """A column of a table: the key of its value, its title, and how a value is shown. `whole`: it is never cut."""

    key: str
    title: str
    right: bool = False
    show: Callable[[Any], str] = lambda value: "" if value is None else str(value)
    whole: bool = False


def number(key: str, title: str, show: Callable[[Any], str] | None = None) -> Column:
    """A column of numbers, a dash where there is none."""
    return Column(key, title, True, show or (lambda value: "-" if value is None else f"{value:,}"))


class Output:
    """Where a verb prints. `as_json`: one object instead of text. `permit` raises where nothing may be changed."""

    def __init__(self, as_json: bool, permit: Callable[[], None] = lambda: None) -> None:
        self.as_json = as_json
        self.permit = permit
        self.terminal = sys.stdout.isatty()

    def result(self, value: Mapping[str, Any]) -> None:
        """Print the one object; only with --json."""
        if self.as_json:
            text = json.dumps(value, indent=2 if self.terminal else None, default=str)
            print(text.replace("\x7f", "\\u007f"))

    def line(self, text: str = "") -> None:
        """Print a line for people."""
        if not self.as_json:
            print(visible(text, lines=True))

    def note(self, text: str) -> None:
        """Say something beside the result, on stderr."""
        if not self.as_json:
            print(visible(text, lines=True), file=sys.stderr)

    def items(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], empty: str, **beside: Any) -> None:
        """A list: a table, or `{"items": […]}` with what stands `beside` it."""
        if self.as_json:
            self.result({"items": rows, **beside})
        elif not rows:
            self.line(empty)
        else:
            self.table(rows, columns)

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
        """A table for people, as wide as it needs; a terminal's width cuts it."""
        cells = [[cell(column.show(row.get(column.key))) for column in columns] for row in rows]
        if self.terminal:
            _rich_table(columns, cells)
        else:
            _plain_table(columns, cells)

    def fields(self, pairs: Sequence[tuple[str, object]]) -> None:
        """Names and values of one thing, aligned."""
        width = max(len(name) for name, _ in pairs)
        for name, value in pairs:
            if value not in (None, ""):
                self.line(f"{name:<{width}}  {cell(value)}")


def _rich_table(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    natural = [max(cell_len(text) for text in (column.title, *texts)) for column, texts in _by_column(columns, cells)]
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="" if os.environ.get("NO_COLOR") else "bold"
    )
    whole = [column.whole for column in columns]
    for column, width in zip(columns, fitted(natural, whole, console.width - GAP * len(columns)), strict=True):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(Text(column.title), justify=justify, overflow="ellipsis", no_wrap=True, width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def _by_column(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> Iterator[tuple[Column, Sequence[str]]]:
    return ((column, [row[at] for row in cells]) for at, column in enumerate(columns))


def fitted(widths: Sequence[int], whole: Sequence[bool], room: int) -> list[int]:
    """The widths, cut where they need more than `room` together: the widest give way, narrow and `whole` ones do not."""
    found, left, waiting = list(widths), room, len(widths)
    for at in sorted(range(len(widths)), key=lambda at: (not whole[at], widths[at])):
        share = left if whole[at] else left // waiting
        found[at] = max(min(widths[at], share), 1)
        left, waiting = left - found[at], waiting - 1
    return found


def _plain_table(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    widths = [max(len(column.title), *(len(row[at]) for row in cells)) for at, column in enumerate(columns)]
    for row in ([column.title for column in columns], *cells):
        padded = (
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        )
        print("  ".join(padded).rstrip())

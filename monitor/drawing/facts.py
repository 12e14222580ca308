"""Names and values of one thing, aligned, under small headings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from monitor.drawing.text import line, plain

if TYPE_CHECKING:
    from monitor.drawing.text import Piece


class Fact(NamedTuple):
    """A name and what is known of it."""

    name: str
    value: Sequence[Piece]


def fact(name: str, *value: Piece) -> Fact:
    """One of them."""
    return Fact(name, value)


def facts(rows: Sequence[Fact | str], *, width: int = 11) -> Content:
    """A line each; a text among them is a heading, "" an empty line. Names take `width` cells."""
    lines: list[Content] = []
    for row in rows:
        if isinstance(row, str):
            lines.append(plain(row, "info"))
        else:
            lines.append(plain(f"{row.name:<{width}} ", "muted") + line(*row.value))
    return Content("\n").join(lines)

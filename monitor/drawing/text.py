"""Text from strangers on its way to the screen.

Everything passes the sanitiser of the operations, and becomes Content without markup: a
payload cannot set the clipboard, turn the reading order, or style itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from textual.content import Content

from monitor.drawing.tones import STYLES, Tone

#: A piece of a line: text, or text and its tone.
Piece: TypeAlias = str | tuple[str, Tone]


def plain(text: object, tone: Tone = "", *, width: int | None = None) -> Content:
    """One line of it, made safe; cut to `width` characters with an ellipsis where one is given."""
    from engine.operations.text import cell, visible

    shown = visible(text) if width is None else cell(text, width)
    return Content.styled(shown, STYLES[tone]) if tone else Content(shown)


def lines(text: object, tone: Tone = "") -> Content:
    """As `plain`, but line feeds and tabs stay what they are."""
    from engine.operations.text import visible

    shown = visible(text, lines=True)
    return Content.styled(shown, STYLES[tone]) if tone else Content(shown)


def line(*pieces: Piece) -> Content:
    """One line of several pieces, each made safe."""
    return Content.assemble(*(plain(piece) if isinstance(piece, str) else plain(*piece) for piece in pieces))


def stack(parts: Iterable[Content]) -> Content:
    """Lines one below the other."""
    return Content("\n").join(parts)

"""Lines to read, before they are drawn: texts with the roles that give them their styles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from rich.cells import cell_len, chop_cells

from monitor.drawing.tones import Tone

#: Lines that a single line may be folded into; what is longer is cut.
MOST_FOLDS = 2000


#: What a text is, which gives it its style: a tone, or a part of a body or of a difference.
Role: TypeAlias = (
    Tone
    | Literal["title", "label", "key", "string", "number", "word", "wrong"]
    | Literal["plus", "minus", "plus-part", "minus-part"]
)


class Part(NamedTuple):
    """Text of one role. It is drawn as it is: what strangers wrote goes through `visible` before."""

    text: str
    role: Role = ""


#: What stands on one line.
Line: TypeAlias = tuple[Part, ...]

EMPTY: Line = ()


def line(*parts: str | Part) -> Line:
    """A line of plain texts and parts."""
    return tuple(part if isinstance(part, Part) else Part(part) for part in parts)


def plain(of: Line) -> str:
    """The text of a line."""
    return "".join(part.text for part in of)


def folded(lines: Iterable[Line], width: int) -> Iterator[Line]:
    """The lines, each broken where it is wider than `width` cells; what is continued is indented as its start, or its value."""
    for each in lines:
        text = plain(each)
        if len(text) * 2 <= width or cell_len(text) <= width:
            yield each
        else:
            yield from _fold(each, text, max(width, 8))


def _fold(each: Line, text: str, width: int) -> Iterator[Line]:
    label = each[0].text if each[0].role == "label" else ""  # a value goes on below its start
    indent = min(cell_len(label) or len(text) - len(text.lstrip(" ")), width // 2)
    for place, (start, end) in enumerate(_pieces(text, width, indent)):
        if place == MOST_FOLDS:
            yield line(Part("…", "muted"))
            return
        cut = tuple(_slice(each, start, end))
        yield (Part(" " * indent), *cut) if place and indent else cut


def _pieces(text: str, width: int, indent: int) -> Iterator[tuple[int, int]]:
    """Where the pieces begin and end: at most `width` cells, the later ones less by `indent`.

    A line is broken at a space where one is near its end, and that space is not drawn.
    """
    at, room = 0, width
    while at < len(text):
        ahead = text[at : at + room + 1]
        fits = len(next(iter(chop_cells(ahead, room)), "")) or 1
        if at + fits < len(text):
            space = ahead.rfind(" ", 0, fits + 1)
            if space > fits // 2 and ahead[:space].strip():
                yield at, at + space
                at, room = at + space + 1, width - indent
                continue
        yield at, at + fits
        at, room = at + fits, width - indent


def _slice(of: Line, start: int, end: int) -> Iterator[Part]:
    at = 0
    for part in of:
        piece = part.text[max(start - at, 0) : max(end - at, 0)]
        if piece:
            yield Part(piece, part.role)
        at += len(part.text)
        if at >= end:
            return


def columns(rows: Iterable[tuple[str, str]], *, gap: int = 2) -> list[Line]:
    """Labels with their values beside them; what has no value is left out."""
    kept = [(label, value) for label, value in rows if value]
    widest = max((cell_len(label) for label, _ in kept), default=0)
    return [line(Part(label + " " * (widest - cell_len(label) + gap), "label"), value) for label, value in kept]

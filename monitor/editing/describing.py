"""An edit in lines to read: what is wrong with it, which fields it changes, and the difference line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.operations.text import visible
from monitor.bodies.difference import Line as Difference
from monitor.bodies.difference import unified
from monitor.drawing.figures import counted
from monitor.failures.wording import moment
from monitor.reading.lines import EMPTY, Line, Part, Role, line

if TYPE_CHECKING:
    from engine.operations.editing import Change, Edit, Proposal

#: Fields that are named one by one, and characters of each value.
MOST_FIELDS = 100
_VALUE = 300

_GLYPHS: dict[str, tuple[str, Role]] = {"added": ("+", "plus"), "removed": ("-", "minus"), "changed": ("~", "warn")}
_ROLES: dict[str, tuple[Role, Role]] = {"+": ("plus", "plus-part"), "-": ("minus", "minus-part")}


def proposal_lines(proposal: Proposal) -> list[Line]:
    """What the payload model says of an edit, and the fields that it changes."""
    lines = [line(Part("✗ ", "bad"), visible(problem)) for problem in proposal.problems]
    lines += [line(Part("! ", "warn"), Part(visible(note), "muted")) for note in proposal.notes]
    if not proposal.changes:
        lines.append(line(Part("nothing is changed", "muted")))
    elif not proposal.problems:
        lines.append(line(Part(f"✓ {counted(len(proposal.changes), 'field')} changed", "good")))
    return lines


def change_lines(changes: Sequence[Change]) -> list[Line]:
    """The fields that an edit changes, with both values."""
    lines: list[Line] = []
    for change in changes[:MOST_FIELDS]:
        glyph, role = _GLYPHS.get(change.kind, ("~", "warn"))
        values = {
            "added": [Part(_value(change.after), "plus")],
            "removed": [Part(_value(change.before), "minus")],
        }.get(
            change.kind,
            [Part(_value(change.before), "minus"), Part(" → ", "muted"), Part(_value(change.after), "plus")],
        )
        lines.append(line(Part(f"{glyph} ", role), Part(visible(change.path), "key"), "  ", *values))
    if len(changes) > MOST_FIELDS:
        lines.append(line(Part(f"and {len(changes) - MOST_FIELDS:,} more", "muted")))
    return lines


def difference_lines(before: str, after: str) -> list[Line]:
    """Two texts line by line: what was taken away, what was added, and what stands around it."""
    found = unified(before, after)
    return [_difference(each) for each in found] or [line(Part("no line differs", "muted"))]


def _difference(each: Difference) -> Line:
    if each.mark == "@":
        return line(Part(f"  ⋯ {each.text}", "muted"))
    if each.mark == " ":
        return line(f"  {visible(each.text)}")
    whole, part = _ROLES[each.mark]
    text = each.text
    pieces = [Part(f"{each.mark} {visible(text[: each.start])}", whole)]
    if each.end > each.start:
        pieces.append(Part(visible(text[each.start : each.end]), part))
    pieces.append(Part(visible(text[each.end :]), whole))
    return tuple(piece for piece in pieces if piece.text)


def edit_lines(edits: Iterable[Edit], now: float) -> list[Line]:
    """Who edited it, when and why, the newest first."""
    lines: list[Line] = []
    for edit in sorted(edits, key=lambda each: (each.at, each.id), reverse=True):
        why = f": {edit.why}" if edit.why else ""
        lines.append(
            line(
                Part(f"{moment(edit.at, now)}  ", "label"),
                Part(visible(f"edited by {edit.who}{why}")),
                Part(f"  ({visible(str(edit.state))})", "muted"),
            )
        )
    return lines or [EMPTY]


def _value(value: object) -> str:
    text = visible(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"

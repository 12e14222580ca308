"""What an edit changed, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

#: Unchanged lines that are shown around a change.
CONTEXT = 3
#: Lines on either side up to which the smallest difference is looked for; beyond, all count as replaced.
MOST_LINES = 3000


class Line(NamedTuple):
    """A line of a difference. `mark` is `+`, `-`, a space, or `@` where lines were left out.

    `start` and `end` bound the part that differs from the line of the other side.
    """

    mark: str
    text: str
    start: int = 0
    end: int = 0


def unified(before: str, after: str) -> list[Line]:
    """The lines that differ, with their surroundings; empty when nothing does."""
    old, new = before.splitlines(), after.splitlines()
    if old == new:
        return []
    head, tail = _common(old, new)
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    found = [Line("@", _skipped(head - CONTEXT))] if head > CONTEXT else []
    found += [Line(" ", text) for text in old[max(head - CONTEXT, 0) : head]]
    found += _middle(middle_old, middle_new)
    found += [Line(" ", text) for text in old[len(old) - tail :][:CONTEXT]]
    if tail > CONTEXT:
        found.append(Line("@", _skipped(tail - CONTEXT)))
    return found


def _common(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """How many lines both begin with, and how many both end with."""
    most = min(len(old), len(new))
    head = next((place for place in range(most) if old[place] != new[place]), most)
    tail = next((place for place in range(most - head) if old[-1 - place] != new[-1 - place]), most - head)
    return head, tail


def _middle(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    if max(len(old), len(new)) > MOST_LINES:
        yield from _replaced(old, new)
        return
    for tag, old_start, old_end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from _unchanged(old[old_start:old_end])
        else:
            yield from _replaced(old[old_start:old_end], new[new_start:new_end])


def _unchanged(lines: Sequence[str]) -> Iterator[Line]:
    if len(lines) <= 2 * CONTEXT + 1:
        yield from (Line(" ", text) for text in lines)
        return
    yield from (Line(" ", text) for text in lines[:CONTEXT])
    yield Line("@", _skipped(len(lines) - 2 * CONTEXT))
    yield from (Line(" ", text) for text in lines[-CONTEXT:])


def _replaced(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    paired = len(old) == len(new)
    for place, text in enumerate(old):
        yield Line("-", text, *(_part(text, new[place]) if paired else (0, 0)))
    for place, text in enumerate(new):
        yield Line("+", text, *(_part(text, old[place]) if paired else (0, 0)))


def _part(text: str, other: str) -> tuple[int, int]:
    """The part of `text` between what both begin and what both end with."""
    most = min(len(text), len(other))
    start = next((place for place in range(most) if text[place] != other[place]), most)
    same = next((place for place in range(most - start) if text[-1 - place] != other[-1 - place]), most - start)
    return start, len(text) - same


def _skipped(number: int) -> str:
    return "1 line as it was" if number == 1 else f"{number:,} lines as they were"

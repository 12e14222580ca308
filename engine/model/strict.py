"""A strict order, decided: what becomes of the line of one key when an event arrives, fails, or is done with.

A line moves only from its head. What arrives while there is a head waits at the end, so nothing that failed is overtaken.
"""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """The line of one key: the event that blocks it, if any, and those that wait behind it, in their order."""

    head: str | None = None
    waiting: tuple[str, ...] = ()


def may_run(line: Line, event_id: str) -> bool:
    """Whether an event may be run now: there is no line, or it is the head of it."""
    return line.head is None or line.head == event_id


def arrived(line: Line, event_id: str) -> Line:
    """An event that may not run joins the line; one that is in it keeps its place."""
    if may_run(line, event_id) or event_id in line.waiting:
        return line
    return line._replace(waiting=(*line.waiting, event_id))


def failed(line: Line, event_id: str) -> Line:
    """An event that was run failed: it is the head of a line from now on, until it is done with."""
    return line if line.head is not None else Line(event_id)


def done(line: Line, event_id: str) -> tuple[Line, str | None]:
    """An event was handled, or is given up: the line then, and which event is to be sent, if any."""
    if line.head != event_id:
        return line, None
    if not line.waiting:
        return Line(), None
    return Line(line.waiting[0], line.waiting[1:]), line.waiting[0]

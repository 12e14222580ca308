"""An event of the log in lines to read. Pure, and run in a thread where a body is long."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from monitor.events.wording import top
from monitor.reading.sections import Section, body_part, headers_part, joined

if TYPE_CHECKING:
    from engine.operations.events import EventDetail
    from monitor.reading.lines import Line

WHOLE = "`warren events show` prints it whole"


class Parts(NamedTuple):
    """An event, its body and its headers laid out, and the body as it stands beside the rest."""

    detail: EventDetail
    body: Section
    headers: Section
    beside: list[Line]


def parts(detail: EventDetail) -> Parts:
    """Lay it out."""
    body = body_part(detail.message.body, whole=WHOLE)
    return Parts(detail, body, headers_part(detail.message), joined([body])[1:])


def event_lines(detail: EventDetail, now: float) -> list[Line]:
    """All of it, what matters most first."""
    made = parts(detail)
    return [*top(detail, now), *joined([made.body, made.headers])]

"""How events of the log are put into cells and lines. Pure; times in seconds since the epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.operations.text import visible
from monitor.drawing.figures import count
from monitor.events.listing import LOGGED
from monitor.failures.wording import ago, moment
from monitor.reading.lines import EMPTY, Line, Part, columns, line
from monitor.table.columns import Cell, Column

if TYPE_CHECKING:
    from engine.operations.events import EventDetail, LoggedEvent


def table_columns(now: Callable[[], float]) -> list[Column[LoggedEvent]]:
    """The columns of the log."""
    return [
        Column("position", "POSITION", lambda row: f"{row.position:,}", width=9, right=True, rank=3),
        Column(LOGGED, "LOGGED", lambda row: stamp(row.recorded, now()), width=11, right=True, sort=True, down=True),
        Column("type", "TYPE", lambda row: Cell(row.event_type, "strong"), width=18, grow=2, most=40),
        Column("stream", "STREAM", _stream, width=16, grow=2, most=44),
        Column("version", "VER", _version, width=4, grow=1, most=8, right=True),
        Column("correlation", "CORRELATION", lambda row: row.correlation_id or "", width=11, grow=3, most=36, rank=2),
        Column("source", "SOURCE", lambda row: Cell(row.source, "muted"), width=8, grow=1, most=20, rank=4),
        Column("origin", "ORIGIN", lambda row: Cell(str(row.origin), "muted"), width=10, rank=5),
    ]


def stamp(seconds: float, now: float) -> str:
    """A time in the local zone in at most eleven cells: of the day, with the date where it is not today, else the date."""
    local, today = time.localtime(seconds), time.localtime(now)
    if local[:3] == today[:3]:
        return time.strftime("%H:%M:%S", local)
    return time.strftime("%m-%d %H:%M" if local[0] == today[0] else "%Y-%m-%d", local)


def about(row: LoggedEvent) -> str:
    """What it is about: `account/a-1`, or nothing."""
    return "/".join(part for part in (row.aggregate_type, row.aggregate_id) if part)


def _stream(row: LoggedEvent) -> Cell:
    return Cell(about(row), "muted" if row.version is None else "")


def _version(row: LoggedEvent) -> Cell:
    return Cell("" if row.version is None else f"@{count(row.version)}", "info")


def headline(row: LoggedEvent) -> list[Line]:
    """What happened, in one line, and to what, in another."""
    of = visible(about(row)) + (f" @{row.version:,}" if row.version is not None else "")
    return [line(Part(visible(row.event_type), "title")), *([line(Part(of, "strong"))] if of else [])]


def facts(detail: EventDetail, now: float) -> list[Line]:
    """What the log knows of it."""
    row, headers = detail.row, detail.message.headers
    traceparent = next((value for name, value in headers.items() if name.lower() == "traceparent"), "")
    stream = "" if row.version is None else f"{about(row)}, version {row.version:,}"
    return columns(
        (label, visible(value))
        for label, value in (
            ("position", f"{row.position:,}"),
            ("event", row.event_id),
            ("stream", stream or ("none" if not about(row) else f"none, though it is about {about(row)}")),
            ("correlation", row.correlation_id or ""),
            ("causation", row.causation_id or ""),
            ("origin", f"{row.origin} by {row.queue}" if row.queue else str(row.origin)),
            ("source", row.source),
            ("sent to", f"{row.exchange} {row.routing_key}".strip()),
            ("logged", f"{moment(row.recorded, now)}, {ago(row.recorded, now)}"),
            ("happened", moment(row.time, now) if abs(row.recorded - row.time) >= 1 else ""),
            ("due", "" if row.due is None else moment(row.due, now)),
            ("traceparent", str(traceparent)),
        )
    )


def top(detail: EventDetail, now: float) -> list[Line]:
    """What stands above the body."""
    return [*headline(detail.row), EMPTY, *facts(detail, now)]

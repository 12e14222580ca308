"""What `warren events` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.cli.call import Call
from engine.cli.output import Column, number
from engine.operations.durations import format_duration
from engine.operations.events import (
    EventDetail,
    EventFilter,
    LoggedEvent,
    before_last,
    detail_dict,
    one,
    page,
    row_dict,
    tail,
    whole,
)
from engine.operations.failures import pretty_body
from engine.operations.text import cell, visible
from engine.operations.trace import date


def moment(at: float | None) -> str:
    """A time, or a dash where nobody knows it."""
    return date(at) if at else "-"


LIST = (
    number("position", "POSITION", str),
    Column("recorded", "LOGGED", show=moment),
    Column("event_type", "TYPE"),
    Column("aggregate", "AGGREGATE"),
    Column("origin", "ORIGIN"),
    Column("event_id", "ID"),
    Column("correlation_id", "CORRELATION"),
)


async def show_list(call: Call, wanted: EventFilter, *, limit: int, before: int | None) -> None:
    """List events."""
    out = call.output
    async with call.database() as database:
        found = await page(database, wanted, limit=limit, before=before)
        rows: list[dict[str, Any]] = [{**row_dict(row), "aggregate": aggregate(row)} for row in found.rows]
        if out.as_json:
            positions = [row.position for row in found.rows]
            details = await whole(database, positions, masking=call.masking)
            rows = [detail_dict(detail) for detail in reversed(details)]
    out.items(rows, LIST, "There are no such events in the log.", before=found.before)
    if found.before is not None:
        out.note(f"There are more: --before {found.before}, or --limit.")


async def show_one(call: Call, reference: str) -> None:
    """Show an event whole."""
    async with call.database() as database:
        detail = await one(database, reference, masking=call.masking)
    call.output.result(detail_dict(detail))
    if not call.output.as_json:
        print_fields(call, detail)


def print_fields(call: Call, detail: EventDetail) -> None:
    """Print an event whole, for people."""
    out, row = call.output, detail.row
    out.fields(
        (
            ("position", row.position),
            ("type", row.event_type),
            ("id", row.event_id),
            ("aggregate", aggregate(row)),
            ("version", row.version),
            ("origin", f"{row.origin} by {row.queue}" if row.queue else row.origin),
            ("source", row.source),
            ("correlation", row.correlation_id),
            ("cause", row.causation_id),
            ("time", moment(row.time)),
            ("logged", moment(row.recorded)),
            ("due", None if row.due is None else date(row.due)),
            ("exchange", f"{row.exchange}  {row.routing_key}"),
        )
    )
    out.line(f"\nbody\n{pretty_body(detail.message.body)}")


async def follow(call: Call, wanted: EventFilter, *, last: int, count: int | None) -> None:
    """Print the last events, and then each as it is logged."""
    async with call.database() as database:
        after = await before_last(database, wanted, last)
        printed = 0
        async for detail in tail(database, wanted, masking=call.masking, after=after):
            print_event(call, detail, detail_dict(detail))
            printed += 1
            if printed == count:
                return


def aggregate(row: LoggedEvent) -> str:
    """The aggregate as `order/42`, with the version in its stream as `account/a-1 #3`."""
    about = "/".join(part for part in (row.aggregate_type, row.aggregate_id) if part)
    return about if row.version is None else f"{about} #{row.version}"


def print_event(call: Call, detail: EventDetail, told: Mapping[str, Any]) -> None:
    """Print an event in a line; with --json what is told of it."""
    if call.output.as_json:
        print(json.dumps(told, default=str).replace("\x7f", "\\u007f"), flush=True)
        return
    row = detail.row
    late = f"due in {format_duration(row.due - row.recorded)}" if row.due is not None else ""
    data = json.dumps(told["data"], ensure_ascii=False) if "data" in told else told.get("body", "")
    parts = (f"{row.position:>8}", moment(row.recorded), row.event_type, aggregate(row), late, cell(data, 100))
    print(visible("  ".join(part for part in parts if part)), flush=True)

"""What `warren events … --from-stream` prints: the journal's stream, in the columns of the log."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from engine.cli.call import Call
from engine.cli.views.events import LIST, aggregate, print_event, print_fields
from engine.model.codec import Limits
from engine.model.topology import stream_name
from engine.operations.events import EventDetail, EventFilter, detail_dict, row_dict
from engine.operations.failures import plain_headers, pretty_body
from engine.operations.stream_events import Source, Unreadable, bounds, one, page, tail


@contextlib.asynccontextmanager
async def source(call: Call) -> AsyncIterator[Source]:
    """The journal's stream of the application, on its connected broker."""
    settings = call.settings
    async with call.broker() as broker:
        yield Source(broker, stream_name(settings.app), Limits(size=settings.max_body), call.masking)


async def show_list(call: Call, wanted: EventFilter, *, limit: int, offset: int | None, before: int | None) -> None:
    """List events."""
    out = call.output
    async with source(call) as stream:
        found = await page(stream, wanted, limit=limit, offset=offset, before=before)
    if out.as_json:
        rows: list[dict[str, Any]] = [_told(each) for each in found.rows]
    else:
        rows = [{**row_dict(each.row), "aggregate": aggregate(each.row)} for each in found.rows]
    span = {"first": found.span.first, "next": found.span.next}
    shown = [{"offset": each.offset, "reason": each.reason} for each in found.shown]
    beside = {"before": found.before, "span": span, "unreadable": found.unreadable, "unreadable_shown": shown}
    out.items(rows, LIST, "There are no such events in the stream.", **beside)
    if offset is not None and offset < found.span.first:
        out.note(f"The stream begins with {found.span.first:,}: retention has dropped what was before.")
    if found.unreadable:
        last = found.shown[0]
        out.note(f"Not listed, for they are no events: {found.unreadable:,} entries; {last.offset:,}: {last.reason}.")
    if found.before is not None:
        out.note(f"There may be more: --before {found.before}, or --limit.")


async def show_one(call: Call, reference: str) -> None:
    """Show an event whole, or what an entry that is none has."""
    out = call.output
    async with source(call) as stream:
        found = await one(stream, reference)
    if isinstance(found, EventDetail):
        out.result(_told(found))
        if not out.as_json:
            print_fields(call, found)
        return
    message = found.entry.delivery.message
    out.result({**_unreadable(found), "headers": plain_headers(message.headers)})
    if not out.as_json:
        out.fields(
            (("offset", found.offset), ("unreadable", found.reason), ("type", message.type), ("id", message.message_id))
        )
        out.line(f"\nbody\n{pretty_body(message.body)}")


async def follow(call: Call, wanted: EventFilter, *, offset: int | None, last: int, count: int | None) -> None:
    """Print the last entries, or those from an offset or a time on, and then each as it is published."""
    printed = 0
    async with source(call) as stream:
        span = await bounds(stream, wanted, offset=offset)
        begin = span.first if offset is not None or wanted.since is not None else max(span.next - last, span.first)
        if offset is not None and offset < span.first:
            call.output.note(f"The stream begins with {span.first:,}: retention has dropped what was before.")
        async for found in tail(stream, wanted, offset=max(begin, offset or 0)):
            if isinstance(found, EventDetail):
                print_event(call, found, _told(found))
            elif call.output.as_json:
                print(json.dumps(_unreadable(found)), flush=True)
            else:
                call.output.note(f"{found.offset:>8}  is no event: {found.reason}")
            printed += 1
            if printed == count:
                return


def _told(detail: EventDetail) -> dict[str, Any]:
    """An event for programs: as one of the log, with its offset as the position. A time that is not known is null."""
    told = detail_dict(detail)
    return {**told, "time": told["time"] or None, "recorded": None}


def _unreadable(found: Unreadable) -> dict[str, Any]:
    return {"position": found.offset, "unreadable": found.reason, "event_id": found.entry.delivery.message.message_id}

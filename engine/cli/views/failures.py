"""What `warren failures` prints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from engine.cli.call import Call
from engine.cli.output import Column, number
from engine.operations import editing, failures
from engine.operations.durations import format_duration
from engine.operations.editing import Edit
from engine.operations.failures import FailureDetail, Filter, Group, Status
from engine.operations.masking import UNMASKED, Masking

#: Failures of an older version that a search takes into the index on its way.
INDEXED = 2000

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(counts: Sequence[int]) -> str:
    """Counts as bars, a dot where there is none."""
    most = max(counts, default=0)
    return "".join("·" if not count else _BARS[(count * (len(_BARS) - 1)) // most] for count in counts)


def age(moment: float) -> str:
    """How long ago that was."""
    return format_duration(max(time.time() - moment, 0))


def moment(seconds: float) -> str:
    """A time in the local zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


LIST = (
    Column("id", "ID", True),
    Column("arrived", "AGE", True, age),
    Column("handler", "HANDLER"),
    Column("event_type", "TYPE"),
    Column("attempts", "ATTEMPTS", True),
    Column("status", "STATUS"),
    Column("outcome", "OUTCOME"),
    Column("cause", "CAUSE"),
)

GROUPS = (
    Column("fingerprint", "CAUSE ID"),
    number("count", "COUNT"),
    number("open", "OPEN"),
    Column("recent", "LAST DAY", show=sparkline, whole=True),
    Column("last_seen", "LAST", True, age),
    Column("first_seen", "FIRST", True, age),
    Column("handler", "HANDLER"),
    Column("cause", "CAUSE"),
)


async def show_list(call: Call, wanted: Filter, *, by_cause: bool, limit: int) -> None:
    """List failures, or the groups they form."""
    async with call.database() as database:
        if wanted.fields and not call.settings.read_only:
            await failures.index(database, most=INDEXED)
        if by_cause:
            found = await failures.groups(database, wanted, limit=limit, masking=call.masking)
            call.output.items([_group(group) for group in found], GROUPS, "There are no such failures.")
            return
        page = await failures.page(database, wanted, limit=limit, masking=call.masking)
    rows = [{**failures.row_dict(row), "cause": _cause(row.exception, row.message, row.reason)} for row in page.rows]
    call.output.items(rows, LIST, "There are no such failures.", total=page.total)
    if page.total > len(rows):
        call.output.note(f"{len(rows)} of {page.total:,}; --limit shows more, and the options narrow it down.")
    if page.unindexed:
        call.output.note(
            f"{page.unindexed:,} failures of an older version cannot be found by their fields yet; a worker sees to it."
        )


def _cause(exception: str, message: str, reason: str) -> str:
    if not exception:
        return f"{reason}: {message}" if message and message != reason else reason
    return f"{exception}: {message}" if message else exception


def _group(group: Group) -> dict[str, Any]:
    latest = group.latest
    return {
        "fingerprint": group.fingerprint,
        "count": group.total,
        "first_seen": group.first_seen,
        "last_seen": group.last_seen,
        **{status.value: group.statuses.get(status, 0) for status in Status},
        "handler": latest.handler,
        "queue": latest.queue,
        "exception": latest.exception,
        "message": latest.message,
        "latest_id": latest.id,
        "recent": list(group.buckets),
        "cause": _cause(latest.exception, latest.message, latest.reason),
    }


async def show_one(call: Call, failure_id: int, *, unmasked: bool) -> None:
    """Show one failure, whole."""
    masking = UNMASKED if unmasked else call.masking
    async with call.database() as database:
        detail = await failures.one(database, failure_id, masking=masking)
        edits = await editing.history(database, failure_id)
        behind = await failures.behind(database, detail.row)
    call.output.result(
        {
            **failures.detail_dict(detail),
            "behind": behind,
            "edits": [editing.edit_dict(edit, masking) for edit in edits],
        }
    )
    if not call.output.as_json:
        _print(call, detail, behind, [_edited(edit, masking) for edit in edits])


def _edited(edit: Edit, masking: Masking) -> str:
    because = f": {edit.why}" if edit.why else ""
    changed = ", ".join(change.path for change in editing.edit_changes(edit, masking))
    return f"{moment(edit.at)} by {edit.who}{because} ({edit.state})  {changed}"


def _print(call: Call, detail: FailureDetail, behind: int, edits: Sequence[str]) -> None:
    row, out = detail.row, call.output
    waiting = [("behind it", f"{behind:,} of its key wait")] if behind else []
    out.fields(
        (
            ("failure", row.id),
            ("event", f"{row.event_type} {row.event_id}"),
            ("queue", row.queue),
            ("handler", row.handler),
            ("reason", row.reason),
            ("exception", row.exception),
            ("message", row.message),
            ("attempts", row.attempts),
            ("run", row.run),
            ("first failed", moment(row.first_failed)),
            ("last failed", moment(row.last_failed)),
            ("worker", row.worker),
            ("published to", f"{row.exchange or '(default exchange)'} {row.routing_key}"),
            ("correlation", row.correlation_id),
            ("cause id", row.fingerprint),
            ("status", row.status.value if row.outcome is None else f"{row.status.value}, {row.outcome.value}"),
            *waiting,
        )
    )
    sections = {
        "traceback": detail.traceback.rstrip(),
        "headers": "\n".join(
            f"{name}: {value}" for name, value in failures.plain_headers(detail.original.headers).items()
        ),
        "body": failures.pretty_body(detail.original.body),
        "edits": "\n".join(edits),
    }
    for title, text in sections.items():
        if text:
            out.line()
            out.line(title)
            out.line("\n".join(f"  {line}" for line in text.split("\n")))

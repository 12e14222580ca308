"""What happened to a failed message besides its attempts: edits, redrives, and its other failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.drawing.tones import Tone
from monitor.failures.message import Moment
from monitor.failures.wording import cause

if TYPE_CHECKING:
    from engine.operations.failures import FailureRow
    from engine.operations.progress import Touch
    from monitor.source.source import Source

#: Other failures of the same message that are told of.
MOST = 20

_TONES: dict[str, Tone] = {"succeeded": "good", "failed again": "bad", "failed otherwise": "bad", "sent": "warn"}


async def history(source: Source, row: FailureRow) -> list[Moment]:
    """Edits, redrives and other failures of the message, in no order."""
    from engine.operations import editing, failures, progress
    from engine.operations.failures import Filter

    database = source.database()
    found = [_touched(touch) for touch in await progress.touching(database, row.id)]
    for edit in await editing.history(database, row.id):
        why = f": {edit.why}" if edit.why else ""
        found.append(Moment(edit.at, f"edited by {edit.who}{why}", "accent"))
    if row.event_id:
        same = Filter(queue=row.queue, event_id=row.event_id)
        page = await failures.page(database, same, limit=MOST, masking=source.masking, total=False)
        for other in page.rows:
            if other.id != row.id:
                when = "before" if other.run < row.run else "again"
                found.append(
                    Moment(other.arrived, f"failed {when}, run {other.run}, as #{other.id}: {cause(other)}", "bad")
                )
    return found


def _touched(touch: Touch) -> Moment:
    operation, item = touch
    why = f" ({operation.why})" if operation.why else ""
    what = f"{operation.kind} {operation.id} by {operation.who}{why}: {item.state}"
    return Moment(item.changed or operation.created, what, _TONES.get(item.state, "muted"))

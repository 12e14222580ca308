"""Archiving, bringing back, deleting and exporting failures: asked, done, and told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine import UsageError
from monitor.drawing.figures import counted
from monitor.failures.wording import ago

if TYPE_CHECKING:
    from engine.operations.archiving import Selection
    from monitor.failures.page import FailurePage

#: Acts of archiving that are looked through for one that can be undone.
_BACK = 20


async def archive(page: FailurePage) -> None:
    """Archive what is chosen; more than one after a question."""
    from engine.operations import archiving
    from engine.operations.failures import Filter

    database = page.source.database()
    selection = await archiving.plan_archive(database, Filter(ids=tuple(await page.chosen())))
    if not selection.ids:
        page.tell(_nothing("archived", selection.left))
    elif len(selection.ids) == 1 or await _agreed(page, "Archive", selection):
        act = await archiving.archive(database, selection, operator=page.source.operator)
        page.unmark()
        page.tell(f"Archived {counted(len(act.ids), 'failure')}. u brings them back.", "good")


async def undo(page: FailurePage) -> None:
    """Bring back what this operator archived last and is still archived."""
    from engine.operations import archiving, auditing
    from engine.operations.failures import Filter

    database, who = page.source.database(), page.source.operator.who
    for entry in await auditing.entries(database, action="failures archive", who=who, limit=_BACK):
        selection = await archiving.plan_restore(database, Filter(act=str(entry.what.get("act", ""))))
        if selection.ids:
            title = f"archived {ago(entry.at, page.source.now())}"
            if await _agreed(page, "Bring back", selection, title):
                act = await archiving.restore(database, selection, operator=page.source.operator)
                page.tell(f"Brought back {counted(len(act.ids), 'failure')}.", "good")
            return
    page.tell("There is nothing that you archived and could bring back.")


async def delete(page: FailurePage) -> None:
    """Delete what is chosen and archived; its count must be typed, however small it is."""
    from engine.operations import archiving
    from engine.operations.failures import Filter
    from monitor.frame.dialogs import Question

    database = page.source.database()
    selection = await archiving.plan_delete(database, Filter(ids=tuple(await page.chosen())))
    number = len(selection.ids)
    if not number:
        page.tell(_nothing("deleted", selection.left))
        return
    lines = ["The messages and all that is known of them are gone for good.", *_left(selection.left)]
    if await page.confirm(Question(f"Delete {counted(number, 'archived failure')}?", lines, number, "Delete", large=1)):
        act = await archiving.delete(database, selection, operator=page.source.operator)
        page.unmark()
        page.tell(f"Deleted {counted(len(act.ids), 'failure')}.", "good")


async def export(page: FailurePage) -> None:
    """Write what is chosen into a file of JSON lines."""
    from engine.operations import exporting
    from engine.operations.failures import Filter
    from monitor.frame.dialogs import Prompt

    database = page.source.database()
    selection = await exporting.plan_export(database, Filter(ids=tuple(await page.chosen())))
    number = counted(len(selection.ids), "failure")
    if not selection.ids:
        page.tell(_nothing("exported", selection.left))
        return
    name = f"failures-{time.strftime('%Y%m%d-%H%M%S', time.localtime(page.source.now()))}.jsonl"
    asked = Prompt(f"Export {number} to a file", "JSON, one failure a line, secrets masked.", name, check=_writable)
    answer = await page.prompt(asked)
    if answer is None:
        return
    chunks = exporting.export(database, selection, operator=page.source.operator, masking=page.source.masking)
    path = _named(answer)
    try:
        file = await asyncio.to_thread(path.open, "xb")
        with file:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="Name another file.") from None
    page.tell(f"Wrote {number} to {path}.", "good")


def _named(text: str) -> Path:
    return Path(text).expanduser()


def _writable(text: str) -> str:
    """What is wrong with the name of a file that is to be made, or nothing."""
    path = _named(text)
    if not text or path.is_dir():
        return "Name a file."
    if path.exists():
        return "There is such a file already; it is not overwritten."
    return "" if path.parent.is_dir() else f"There is no folder {path.parent}."


async def _agreed(page: FailurePage, verb: str, selection: Selection, more: str = "") -> bool:
    from monitor.frame.dialogs import Question

    number = len(selection.ids)
    title = " ".join(part for part in (verb, counted(number, "failure"), more) if part)
    return await page.confirm(Question(f"{title}?", _left(selection.left), number, verb)) is not None


def _left(left: Counter[str]) -> Sequence[str]:
    return [f"{number:,} left alone: {reason}" for reason, number in left.most_common()]


def _nothing(done: str, left: Counter[str]) -> str:
    return "; ".join([f"Nothing here can be {done}", *_left(left)]) + "."

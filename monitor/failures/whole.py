"""One failed message, whole: why it failed, its body, traceback and headers, and all that happened to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize

from monitor.failures.history import history
from monitor.failures.message import (
    attempts,
    body_section,
    facts,
    headers_section,
    headline,
    history_section,
    traceback_section,
)
from monitor.failures.page import FailurePage
from monitor.frame.among import AmongPage
from monitor.keys import bindings
from monitor.reading.halves import Halves
from monitor.reading.lines import EMPTY
from monitor.reading.sections import joined

if TYPE_CHECKING:
    from engine.operations.failures import FailureDetail, FailureRow
    from monitor.failures.message import Moment
    from monitor.reading.lines import Line
    from monitor.reading.sections import Section
    from monitor.table.table import Table


class Whole(NamedTuple):
    """What is known of a failed message, and its body laid out: as a part, and as it stands beside the rest."""

    detail: FailureDetail
    moments: Sequence[Moment]
    body: Section
    beside: Sequence[Line]


class MessagePage(AmongPage, FailurePage):
    """One failure."""

    AUTO_FOCUS = "#main"
    BINDINGS: ClassVar[list[BindingType]] = bindings("message")

    def __init__(self, failure_id: int, among: Table[Any] | None = None) -> None:
        super().__init__(among)
        self._failure_id = failure_id
        self._whole: Whole | None = None
        self._every_frame = False

    def body(self) -> ComposeResult:
        """One part to read in a narrow terminal, two in a wide one."""
        yield Halves()

    async def fetch(self) -> Whole | None:
        """The failure; its bulk only where something changed."""
        from engine.operations import failures

        database, wanted = self.source.database(), self._failure_id
        known = self._whole
        rows = await failures.rows(database, [wanted], masking=self.source.masking)
        if known is not None and rows and known.detail.row == rows[0]:
            detail, body, beside = known.detail, known.body, known.beside
        else:
            detail = await failures.one(database, wanted, masking=self.source.masking)
            body = await asyncio.to_thread(body_section, detail)  # a large one takes long
            beside = joined([body])[1:]
        return Whole(detail, await history(self.source, detail.row), body, beside)

    def show(self, found: Whole | None) -> None:
        """Put it into one part or two."""
        if found is None or found.detail.row.id != self._failure_id:
            return
        self._whole = found
        now, halves = self.source.now(), self.query_one(Halves)
        detail, row = found.detail, found.detail.row
        top = [*headline(row), EMPTY, *facts(row, now)]
        told = history_section([*attempts(row), *found.moments], now)
        rest = [traceback_section(detail, every=self._every_frame), headers_section(detail)]
        main = [told, *rest] if halves.wide else [found.body, *rest, told]
        halves.put(row.id, [*top, *joined(main)], found.beside)

    def on_resize(self, event: Resize) -> None:
        """One part or two."""
        if self._whole is not None:
            self.show(self._whole)

    @property
    def current(self) -> FailureRow | None:
        """This one."""
        return None if self._whole is None else self._whole.detail.row

    async def chosen(self) -> Sequence[int]:
        """This one."""
        return [self._failure_id]

    def turn_to(self, row: Any) -> bool:
        """Show this one."""
        if not isinstance(getattr(row, "id", None), int):
            return False
        self._failure_id = row.id
        return True

    def action_frames(self) -> None:
        """Show every frame of the traceback, or only those of the user's own code."""
        self._every_frame = not self._every_frame
        self.show(self._whole)

    def action_copy(self) -> None:
        """Copy the body as it is shown."""
        if self._whole is not None:
            text = "\n".join("".join(part.text for part in each) for each in self._whole.body.lines)
            self.copy(text, f"Body of failure #{self._failure_id}")

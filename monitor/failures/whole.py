"""One failed message, whole: why it failed, its body, traceback and headers, and all that happened to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.events import Resize

from monitor.failures.history import history
from monitor.failures.message import (
    attempts,
    body_section,
    facts,
    headers_section,
    headline,
    history_section,
    joined,
    traceback_section,
)
from monitor.failures.page import FailurePage
from monitor.frame.split import WIDE
from monitor.keys import bindings
from monitor.reading.lines import EMPTY
from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from engine.operations.failures import FailureDetail, FailureRow
    from monitor.failures.message import Moment, Section
    from monitor.table.table import Table


class Whole(NamedTuple):
    """What is known of a failed message, and its body laid out."""

    detail: FailureDetail
    moments: Sequence[Moment]
    body: Section


class MessagePage(FailurePage):
    """One failure. `among` is the table that it was opened from, so that one can go on to the next."""

    AUTO_FOCUS = "#message"
    BINDINGS: ClassVar[list[BindingType]] = bindings("message")
    DEFAULT_CSS: ClassVar[str] = """
    MessagePage #parts { height: 1fr; }
    MessagePage Pager { width: 1fr; }
    MessagePage #beside { display: none; border-left: vkey $foreground 18%; }
    MessagePage #parts.-wide #beside { display: block; }
    """

    def __init__(self, failure_id: int, among: Table[Any] | None = None) -> None:
        super().__init__()
        self._failure_id = failure_id
        self._among = among
        self._whole: Whole | None = None
        self._shown: tuple[int, bool] | None = None
        self._beside: Section | None = None
        self._every_frame = False

    def body(self) -> ComposeResult:
        """One part to read in a narrow terminal, two in a wide one."""
        with Horizontal(id="parts"):
            yield Pager(id="message")
            yield Pager(id="beside")

    async def fetch(self) -> Whole | None:
        """The failure; its bulk only where something changed."""
        from engine.operations import failures

        database, wanted = self.source.database(), self._failure_id
        known = self._whole
        rows = await failures.rows(database, [wanted], masking=self.source.masking)
        if known is not None and rows and known.detail.row == rows[0]:
            detail, body = known.detail, known.body
        else:
            detail = await failures.one(database, wanted, masking=self.source.masking)
            body = await asyncio.to_thread(body_section, detail)  # a large one takes long
        return Whole(detail, await history(self.source, detail.row), body)

    def show(self, found: Whole | None) -> None:
        """Put it into one part or two."""
        if found is None or found.detail.row.id != self._failure_id:
            return
        self._whole = found
        now = self.source.now()
        wide = self.app.size.width >= WIDE
        self.query_one("#parts").set_class(wide, "-wide")
        detail, row = found.detail, found.detail.row
        top = [*headline(row), EMPTY, *facts(row, now)]
        told = history_section([*attempts(row), *found.moments], now)
        rest = [traceback_section(detail, every=self._every_frame), headers_section(detail)]
        main, beside = self.query_one("#message", Pager), self.query_one("#beside", Pager)
        other = self._shown != (row.id, wide)
        self._shown = row.id, wide
        if wide:
            main.show([*top, *joined([told, *rest])], other=other)
            if other or found.body is not self._beside:
                beside.show(joined([found.body])[1:], other=other)
                self._beside = found.body
        else:
            main.show([*top, *joined([found.body, *rest, told])], other=other)

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

    def action_next(self) -> None:
        """To the next failure of the table behind."""
        self._step(1)

    def action_previous(self) -> None:
        """To the one before it."""
        self._step(-1)

    def _step(self, by: int) -> None:
        if self._among is None or self._among.row is None:
            return
        before = self._among.row
        (self._among.action_down if by > 0 else self._among.action_up)()
        row = self._among.row
        if row is None or row is before or not isinstance(getattr(row, "id", None), int):
            self.tell("There is no other." if row is before else "It is being fetched.")
            return
        self._failure_id = row.id
        self.refresh_now()

    def action_frames(self) -> None:
        """Show every frame of the traceback, or only those of the user's own code."""
        self._every_frame = not self._every_frame
        self.show(self._whole)

    def action_copy(self) -> None:
        """Copy the body as it is shown."""
        if self._whole is not None:
            text = "\n".join("".join(part.text for part in each) for each in self._whole.body.lines)
            self.copy(text, f"Body of failure #{self._failure_id}")

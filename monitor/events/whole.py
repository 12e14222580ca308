"""One event, whole: what the log knows of it, its body and its headers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.events import Resize

from engine import UsageError
from monitor.events.page import EventActs
from monitor.events.preview import Parts, parts
from monitor.events.wording import top
from monitor.failures.message import joined
from monitor.frame.split import WIDE
from monitor.keys import bindings
from monitor.reading.lines import plain
from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from engine.operations.events import LoggedEvent
    from monitor.table.table import Table


class EventPage(EventActs):
    """One event. `among` is the table that it was opened from, so that one can go on to the next."""

    AUTO_FOCUS = "#event"
    BINDINGS: ClassVar[list[BindingType]] = bindings("event")
    DEFAULT_CSS: ClassVar[str] = """
    EventPage #parts { height: 1fr; }
    EventPage Pager { width: 1fr; }
    EventPage #beside { display: none; border-left: vkey $foreground 18%; }
    EventPage #parts.-wide #beside { display: block; }
    """

    def __init__(self, position: int, among: Table[Any] | None = None) -> None:
        super().__init__()
        self._position = position
        self._among = among
        self._found: Parts | None = None
        self._shown: tuple[int, bool] | None = None

    def body(self) -> ComposeResult:
        """One part to read in a narrow terminal, two in a wide one."""
        with Horizontal(id="parts"):
            yield Pager(id="event")
            yield Pager(id="beside")

    async def fetch(self) -> Parts | None:
        """The event, once: what is in the log does not change."""
        from engine.operations import events

        wanted = self._position
        if self._found is not None and self._found.detail.row.position == wanted:
            return self._found
        found = await events.whole(self.source.database(), [wanted], masking=self.source.masking)
        if not found:
            raise UsageError(f"the log has no event at {wanted:,} any more", hint="It is past its retention.")
        return await asyncio.to_thread(parts, found[0])

    def show(self, found: Parts | None) -> None:
        """Put it into one part or two."""
        if found is None or found.detail.row.position != self._position:
            return
        self._found = found
        wide = self.app.size.width >= WIDE
        self.query_one("#parts").set_class(wide, "-wide")
        main, beside = self.query_one("#event", Pager), self.query_one("#beside", Pager)
        other = self._shown != (self._position, wide)
        self._shown = self._position, wide
        head = top(found.detail, self.source.now())
        main.show([*head, *joined([found.headers] if wide else [found.body, found.headers])], other=other)
        if wide and other:
            beside.show(joined([found.body])[1:], other=True)

    def on_resize(self, event: Resize) -> None:
        """One part or two."""
        if self._found is not None:
            self.show(self._found)

    @property
    def current(self) -> LoggedEvent | None:
        """This one."""
        return None if self._found is None else self._found.detail.row

    async def chosen(self) -> Sequence[int]:
        """This one."""
        return [self._position]

    def action_next(self) -> None:
        """To the next event of the table behind."""
        self._step(1)

    def action_previous(self) -> None:
        """To the one before it."""
        self._step(-1)

    def _step(self, by: int) -> None:
        if self._among is None or self._among.row is None:
            self.tell("There is no other.")
            return
        before = self._among.row
        (self._among.action_down if by > 0 else self._among.action_up)()
        row = self._among.row
        if row is None or row is before:
            self.tell("There is no other." if row is before else "It is being fetched.")
            return
        self._position = row.position
        self.refresh_now()

    def action_copy(self) -> None:
        """Copy the body as it is shown."""
        if self._found is not None:
            text = "\n".join(plain(each) for each in self._found.body.lines)
            self.copy(text, f"Body of event {self._position}")

"""One event, whole: what the log knows of it, its body and its headers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize

from engine import UsageError
from monitor.events.page import EventActs
from monitor.events.preview import Parts, parts
from monitor.events.wording import top
from monitor.frame.among import AmongPage
from monitor.keys import bindings
from monitor.reading.halves import Halves
from monitor.reading.lines import plain
from monitor.reading.sections import joined

if TYPE_CHECKING:
    from engine.operations.events import LoggedEvent
    from monitor.table.table import Table


class EventPage(AmongPage, EventActs):
    """One event."""

    AUTO_FOCUS = "#main"
    BINDINGS: ClassVar[list[BindingType]] = bindings("event")

    def __init__(self, position: int, among: Table[Any] | None = None) -> None:
        super().__init__(among)
        self._position = position
        self._found: Parts | None = None

    def body(self) -> ComposeResult:
        """One part to read in a narrow terminal, two in a wide one."""
        yield Halves()

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
        halves, head = self.query_one(Halves), top(found.detail, self.source.now())
        rest = [found.headers] if halves.wide else [found.body, found.headers]
        halves.put(self._position, [*head, *joined(rest)], found.beside)

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

    def turn_to(self, row: Any) -> bool:
        """Show this one."""
        self._position = row.position
        return True

    def action_copy(self) -> None:
        """Copy the body as it is shown."""
        if self._found is not None:
            text = "\n".join(plain(each) for each in self._found.body.lines)
            self.copy(text, f"Body of event {self._position}")

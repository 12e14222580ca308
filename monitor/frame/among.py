"""A page of one thing that was opened from a table: on to the next, and back to the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.frame.page import Page

if TYPE_CHECKING:
    from monitor.table.table import Table


class AmongPage(Page):
    """`among` is the table, None where it came from elsewhere; its cursor goes along."""

    def __init__(self, among: Table[Any] | None) -> None:
        super().__init__()
        self._among = among

    def turn_to(self, row: Any) -> bool:
        """Show this row of the table instead; False when it is none that can be shown."""
        raise NotImplementedError

    def action_next(self) -> None:
        """To the next of the table behind."""
        self._step(1)

    def action_previous(self) -> None:
        """To the one before it."""
        self._step(-1)

    def _step(self, by: int) -> None:
        among = self._among
        if among is None or among.row is None:
            self.tell("There is no other.")
            return
        before = among.row
        (among.action_down if by > 0 else among.action_up)()
        if among.row is before:
            self.tell("There is no other.")
        elif among.row is None or not self.turn_to(among.row):
            self.tell("It is being fetched.")
        else:
            self.refresh_now()

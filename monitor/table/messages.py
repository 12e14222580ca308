"""What a table says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from monitor.table.table import Table


class TableMessage(Message):
    """Something about a table; `@on(Table.Moved, "#id")` picks one table."""

    def __init__(self, table: Table[Any]) -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> Table[Any]:
        """The table."""
        return self.table


class Moved(TableMessage):
    """The cursor is on another row, or the row has changed."""

    def can_replace(self, message: Message) -> bool:
        """Only the newest counts."""
        return isinstance(message, Moved) and message.table is self.table


class Opened(TableMessage):
    """A row was chosen, with enter or a double click."""

    def __init__(self, table: Table[Any], row: Any) -> None:
        super().__init__(table)
        self.row = row


class MarksChanged(TableMessage):
    """Other rows are marked, or the filter or the order is another."""


class Counted(TableMessage):
    """There are another number of rows, or it is known for certain now."""

    def can_replace(self, message: Message) -> bool:
        """Only the newest counts."""
        return isinstance(message, Counted) and message.table is self.table


class FollowChanged(TableMessage):
    """The cursor is kept at an end from now on, or no longer."""


class Filtering(TableMessage):
    """The user wants to filter, so somebody must ask for the text."""


class Copied(TableMessage):
    """The user wants this text of a row."""

    def __init__(self, table: Table[Any], text: str) -> None:
        super().__init__(table)
        self.text = text


class Failed(TableMessage):
    """Reading failed; what was shown stays."""

    def __init__(self, table: Table[Any], error: Exception) -> None:
        super().__init__(table)
        self.error = error

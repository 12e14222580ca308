"""Screen 7: the audit. Who did what, when and why, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult

from engine.operations.text import visible
from monitor.audits.listing import AuditListing
from monitor.drawing.figures import age
from monitor.failures.wording import moment
from monitor.frame.page import Page
from monitor.frame.split import Split
from monitor.reading.lines import EMPTY, Line, Part, columns, line
from monitor.reading.pager import Pager
from monitor.reading.sections import json_line
from monitor.table.columns import Cell, Column
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.auditing import Entry

#: Ids that an entry names one by one.
_MOST = 12


class AuditPage(Page):
    """The audit, the newest act first."""

    AUTO_FOCUS = "Table"
    DEFAULT_CSS: ClassVar[str] = ""

    def body(self) -> ComposeResult:
        """The acts, and beside them the one under the cursor."""
        now = self.source.now
        shown: Sequence[Column[Entry]] = (
            Column("id", "#", lambda row: str(row.id), width=5, right=True, rank=3),
            Column("age", "AGE", lambda row: age(now() - row.at), width=4, right=True),
            Column("action", "ACTION", lambda row: Cell(row.action, "strong"), width=17, grow=1, most=24),
            Column("who", "WHO", lambda row: row.who, width=12, grow=1, most=28),
            Column("outcome", "OUTCOME", lambda row: short(row.outcome), width=14, grow=1, most=40, rank=2),
            Column("why", "WHY", lambda row: row.why, width=20, grow=3, rank=1),
        )
        table: Table[Entry] = Table(
            shown,
            AuditListing(self.source),
            noun="entries",
            terms="words, action:redrive* who:anna* newer:1d",
            empty="Nobody did anything yet.",
            id="audit",
        )
        yield Split(table, Pager(id="preview"))

    @on(Table.Moved)
    def _preview(self, message: Table.Moved) -> None:
        row = message.table.row
        self.query_one("#preview", Pager).show([] if row is None else entry_lines(row, self.source.now()))

    @on(Table.Opened)
    def _open(self, message: Table.Opened) -> None:
        self.monitor.push_screen(EntryPage(message.row))


class EntryPage(Page):
    """One act, whole."""

    AUTO_FOCUS = "Pager"

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self._entry = entry

    def body(self) -> ComposeResult:
        """All of it, to read."""
        yield Pager(entry_lines(self._entry, self.source.now()))


def short(outcome: Mapping[str, Any]) -> str:
    """An outcome on one line: `ready 12, succeeded 3`."""
    return ", ".join(f"{name} {value}" for name, value in outcome.items() if not isinstance(value, dict | list))


def entry_lines(entry: Entry, now: float) -> list[Line]:
    """An act in lines to read."""
    return [
        line(Part(visible(entry.action), "title")),
        EMPTY,
        *columns(
            (
                ("when", moment(entry.at, now)),
                ("who", visible(entry.who)),
                ("why", visible(entry.why)),
                ("outcome", visible(short(entry.outcome))),
            )
        ),
        EMPTY,
        *(json_line(visible(each)) for each in json.dumps(_shortened(entry.what), indent=2, default=str).split("\n")),
    ]


def _shortened(value: Any) -> Any:
    """The same with long lists cut."""
    if isinstance(value, Mapping):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple) and len(value) > _MOST:
        return [*value[:_MOST], f"and {len(value) - _MOST:,} more"]
    return value

"""The table of both screens of traces: `/` asks for an id, wherever one is."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from monitor.keys import bindings
from monitor.table.listing import Row
from monitor.table.table import Table


class TraceTable(Table[Row]):
    """A table whose `/` is the screen's, and `f` the filter."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("traces")

"""One thing to read, whole: in one part, or from 120 columns on in two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal

from monitor.frame.split import WIDE
from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from monitor.reading.lines import Line


class Halves(Horizontal):
    """`put` again whenever what is read, or the size of the terminal, is another."""

    DEFAULT_CSS = """
    Halves { height: 1fr; }
    Halves Pager { width: 1fr; }
    Halves #beside { display: none; border-left: vkey $foreground 18%; }
    Halves.-wide #beside { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._put: tuple[object, bool] | None = None

    def compose(self) -> ComposeResult:
        """Both parts."""
        yield Pager(id="main")
        yield Pager(id="beside")

    @property
    def wide(self) -> bool:
        """Whether there is room for two."""
        return self.app.size.width >= WIDE

    def put(self, key: object, main: Sequence[Line], beside: Sequence[Line]) -> None:
        """Show these lines, the second only where it is wide. Another `key` begins at its top."""
        put = key, self.wide
        other = put != self._put
        self._put = put
        self.set_class(self.wide, "-wide")
        self.query_one("#main", Pager).show(main, other=other)
        if self.wide:
            self.query_one("#beside", Pager).show(beside, other=other)

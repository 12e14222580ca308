"""Yes or no, told by a mark and not by a colour alone."""

from __future__ import annotations

from textual.widgets import Checkbox


class Choice(Checkbox):
    """A check box that is empty while it is not chosen."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Draw or take away the mark."""
        self.BUTTON_INNER = "✓" if self.value else " "
        super().watch_value()

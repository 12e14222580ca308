"""A line of words that is told anew at each refresh, and drawn anew only when it says something else."""

from __future__ import annotations

from textual.widgets import Static

from monitor.drawing.text import Piece, line


class Saying(Static):
    """One line of pieces."""

    def __init__(self, *pieces: Piece, id: str | None = None, classes: str | None = None) -> None:
        self._pieces = pieces
        super().__init__(line(*pieces), id=id, classes=classes, markup=False)

    def say(self, *pieces: Piece) -> None:
        """Say this from now on."""
        if pieces != self._pieces:
            self._pieces = pieces
            self.update(line(*pieces), layout=False)

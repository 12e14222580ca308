"""The keys of everything that is read in."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.geometry import Size

from monitor.keys import bindings


class Scrollable(Protocol):
    """What `Keys` needs of a widget."""

    @property
    def size(self) -> Size:
        """The visible part."""

    @property
    def scroll_relative(self) -> Any:
        """Scroll by so many lines."""

    @property
    def scroll_home(self) -> Any:
        """Scroll to the start."""

    @property
    def scroll_end(self) -> Any:
        """Scroll to the end."""


class Keys:
    """What the keys of the group `reading` do."""

    def action_down(self: Scrollable) -> None:
        """One line down."""
        self.scroll_relative(y=1, animate=False)

    def action_up(self: Scrollable) -> None:
        """One line up."""
        self.scroll_relative(y=-1, animate=False)

    def action_half_down(self: Scrollable) -> None:
        """Half a page down."""
        self.scroll_relative(y=max(self.size.height // 2, 1), animate=False)

    def action_half_up(self: Scrollable) -> None:
        """Half a page up."""
        self.scroll_relative(y=-max(self.size.height // 2, 1), animate=False)

    def action_page_down(self: Scrollable) -> None:
        """A page down."""
        self.scroll_relative(y=max(self.size.height - 1, 1), animate=False)

    def action_page_up(self: Scrollable) -> None:
        """A page up."""
        self.scroll_relative(y=-max(self.size.height - 1, 1), animate=False)

    def action_first(self: Scrollable) -> None:
        """To the first line."""
        self.scroll_home(animate=False)

    def action_last(self: Scrollable) -> None:
        """To the last line."""
        self.scroll_end(animate=False)


class Scroll(Keys, VerticalScroll):
    """Scrolls what is in it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("reading")

"""Keys that come faster than the screen follows: each means what it would have meant to somebody who waited.

A terminal over a slow line delivers `/charge` at once. Without this the letters would reach the list while the filter
is still being opened, and there `a` archives and `r` redrives.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from textual.events import Key
from textual.message import Message

if TYPE_CHECKING:
    from textual.app import App
    from textual.timer import Timer

#: Times that a message of ours follows the way of a key. With the first the key is through; with the second also what
#: it asked of the screen; with the third the focus that the screen then gave.
ROUNDS = 3
#: Seconds after which the next key is let through in any case, and between two looks whether a screen is there.
PATIENCE, LOOK = 1.0, 0.005


class Passed(Message):
    """Goes the way that a key goes: from the focused widget up to the application."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Typeahead:
    """Lets one key through at a time."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._waiting: deque[Key] = deque()
        self._busy = False
        self._number = 0
        self._round = 0
        self._release: Timer | None = None

    def admits(self, key: Key) -> bool:
        """Whether this key is next; else it is kept, and `next` gives it."""
        if self._busy:
            self._waiting.append(key)
        return not self._busy

    def sent(self) -> None:
        """A key is on its way."""
        self._busy, self._round = True, 0
        self._number += 1
        number = self._number
        self._release = self._app.set_timer(PATIENCE, lambda: self._app.post_message(Passed(-number)))
        self._follow()

    def next(self, passed: Passed, *, arriving: bool) -> Key | None:
        """A message of ours is back; the next key, if it is its turn. `arriving`: a screen is on its way."""
        if abs(passed.number) != self._number or not self._busy:
            return None
        given_up = passed.number < 0
        if arriving and not given_up:
            self._round = 0
            self._app.set_timer(LOOK, self._follow)
            return None
        self._round += 1
        if self._round < ROUNDS and not given_up:
            self._follow()
            return None
        if self._release is not None:
            self._release.stop()
        self._busy = False
        return self._waiting.popleft() if self._waiting else None

    def _follow(self) -> None:
        stack = self._app.screen_stack
        if stack:
            (stack[-1].focused or stack[-1]).post_message(Passed(self._number))

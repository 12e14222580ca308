"""An operator before the monitor: presses keys and reads the screen, in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from engine.settings import Settings
from monitor.app import Monitor, make
from tests.support.inprocess import PATIENCE

#: Keys that are written otherwise than Textual names them.
_KEYS = {" ": "space", ".": "full_stop", ":": "colon", "*": "asterisk", "/": "slash", "_": "underscore", "-": "minus"}


class Seat:
    """What an operator does and sees."""

    def __init__(self, monitor: Monitor, pilot: Pilot[None]) -> None:
        self.monitor = monitor
        self.pilot = pilot

    @property
    def screen(self) -> str:
        """What is on the screen, line by line."""
        strips = self.monitor.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    def line(self, text: str) -> str:
        """The first line that has this text, or nothing."""
        return next((line for line in self.screen.split("\n") if text in line), "")

    @property
    def told(self) -> list[str]:
        """What was said in notifications that still stand."""
        return [note.message for note in self.monitor._notifications]

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        await self.pilot.press(*(_KEYS.get(key, key) for key in keys))

    async def type(self, text: str) -> None:
        """Type a text."""
        await self.press(*text)

    async def see(self, *texts: str, patience: float = PATIENCE) -> None:
        """Wait until all these texts are on the screen."""
        await self.until(lambda: all(text in self.screen for text in texts), f"{texts} on the screen", patience)

    async def miss(self, text: str, patience: float = PATIENCE) -> None:
        """Wait until this text is on the screen no more."""
        await self.until(lambda: text not in self.screen, f"{text!r} to go", patience)

    async def hear(self, text: str, patience: float = PATIENCE) -> None:
        """Wait until a notification says this."""
        await self.until(lambda: any(text in note for note in self.told), f"{text!r} to be said", patience)

    async def until(self, reached: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
        """Wait until something is so."""
        try:
            async with asyncio.timeout(patience):
                while not reached():
                    await asyncio.sleep(0.02)
                await self.pilot.pause()
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}\n{self.screen}\nsaid: {self.told}") from None


@asynccontextmanager
async def seated(settings: Settings, *, size: tuple[int, int] = (100, 30), **options: Any) -> AsyncIterator[Seat]:
    """The monitor of these settings, on a terminal of this size; `options` are those of `monitor.app.make`,
    and it is read ten times a second unless they say otherwise."""
    monitor = make(settings, **{"interval": 0.1, **options})
    async with monitor.run_test(size=size) as pilot:
        seat = Seat(monitor, pilot)
        await seat.until(lambda: monitor.source.fleet is not None, "the first picture")
        yield seat
    if monitor.fault is not None:
        raise monitor.fault

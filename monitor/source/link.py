"""A link to the broker or to the database: opened in the background, and opened again when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

from engine import WarrenError

T = TypeVar("T")

Word: TypeAlias = Literal["opening", "up", "lost"]

#: Seconds between two attempts to open: they grow from the first to the last.
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0


class Standing(NamedTuple):
    """How a link is, and since when (seconds since the epoch). `error` and `hint` say why it is lost."""

    word: Word
    since: float
    error: str = ""
    hint: str = ""


class Link(Generic[T]):
    """One link. `keep` opens it and goes on trying; what is open is in `value`.

    `missing` makes the error that `get` raises while there is none.
    """

    def __init__(
        self,
        opened: Callable[[], contextlib.AbstractAsyncContextManager[T]],
        now: Callable[[], float],
        missing: Callable[[str, str], WarrenError],
    ) -> None:
        self._opened = opened
        self._now = now
        self._missing = missing
        self.value: T | None = None
        self.standing = Standing("opening", now())
        self.is_open = asyncio.Event()
        self._wake = asyncio.Event()

    def get(self) -> T:
        """What is open, even when it was lost since: it may come back at any time. Raises a `WarrenError` before."""
        if self.value is None:
            raise self._missing(self.standing.error, self.standing.hint)
        return self.value

    def lost(self, error: WarrenError) -> None:
        """It does not answer."""
        since = self.standing.since if self.standing.word == "lost" else self._now()
        self.standing = Standing("lost", since, error.message, error.hint)

    def restored(self) -> None:
        """It answers."""
        if self.standing.word != "up":
            self.standing = Standing("up", self._now())

    async def keep(self) -> None:
        """Open it, trying until that succeeds; close it when cancelled."""
        wait = FIRST_WAIT
        while True:
            try:
                async with self._opened() as value:
                    self.value = value
                    self.restored()
                    self.is_open.set()
                    await asyncio.Event().wait()
            except WarrenError as error:
                self.lost(error)
            finally:
                self.value = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            self._wake.clear()
            wait = min(wait * 2, LONGEST_WAIT)

    def hurry(self) -> None:
        """Try again now, if it waits for the next attempt."""
        if self.value is None:
            self._wake.set()

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[T]:
        """The value for one question; whether it was answered says how the link is."""
        value = self.get()
        try:
            yield value
        except WarrenError as error:
            if type(error).__name__ in ("BrokerUnavailable", "DatabaseUnavailable", "AccessRefused"):
                self.lost(error)
            raise
        else:
            self.restored()

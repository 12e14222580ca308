"""The rows of the outbox that are in an order: of each key one is on its way, and the next follows its confirm.

A row that was committed while another worker still had rows of its key waits until those are struck off; so
the order is that of the commits, whoever relays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from engine.errors import DatabaseError
from engine.model.lines import Lines
from engine.model.outgoing import Outgoing
from engine.storage import outbox
from engine.storage.database import Database

logger = logging.getLogger("warren.relay")

#: Seconds between two looks whether the rows of others are gone: at first, and at most.
SOON, LATER = 0.005, 0.5
#: Seconds that a row waits for those of others at most. By then their worker is proven dead, and
#: they are somebody's; a row must not wait for ever for one that it should not have waited for.
PATIENCE = 30.0


class Succession:
    """Rows in line by their key; `release` gets each when its turn has come."""

    def __init__(self, database: Database, release: Callable[[Outgoing], None]) -> None:
        self._database = database
        self._release = release
        self._lines: Lines[Outgoing] = Lines()
        self._keys: dict[str, str] = {}
        #: At the heads of their lines: what each waits for, and until when.
        self._behind: dict[str, tuple[Outgoing, frozenset[str], float]] = {}
        self._watch: asyncio.Task[None] | None = None

    def put(self, row: Outgoing) -> None:
        """A committed row takes its place."""
        assert row.order is not None
        key = row.order.key
        if self._behind and any(row.id in ids for _, ids, _ in self._behind.values()):
            key = f"\0{key}"  # adopted, and what waits here waits for it
        self._keys[row.id] = key
        if self._lines.join(key, row):
            self._begin(row)

    def left(self, row: Outgoing) -> None:
        """The row is confirmed, or has become a failure: the next of its key has its turn."""
        key = self._keys.pop(row.id, None)
        if key is not None and (following := self._lines.leave(key)) is not None:
            self._begin(following)

    def _begin(self, row: Outgoing) -> None:
        if row.order is None or not row.order.behind:
            self._release(row)
            return
        self._behind[row.id] = row, frozenset(row.order.behind), time.monotonic() + PATIENCE
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look(), name="warren succession")

    async def _look(self) -> None:
        """Look again and again whether the rows that others go behind are gone."""
        pause = SOON
        while self._behind:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LATER)
            ids = frozenset[str]().union(*(ids for _, ids, _ in self._behind.values()))
            try:
                left = await self._database.read(partial(outbox.there, ids=ids))
            except DatabaseError as error:
                logger.debug("the outbox cannot be read: %s", error.message)
                continue
            now = time.monotonic()
            for row_id, (row, waits, until) in list(self._behind.items()):
                # What came since that read is looked for next time.
                if waits <= ids and (waits.isdisjoint(left) or now > until):
                    del self._behind[row_id]
                    self._release(row)
                    pause = SOON

    def stop(self) -> None:
        """Release nothing more."""
        if self._watch is not None:
            self._watch.cancel()

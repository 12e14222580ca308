"""Which queue takes which commands and queries: those of this worker's handlers, and what the database remembers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from engine.errors import DatabaseError, PluginError
from engine.model.handler import HandlerSpec
from engine.model.subjects import Role
from engine.runtime import clock
from engine.storage import workers
from engine.storage.database import Database
from engine.storage.workers import DeclaredQueue, Rival

logger = logging.getLogger("warren.routes")

#: Seconds between two looks at what other workers have declared.
LOOK_INTERVAL = 5.0
#: Seconds between two looks while somebody asked for what is not known.
SEARCH_INTERVAL = 0.5


class Routes:
    """The queues by the type of what they take, for one worker."""

    def __init__(self, database: Database, specs: Sequence[HandlerSpec], app: str) -> None:
        now = clock.now()
        self._database = database
        self._declared = [
            DeclaredQueue(spec.queue_for(app), app, spec.name, spec.patterns, now, now, spec.role)
            for spec in specs
            if spec.role is not Role.EVENT
        ]
        self._own = {kind: queue.queue for queue in self._declared for kind in queue.patterns}
        self._known: dict[str, str] = {}
        self._missed = False

    async def open(self, alive: Callable[[str], bool]) -> None:
        """Learn what there is; raises `PluginError` where another living worker takes the same from another queue."""
        if self._declared:
            now = clock.now()
            refuse_rival(
                await self._database.read(lambda connection: workers.find_rival(connection, self._declared, alive, now))
            )
        self._known = await self._database.read(workers.routes)

    def find(self, kind: str) -> str | None:
        """The queue that takes such commands or queries, None where nobody is known to; that is soon looked up."""
        found = self._own.get(kind) or self._known.get(kind)
        if found is None:
            self._missed = True  # from any thread
        return found

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(SEARCH_INTERVAL)
            if not self._missed and time.monotonic() - looked < LOOK_INTERVAL:
                continue
            self._missed, looked = False, time.monotonic()
            try:
                self._known = await self._database.read(workers.routes)
            except DatabaseError as error:
                logger.debug("who takes which commands cannot be seen: %s", error.message)


def refuse_rival(rival: Rival | None) -> None:
    """Raise `PluginError` for another worker that takes the same commands or queries from another queue."""
    if rival is None:
        return
    role, queue = rival.queue.role, rival.queue
    raise PluginError(
        f"The {role} {rival.kind} has a handler already: {queue.handler} of {queue.app}, on the queue {queue.queue},"
        f" which the worker {rival.worker} runs",
        hint=f"A {role} goes to one queue. Where this is the same handler under another name, stop the workers that still have"
        f' the old one, or keep its queue with queue="{queue.queue}". What several are to hear of is an event.',
    )

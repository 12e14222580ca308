"""Totals of queues by HTTP, as gently as they are worth: one request in five seconds at most, fewer when they are slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

from engine.brokers.rabbitmq import totals
from engine.brokers.rabbitmq.totals import Answer, Endpoint, Total
from engine.errors import BrokerError
from engine.settings import Settings

#: Seconds between two requests at least, and at most.
PERIOD, LONGEST = 5.0, 300.0
#: The part of the time that the broker may spend on answering.
SHARE = 0.02


class Totals:
    """Asks whichever endpoint answers. `ask` is what asks one, in a thread."""

    def __init__(self, settings: Settings, ask: Callable[[Endpoint, str, int], Answer] = totals.ask) -> None:
        self._app = settings.app
        self._endpoints = totals.endpoints(settings.broker_url, settings.management)
        self._ask = ask
        self._at = 0
        self._page = 1
        self._failures = 0
        #: Seconds that the last answer took; None while nothing answers.
        self.took: float | None = None
        #: The endpoint that answers, in words, or why none does.
        self.said = ""

    @property
    def possible(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._endpoints)

    async def turn(self) -> tuple[Mapping[str, Total], float]:
        """Make one request; what it says of queues of ours, and the seconds to wait before the next."""
        endpoint = self._endpoints[self._at]
        begun = monotonic()
        try:
            answer = await asyncio.to_thread(self._ask, endpoint, f"{self._app}.", self._page)
        except BrokerError as error:
            self.took, self.said, self._page = None, error.message, 1
            self._at = (self._at + 1) % len(self._endpoints)
            self._failures += 1
            # Every endpoint is tried once soon, then ever more rarely.
            rounds = self._failures // len(self._endpoints)
            return {}, wait(0.0, rounds)
        self.took, self._failures = monotonic() - begun, 0
        self.said = endpoint.shown
        self._page = answer.next_page or 1
        return answer.totals, wait(self.took, 0)


def wait(took: float, failures: int) -> float:
    """Seconds to the next request after one that took so long, or after so many rounds that failed."""
    return min(max(PERIOD * 2.0**failures, took / SHARE), LONGEST)

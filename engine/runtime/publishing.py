"""Confirmed publishing for an application: in order, pipelined, patient through an outage."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.brokers.base import Broker
from engine.errors import BrokerError, BrokerUnavailable
from engine.model.event import Event
from engine.model.message import Publication

#: Publications that are handed to the broker together.
GROUP = 4096
#: Seconds between two tries through an outage: the first, and the longest.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Letter(NamedTuple):
    """An event and the publication that carries it."""

    event: Event[Any]
    publication: Publication


async def publish_all(broker: Broker, letters: Sequence[Letter], *, timeout: float) -> None:
    """Publish in order; returns when all are confirmed.

    What an outage left unconfirmed is sent again under its id, for as long as less than `timeout` seconds
    have passed without a confirm. Raises the error of one that was not confirmed, which tells of all:
    its `results` say for each event whether it was.
    """
    sending = _Sending(broker, letters, timeout)
    for start in range(0, len(letters), GROUP):
        await sending.send(range(start, min(start + GROUP, len(letters))))
    sending.check()


class _Sending:
    """The letters of one call, and what became of each."""

    def __init__(self, broker: Broker, letters: Sequence[Letter], timeout: float) -> None:
        self._broker = broker
        self._letters = letters
        self._timeout = timeout
        self._results: list[BrokerError | None] = [None] * len(letters)
        self._gave_up: BrokerUnavailable | None = None

    async def send(self, group: Sequence[int]) -> None:
        """Publish these; send again what may not have arrived."""
        left = list(group)
        pause = FIRST_PAUSE
        deadline = time.monotonic() + self._timeout
        while self._gave_up is None:
            publications = [self._letters[index].publication for index in left]
            try:
                answers: Sequence[BrokerError | None] = await self._broker.publish(publications)
            except BrokerError as error:
                answers = [error] * len(left)
            missed: list[int] = []
            last: BrokerUnavailable | None = None
            for index, answer in zip(left, answers, strict=True):
                self._results[index] = answer
                if isinstance(answer, BrokerUnavailable):
                    missed.append(index)
                    last = answer
            if last is None:
                return
            if len(missed) < len(left):
                deadline = time.monotonic() + self._timeout
            if time.monotonic() + pause >= deadline:
                self._gave_up = last
            else:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
            left = missed
        for index in left:
            self._results[index] = self._results[index] or self._gave_up

    def check(self) -> None:
        """Raise when one of them was not confirmed: an outage first, for that can be waited out."""
        failed = [result for result in self._results if result is not None]
        if not failed:
            return
        worst = next((error for error in failed if isinstance(error, BrokerUnavailable)), failed[0])
        raised = worst
        if len(self._results) > 1:
            done = len(self._results) - len(failed)
            raised = type(worst)(
                f"{done} of {len(self._results)} events were confirmed. The first error: {worst.message}",
                hint="`unconfirmed` of this error has the others; publish_many() takes them again, under their ids.",
            )
        raised.events = [letter.event for letter in self._letters]
        raised.results = self._results
        raise raised from (worst if raised is not worst else None)

"""What is consumed and what is not: pauses by an operator, and the circuits of failing handlers.

The database says it for the whole fleet, and each worker looks there every second. A circuit
is opened by the worker that saw the failures; all follow, and one of them makes the probes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from engine.errors import BrokerError, DatabaseError, RetryLater
from engine.model import circuit as circuits
from engine.model import headers as names
from engine.model.circuit import CLOSED, Cause, Circuit, Switch
from engine.model.deadletter import fingerprint
from engine.model.describe import top_frame, type_name
from engine.model.record import State
from engine.runtime import clock
from engine.runtime.consumer import Consumer
from engine.runtime.outcomes import Outcome
from engine.runtime.partitions import Partitions
from engine.runtime.valve import Mode, Valve
from engine.storage import pauses
from engine.storage.database import Database
from engine.storage.pauses import OpenCircuit, Pause

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.flow")

T = TypeVar("T")

#: Seconds between two looks at what the fleet has paused.
LOOK_INTERVAL = 1.0
#: Reasons of dead letters that a better world might have spared.
_MENDABLE = frozenset({"attempts exhausted", "stopped"})


class Found(NamedTuple):
    """What the database says."""

    pauses: dict[str, Pause]
    circuits: dict[str, OpenCircuit]


class Breaker:
    """The circuit of one queue in this worker, and the valve that it shuts."""

    def __init__(self, consumer: Consumer, valve: Valve | Partitions, threshold: int, wake: Callable[[], None]) -> None:
        self.consumer = consumer
        self.valve = valve
        self.circuit: Circuit = CLOSED
        #: Whether the database knows of it.
        self.known = False
        self.paused = False
        #: Failures in a row that open the circuit; 0: it never opens.
        self.threshold = threshold
        self._wake = wake

    def settled(self, outcome: Outcome) -> None:
        """A message was handled, or an attempt failed."""
        if outcome.record.state is State.DONE:
            if self.circuit is not CLOSED:
                self._move(circuits.succeeded(self.circuit))
        elif self.threshold and (cause := self._cause(outcome)) is not None:
            self._move(circuits.failed(self.circuit, cause, clock.now(), self.threshold))

    def _cause(self, outcome: Outcome) -> Cause | None:
        """What a failed attempt failed of; None for what says nothing of the handler's health."""
        error = outcome.error
        if error is None or isinstance(error, RetryLater):
            return None  # what a handler asks for itself is no breakdown
        if outcome.record.state is not State.WAITING:
            reasons = [row.message.headers.get(names.REASON) for row in outcome.rows]
            if not _MENDABLE.intersection(reason for reason in reasons if isinstance(reason, str)):
                return None
        exception = type_name(error)
        return Cause(fingerprint(exception, self.consumer.name, top_frame(error)), exception)

    def _move(self, after: Circuit) -> None:
        before, self.circuit = self.circuit, after
        if after.switch is before.switch:
            return
        if after.switch is Switch.OPEN:
            self.valve.hold()  # at once: what is not begun yet burns no attempt
            if before.switch is Switch.CLOSED:
                logger.warning(
                    "%s failed %d times in a row with %s: its queue %s is left alone, and tried with one message "
                    "from %g s on",
                    self.consumer.name,
                    after.failures,
                    after.cause.exception,
                    self.consumer.queue,
                    circuits.FIRST_PROBE,
                )
        self._wake()


class Flow:
    """Keeps the valves of a worker as the fleet and the circuits want them.

    `threshold` is for handlers that name none: after so many failures in a row a circuit opens; 0 never.
    """

    def __init__(self, database: Database, worker: str, alive: Callable[[str], bool], *, threshold: int) -> None:
        self._database = database
        self._worker = worker
        self._alive = alive
        self._threshold = threshold
        self._breakers: list[Breaker] = []
        self._wake = asyncio.Event()

    def add(self, consumer: Consumer, valve: Valve | Partitions) -> None:
        """Have the flow of this queue."""
        own = consumer.spec.circuit
        breaker = Breaker(consumer, valve, self._threshold if own is None else own, self._wake.set)
        consumer.subscription = valve
        consumer.breaker = breaker
        self._breakers.append(breaker)

    async def start(self) -> None:
        """Consume what may be consumed. Raises a `BrokerError` or `DatabaseError` when that cannot be."""
        found = await self._look()
        await asyncio.gather(*(self._steer(breaker, found) for breaker in self._breakers))

    async def run(self) -> None:
        """Follow what the fleet does until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            for breaker in self._breakers:
                if breaker.circuit.switch is Switch.OPEN:  # also while the database is away
                    with contextlib.suppress(BrokerError):
                        await breaker.valve.turn(Mode.SHUT)
            try:
                found = await self._look()
            except DatabaseError as error:
                logger.debug("what is paused cannot be seen: %s", error.message)
                continue
            for breaker in self._breakers:
                try:
                    await self._steer(breaker, found)
                except (BrokerError, DatabaseError) as error:  # tried again at the next look
                    logger.debug("%s cannot be turned: %s", breaker.consumer.queue, error.message)

    async def _look(self) -> Found:
        return await self._database.read(_read)

    async def _steer(self, breaker: Breaker, found: Found) -> None:
        queue = breaker.consumer.queue
        pause = found.pauses.get(queue)
        if (pause is not None) is not breaker.paused:
            breaker.paused = pause is not None
            _say(queue, pause)
        row = found.circuits.get(queue)
        if row is None and not breaker.known and breaker.circuit.switch is Switch.CLOSED:
            mine = False  # the common case costs nothing
        else:
            mine = await self._agree(breaker, queue, row)
        await breaker.valve.turn(self._mode(breaker, mine))

    def _mode(self, breaker: Breaker, mine: bool) -> Mode:
        if breaker.paused:
            breaker.circuit = circuits.put_off(breaker.circuit)
            return Mode.SHUT
        if breaker.circuit.switch is Switch.CLOSED:
            return Mode.OPEN
        if not mine:
            breaker.circuit = circuits.put_off(breaker.circuit)
            return Mode.SHUT
        if circuits.is_due(breaker.circuit, clock.now()):
            breaker.circuit = circuits.probe(breaker.circuit)
        return Mode.PROBE if breaker.circuit.switch is Switch.PROBING else Mode.SHUT

    async def _agree(self, breaker: Breaker, queue: str, row: OpenCircuit | None) -> bool:
        """Bring circuit and row together; whether this worker makes the probes."""
        circuit = breaker.circuit
        if circuit.switch is Switch.CLOSED:
            if breaker.known:  # a message was handled here
                if await self._write(partial(pauses.close_circuit, queue=queue)):
                    logger.warning("a message of %s was handled: the queue is consumed again", queue)
                breaker.known = False
                return False
            assert row is not None
            logger.warning("%s: left alone, since its handler only fails (%s)", queue, row.circuit.cause.exception)
            breaker.circuit, breaker.known = row.circuit, True
        elif not breaker.known:
            row = await self._write(
                partial(pauses.open_circuit, queue=queue, worker=self._worker, circuit=circuits.put_off(circuit))
            )
            breaker.known = True
        elif row is None:
            logger.warning("a message of %s was handled by another worker: the queue is consumed again", queue)
            breaker.circuit, breaker.known = CLOSED, False
            return False
        if row.worker == self._worker:
            if circuit.switch is Switch.OPEN and circuit.probes != row.circuit.probes:
                await self._write(partial(pauses.renew_circuit, queue=queue, worker=self._worker, circuit=circuit))
            return True
        if not self._alive(row.worker):
            taken = partial(pauses.take_over_circuit, queue=queue, dead=row.worker, worker=self._worker)
            return await self._write(taken)
        breaker.circuit = row.circuit
        return False

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._database.write(work)


def _read(connection: Connection) -> Found:
    return Found(pauses.list_pauses(connection), pauses.list_circuits(connection))


def _say(queue: str, pause: Pause | None) -> None:
    if pause is None:
        logger.info("%s is resumed", queue)
    else:
        logger.info("%s is paused by %s%s", queue, pause.who, f": {pause.why}" if pause.why else "")

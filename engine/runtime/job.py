"""One message in a worker's hand, from its delivery to its ack."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import DecodingError
from engine.model.codec import Envelope
from engine.model.event import Event
from engine.model.message import Delivery, Message
from engine.model.outgoing import Outgoing
from engine.model.record import Claim, Record

if TYPE_CHECKING:
    from engine.runtime.consumer import Consumer


class Job:
    """A claimed or to be claimed message, with every delivery of it that this worker holds.

    `envelope` is None and `defect` set when the message could not be read. `record` is set
    once it is claimed. `event` is set where the handler's keys had to look into it. `own_id` is the event
    id where the record goes by an idempotency key. `line` is the text of its key where what fails holds up those behind it;
    `released` is what its outcome sends of them. Who sets `settled` is told when its outcome is committed.
    """

    __slots__ = (
        "claim",
        "consumer",
        "defect",
        "deliveries",
        "envelope",
        "event",
        "line",
        "message",
        "own_id",
        "record",
        "released",
        "settled",
    )

    def __init__(
        self,
        consumer: Consumer,
        delivery: Delivery,
        claim: Claim,
        envelope: Envelope | None,
        defect: DecodingError | None,
    ) -> None:
        self.consumer = consumer
        self.deliveries = [delivery]
        self.message: Message = delivery.message
        self.claim = claim
        self.envelope = envelope
        self.defect = defect
        self.event: Event[Any] | None = None
        self.line: str | None = None
        self.released: Sequence[Outgoing] = ()
        self.own_id: str | None = None
        self.record: Record | None = None
        self.settled: asyncio.Event | None = None

    def refusal(self) -> DecodingError:
        """Why the message cannot be read, to be raised. The job keeps it no longer.

        The traceback of what is raised holds the job: each would keep the other, and the body, in memory.
        """
        defect, self.defect = self.defect, None
        assert defect is not None
        return defect

    @property
    def key(self) -> tuple[str, str]:
        """Queue and event id (or idempotency key), the key of the record."""
        return (self.claim.queue, self.claim.event_id)

    @property
    def event_id(self) -> str:
        """The id of the event, whatever its record goes by."""
        return self.claim.event_id if self.own_id is None else self.own_id

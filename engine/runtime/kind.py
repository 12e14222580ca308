"""What tells one kind of recorded operation from another: how its items are sent, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.model.operation import Item, Operation
from engine.model.outgoing import Outgoing

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Sent(NamedTuple):
    """A group of items after it was dealt with, and what is to be published for it.

    Each item is SENT or SKIPPED now, and has its verdict and its run.
    """

    rows: list[Outgoing]
    items: list[Item]


class Kind(Protocol):
    """A kind of operation. Its methods run in a thread of the database; they may run again after a rollback."""

    name: str

    def send(
        self, connection: Connection, operation: Operation, items: Sequence[Item], now: float, gone: Collection[str]
    ) -> Sent:
        """In the transaction: judge each item again and raise the run of its record, or skip it.

        The caller writes the rows into the outbox and the items into their table, in the same transaction.
        `gone` are the queues of the operation that are not on the broker.
        """

    def look(self, connection: Connection, operation: Operation, items: Sequence[Item]) -> list[Item]:
        """Of these items, which were sent, those whose outcome is known, with their new state. Only reads."""

    def queues(self, operation: Operation) -> list[str]:
        """The queues that it sends to."""

    def cause(self, connection: Connection, operation: Operation) -> str:
        """What most of the messages that failed again failed with, in words; empty if none did. Only reads."""

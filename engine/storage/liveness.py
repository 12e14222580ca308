"""Who is alive. Dead means proven dead: a worker that is merely slow must not be robbed.

On SQLite every worker holds a lock on a file of its own, which the operating system takes
back when the process dies, however it dies. On PostgreSQL every worker raises a counter
from a thread of its own; whoever sees it unchanged for long enough on its own clock knows
that the worker is dead or cut off. No clock is ever compared with another's, and what a
worker does that was cut off and comes back is refused by the tokens of its records.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from engine.errors import UsageError
from engine.storage.beats import Beats
from engine.storage.database import Database
from engine.storage.lockfiles import LockFiles

#: Seconds that saying goodbye may take.
GOODBYE = 3.0


class Proof(Protocol):
    """How life is proven; called from any thread."""

    def open(self) -> None:
        """Prove this worker's own life from now on."""

    def alive(self, worker: str) -> bool:
        """Whether the worker may still be alive."""

    def close(self) -> None:
        """Stop proving: this worker is gone from now on."""


class Liveness:
    """Proves that this worker lives, and knows of the others; open it before the first claim."""

    def __init__(self, worker: str | None, proof: Proof) -> None:
        self.worker = worker
        self._proof = proof
        self._open = False

    @classmethod
    async def open(cls, database: Database, worker: str | None) -> Liveness:
        """Begin to prove that `worker` lives; with None only look on.

        Raises `DatabaseError` when the database is not reached.
        """
        proof: Proof = (
            LockFiles(database.address.path.parent / "locks", worker)
            if database.dialect == "sqlite"
            else Beats(database.address, worker)
        )
        await asyncio.to_thread(proof.open)
        liveness = cls(worker, proof)
        liveness._open = True
        return liveness

    def alive(self, worker: str) -> bool:
        """Whether a worker may be alive; False once it is proven dead. Quick, and safe from any thread."""
        if not self._open:
            raise UsageError("the liveness of workers was asked for after it was closed")
        return worker == self.worker or self._proof.alive(worker)

    async def close(self) -> None:
        """End the proof: from now on the others see this worker as gone."""
        if self._open:
            self._open = False
            with contextlib.suppress(TimeoutError):  # the database says nothing; its own silence then tells the others
                await asyncio.wait_for(asyncio.to_thread(self._proof.close), GOODBYE)
